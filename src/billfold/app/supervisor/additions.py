"""What a profile adds to a stack, as the stack knows it. Which there are stands in `full`.

A server that is added keeps what can be made anew from PostgreSQL, and the stack goes on without it: when it can't be
had, when it does not start, and when it can't be kept running.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from billfold.app.supervisor.keeper import Keeper, Service
from billfold.kernel import errors
from billfold.platform import children, host
from billfold.platform.rpc import addresses

#: In the folder of a server whose copy has been kept up in each run since it was made.
FOLLOWED = "followed"
_TOKEN_BYTES = 32


class Server(Service, Protocol):
    """A service that clients connect to."""

    @property
    def url(self) -> str:
        """Where, with the credentials where it asks for any."""
        ...

    @property
    def address(self) -> str:
        """Where, for everybody to see."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """A server, the settings by which the roles find it, and what is so without it."""

    name: str
    #: As people call it, with its version.
    title: str
    make: Callable[[Path, children.LogLine], Server]
    settings: Callable[[str], Mapping[str, str | int]]
    without: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """All that a profile adds."""

    servers: Sequence[Addition] = ()
    #: Servers that nobody waits for: the roles are told where they will be.
    late: Sequence[Addition] = ()
    #: How many processes of the ledger as a role of its own.
    ledgers: int = 0
    #: Why what belongs to the profile is not there, and what is so without it.
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __add__(self, other: Additions) -> Additions:
        """Both."""
        return Additions(
            servers=(*self.servers, *other.servers),
            late=(*self.late, *other.late),
            ledgers=self.ledgers + other.ledgers,
            left_out={**self.left_out, **other.left_out},
        )


#: What a stack has without any.
NONE = Additions()


class Added:
    """The servers that were added to one stack."""

    def __init__(
        self,
        data_dir: Path,
        *,
        keeper: Callable[[Service], Keeper],
        say: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        """`keeper` makes what keeps a service running; `say` and `changed` hear of one that is done without."""
        self._data_dir = data_dir
        self._keeper = keeper
        self._say = say
        self._changed = changed
        self.keepers: dict[str, Keeper] = {}
        self.addresses: dict[str, str] = {}
        #: By which the roles find them, with the credentials.
        self.settings: dict[str, str | int] = {}
        #: What is done without, and why.
        self.left_out: dict[str, str] = {}
        self._late: dict[str, tuple[Addition, Server]] = {}

    async def start(self, additions: Additions, *, log: Callable[[str], children.LogLine]) -> None:
        """Start them, all at the same time. One that does not start is left out. The late ones come with `kept`."""
        self.left_out |= additions.left_out
        for name, why in self.left_out.items():
            self._say(f"{name} is left out: {why}")
        for one in additions.late:
            server = one.make(self._data_dir / one.name, log(one.name))
            self._late[one.name] = (one, server)
            self._found(one, server)
        await asyncio.gather(*(self._start(one, log(one.name)) for one in additions.servers))
        self._forget_followed()

    @property
    def starting(self) -> list[str]:
        """The late ones that are not ready yet."""
        return [name for name in self._late if name not in self.keepers and name not in self.left_out]

    async def kept(self) -> None:
        """Start the late ones, and tell of those that can't be kept running. It ends when none is left."""
        running = (self._failed(name, keeper) for name, keeper in self.keepers.items())
        await asyncio.gather(*running, *(self._come_late(one, server) for one, server in self._late.values()))

    async def _start(self, addition: Addition, log: children.LogLine) -> None:
        server = addition.make(self._data_dir / addition.name, log)
        if await self._started(addition, server):
            self._found(addition, server)

    async def _come_late(self, addition: Addition, server: Server) -> None:
        started = await self._started(addition, server)
        self._changed()
        if started:
            await self._failed(addition.name, self.keepers[addition.name])

    async def _started(self, addition: Addition, server: Server) -> bool:
        self._say(f"starting {addition.title}")
        keeper = self._keeper(server)
        try:
            await keeper.start()
        except (errors.BillfoldError, OSError) as error:
            self.left_out[addition.name] = f"it does not start: {error}. Without it {addition.without}"
            self._say(f"{addition.name} is left out: {self.left_out[addition.name]}")
            return False
        self._say(f"{addition.title} is ready")
        self.keepers[addition.name] = keeper
        return True

    def _found(self, addition: Addition, server: Server) -> None:
        """How it is found, by people and by the roles."""
        self.addresses[addition.name] = server.address
        self.settings |= addition.settings(server.url)

    async def _failed(self, name: str, keeper: Keeper) -> None:
        try:
            await keeper.failed()
        except errors.BillfoldError as error:
            del self.keepers[name]
            self.left_out[name] = error.detail
            self._say(f"{name} is done without from now on: {error.detail}")
            self._changed()

    def _forget_followed(self) -> None:
        """From now on copies fall behind, but for those of the servers that run: next time they are made anew."""
        for mark in self._data_dir.glob(f"*/{FOLLOWED}"):
            if mark.parent.name not in self.keepers:
                mark.unlink()


def ledger_addresses(data_dir: Path, number: int) -> Mapping[str, object]:
    """The settings with the addresses of so many ledgers: sockets, or ports where the path is no good for a socket."""
    sockets = ",".join(f"unix:{data_dir}/ledger-{one + 1}.sock" for one in range(number))
    try:
        addresses.parse_all(sockets)
    except ValueError:
        # Any program of the machine reaches a port, so callers have to know something besides.
        ports = {host.free_port() for _ in range(number)}
        while len(ports) < number:
            ports.add(host.free_port(besides=ports))
        return {
            "ledger.address": ",".join(f"127.0.0.1:{port}" for port in sorted(ports)),
            "ledger.token": secrets.token_urlsafe(_TOKEN_BYTES),
        }
    return {"ledger.address": sockets}
