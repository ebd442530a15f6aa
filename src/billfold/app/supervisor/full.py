"""The profile `full`: Redis, Cassandra and the ledger as a role of its own, beside what every stack has.

The servers are those for development, on this machine. What is kept there can be made anew from PostgreSQL, so nobody
would miss it. A setting that is set stays, and what it is about is not started.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import FrameType
from typing import NoReturn
from urllib.parse import urlsplit

from billfold import devservers
from billfold.app import settings
from billfold.app.supervisor.additions import Addition, Additions
from billfold.platform import children

#: So that one may be killed and nobody notices.
LEDGERS = 2
#: A server that is there already is had sooner.
_FETCH_TOLD_AFTER_S = 1.0
_FETCH_TOLD_EVERY_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A server that belongs to the profile."""

    kind: type[devservers.DevServer]
    #: Whoever sets one of these has decided where it is, or that there is none.
    yours: Sequence[str]
    settings: Callable[[str], Mapping[str, str | int]]
    #: The extra with its client, and what that is imported as; None where every installation has it.
    client: tuple[str, str] | None
    without: str


def _history(url: str) -> Mapping[str, str | int]:
    at = urlsplit(url)
    assert at.username
    assert at.password
    return {
        "history.kind": "cql",
        "history.contact_points": f"{at.hostname}:{at.port}",
        "history.user": at.username,
        "history.password": at.password,
        "history.copies": 1,
    }


SERVERS = (
    Wanted(
        kind=devservers.Redis,
        yours=("balances.redis_url", "limits.redis_url"),
        settings=lambda url: {"balances.redis_url": url, "limits.redis_url": url},
        client=None,
        without="balances are always read in PostgreSQL, and each process counts limits for itself",
    ),
    Wanted(
        kind=devservers.Cassandra,
        yours=("history.kind", "history.contact_points", "history.user", "history.password"),
        settings=_history,
        client=("cassandra", "cassandra"),
        without="lists of transactions are read in PostgreSQL",
    ),
)
_LEDGER_CLIENT = ("grpc", "grpc")
_WITHOUT_LEDGER = "the API and the worker post in their own processes"


def plan(
    loaded: settings.Loaded,
    *,
    say: Callable[[str], None],
    servers: Sequence[Wanted] = SERVERS,
    installed: Callable[[str], bool] = lambda name: find_spec(name) is not None,
) -> Additions:
    """What can be had of the profile; servers that are missing are fetched, which may take minutes.

    Called before the stack is started, where Ctrl-C and SIGTERM end the process and what it fetches.
    """
    found: list[Addition] = []
    left_out: dict[str, str] = {}
    for wanted in servers:
        try:
            found.append(_had(wanted, loaded, say=say, installed=installed))
        except _LeftOutError as why:
            left_out[wanted.kind.name] = str(why)
    try:
        _check_unset(["ledger.address"], loaded)
        _check_client(_LEDGER_CLIENT, _WITHOUT_LEDGER, installed)
    except _LeftOutError as why:
        left_out["ledger"] = str(why)
    return Additions(servers=found, ledgers=0 if "ledger" in left_out else LEDGERS, left_out=left_out)


class _LeftOutError(Exception):
    """Something is not started; the text says why."""


def _had(
    wanted: Wanted, loaded: settings.Loaded, *, say: Callable[[str], None], installed: Callable[[str], bool]
) -> Addition:
    _check_unset(wanted.yours, loaded)
    if wanted.client is not None:
        _check_client(wanted.client, wanted.without, installed)
    kind = wanted.kind
    try:
        with _fetching(kind.title, say):
            kind.fetch()
        version = kind.version()
    except devservers.Missing as missing:
        raise _LeftOutError(f"{missing}. Without it {wanted.without}") from missing
    return Addition(
        name=kind.name,
        title=f"{kind.title} {version}",
        make=lambda folder, on_line: _Kept(kind(folder, on_line=on_line)),
        settings=wanted.settings,
        without=wanted.without,
    )


def _check_unset(yours: Sequence[str], loaded: settings.Loaded) -> None:
    for key in yours:
        if key in loaded.sources:
            raise _LeftOutError(f"{key} is set by {loaded.sources[key]}, and stays as it is")


def _check_client(client: tuple[str, str], without: str, installed: Callable[[str], bool]) -> None:
    extra, module = client
    if not installed(module):
        raise _LeftOutError(f"Its client is not installed: pip install 'billfold[{extra}]'. Without it {without}")


class _Kept:
    """A server for development as the supervisor keeps services."""

    def __init__(self, server: devservers.DevServer) -> None:
        self.name = server.name
        self._server = server

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def address(self) -> str:
        return self._server.address

    async def start(self) -> children.Child:
        await self._server.start()
        return self._server.child


@contextlib.contextmanager
def _fetching(title: str, say: Callable[[str], None]) -> Iterator[None]:
    """Tell that the block takes its time, when it does; on SIGTERM end the process as Ctrl-C does."""
    done = threading.Event()

    def tell() -> None:
        waited_s, pause_s = 0.0, _FETCH_TOLD_AFTER_S
        while not done.wait(pause_s):
            waited_s += pause_s
            pause_s = _FETCH_TOLD_EVERY_S
            say(f"fetching {title}, which takes minutes the first time ({waited_s:.0f} s)")

    def end(number: int, _: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    telling = threading.Thread(target=tell, daemon=True)
    before = signal.signal(signal.SIGTERM, end)
    telling.start()
    try:
        yield
    finally:
        done.set()
        telling.join()
        signal.signal(signal.SIGTERM, before)
