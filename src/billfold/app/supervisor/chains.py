"""The sandbox: chains of this machine's own beside the stack, with play money, and the settings that have them watched.

Each is a process, `python -m billfold.devnet`, that keeps its blocks below the data folder. Nobody waits for one: its
address is known before it is ready, and what watches chains goes on when it answers.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from billfold.app import settings
from billfold.app.supervisor import ports, roles
from billfold.app.supervisor.additions import Addition, Additions
from billfold.platform import children, host

#: Below the data folder.
FOLDER = "devnet"
#: In the folder of a chain whose clients log in.
PASSWORD_FILE = "password"  # noqa: S105 - the name of its file
#: The engine of Ethereum is fetched when it is first wanted, and lines can be slow.
READY_TIMEOUT_S = 660.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.05
#: The test tokens of these chains; each is at the same place on every chain of this machine's own.
ETHEREUM_USDC = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
SOLANA_USDC = "CJ7TmX1QLQpYh2y1s8FdJHj4VRSQje7ttbM9D5oViqGq"
_WITHOUT = "no money comes or goes on this chain"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalChain:
    """A chain that can be run here."""

    name: str
    title: str
    #: Where people who know the chain's own nodes expect one.
    usual_port: int
    #: What has to be installed, as it is imported.
    needs: str
    #: As whom its clients log in, where its nodes ask for that: the password is kept in the chain's folder.
    user: str | None = None
    #: What differs from a chain with money in it: nobody wants to wait long.
    settings: Mapping[str, str | int]


CHAINS = (
    LocalChain(
        name="bitcoin",
        title="Bitcoin",
        usual_port=18_443,
        needs="pbk",
        user="__cookie__",
        settings={"credit_after": 1, "release_after": 3},
    ),
    LocalChain(
        name="ethereum",
        title="Ethereum",
        usual_port=8_545,
        needs="eth_account",
        settings={"credit_after": 2, "release_after": 4, "tokens": ETHEREUM_USDC, "sweep_minimum": "USDC=1"},
    ),
    LocalChain(
        name="solana",
        title="Solana",
        usual_port=8_899,
        needs="solders",
        settings={"credit_after": 1, "release_after": 32, "tokens": SOLANA_USDC, "sweep_minimum": "USDC.SOL=1"},
    ),
    LocalChain(
        name="stellar",
        title="Stellar",
        usual_port=8_000,
        needs="stellar_sdk",
        settings={"credit_after": 1, "release_after": 1},
    ),
)
NAMES = tuple(chain.name for chain in CHAINS)


def plan(
    loaded: settings.Loaded,
    *,
    say: Callable[[str], None],
    installed: Callable[[str], bool] = lambda name: find_spec(name) is not None,
) -> Additions:
    """What can be had of the sandbox. A chain whose nodes are set is yours, and not started here."""
    claims = ports.Claims(say=say)
    found: list[Addition] = []
    left_out: dict[str, str] = {}
    for chain in CHAINS:
        nodes = f"{chain.name}.urls"
        if nodes in loaded.sources:
            left_out[chain.name] = f"{nodes} is set by {loaded.sources[nodes]}, and stays as it is"
        elif not installed(chain.needs):
            left_out[chain.name] = (
                f"Its engine is not installed: pip install 'billfold[sandbox]'. Without it {_WITHOUT}"
            )
        else:
            found.append(_addition(chain, loaded, claims))
    return Additions(late=found, left_out=left_out)


def _addition(chain: LocalChain, loaded: settings.Loaded, claims: ports.Claims) -> Addition:
    def told(url: str) -> Mapping[str, str | int]:
        wanted = {"urls": url, "network": "sandbox", **chain.settings}
        named = {f"{chain.name}.{name}": value for name, value in wanted.items()}
        return {key: value for key, value in named.items() if key not in loaded.sources}

    def make(folder: Path, on_line: children.LogLine) -> _Process:
        usual = host.port_is_free(chain.usual_port) and claims.take(chain.usual_port)
        port = chain.usual_port if usual else host.free_port()
        return _Process(chain, folder.parent, port=port, on_line=on_line)

    return Addition(name=chain.name, title=f"{chain.title} of this machine", make=make, settings=told, without=_WITHOUT)


class _Process:
    """A local chain as the supervisor keeps services. Its port stays."""

    def __init__(self, chain: LocalChain, data_dir: Path, *, port: int, on_line: children.LogLine) -> None:
        self.name = chain.name
        self.address = f"http://127.0.0.1:{port}"
        self._user = chain.user
        self._port = port
        self._folder = data_dir / FOLDER / chain.name
        self._lock = data_dir / f"{chain.name}.lock"
        self._on_line = on_line

    @property
    def url(self) -> str:
        if self._user is None:
            return self.address
        # Made here when it is not there: the roles have to know it before the chain has started.
        host.private_folder(self._folder.parent)
        password = host.kept_secret(host.private_folder(self._folder) / PASSWORD_FILE)
        return f"http://{self._user}:{password}@127.0.0.1:{self._port}"

    async def start(self) -> children.Child:
        """Start it and return when it answers.

        Raises: ChildFailed, LeftoverProcess, PortTaken.
        """
        host.checked_port(self._port)
        host.private_folder(self._folder.parent)
        program = children.Program(
            name=self.name,
            command=(
                *(sys.executable, "-m", "billfold.devnet", self.name),
                *("--port", str(self._port), "--folder", str(self._folder)),
            ),
            lock=self._lock,
            stop_timeout_s=STOP_TIMEOUT_S,
            env={name: value for name, value in os.environ.items() if not name.startswith(settings.PREFIX)},
        )
        child = await children.start(program, on_line=self._on_line)
        try:
            await self._ready(child)
        except BaseException:
            await child.stop()
            raise
        return child

    async def _ready(self, child: children.Child) -> None:
        deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_S
        while not await roles.answers(f"{self.address}/devnet"):
            if not child.running:
                raise child.failure(f"ended with exit code {await child.wait()}")
            if asyncio.get_running_loop().time() > deadline:
                raise child.failure(f"was not ready within {READY_TIMEOUT_S:.0f} seconds")
            await asyncio.sleep(POLL_S)
