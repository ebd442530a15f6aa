"""btcd, a node of Bitcoin that others wrote in Go, on regtest: it begins anew at each start, and mines when told to."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from billfold.devservers import fetching
from billfold.devservers.fetching import Missing
from billfold.platform import children, host
from tests.servers.loop import LOG_LINES, LoopThread, ended_at_the_end, loop_thread

VERSION = "0.26.2"
_MODULE = f"github.com/btcsuite/btcd@v{VERSION}"
#: Half a minute of a processor that others want too.
_BUILD_TIMEOUT_S = 600.0
_READY_TIMEOUT_S = 60.0
_POLL_S = 0.05


class BtcdServer:
    """A running node."""

    def __init__(self, thread: LoopThread, folder: Path, *, mining_address: str) -> None:
        self.port = host.free_port()
        self.password = "regtest"
        self._program = children.Program(
            name="btcd",
            command=(
                str(installed()),
                "--regtest",
                *("--nolisten", "--nodnsseed", "--notls", "--txindex", "--addrindex"),
                f"--configfile={_empty(folder / 'btcd.conf')}",
                f"--datadir={folder / 'data'}",
                f"--logdir={folder / 'log'}",
                *("--rpcuser=billfold", f"--rpcpass={self.password}", f"--rpclisten=127.0.0.1:{self.port}"),
                f"--miningaddr={mining_address}",
            ),
            lock=folder / "btcd.lock",
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
            folder=folder,
        )
        self.child = thread.run(self._start())

    @property
    def url(self) -> str:
        """Where clients connect to, with the words by which they log in."""
        return f"http://billfold:{self.password}@127.0.0.1:{self.port}/"

    def rpc(self, method: str, *params: object) -> Any:
        """The result of a call."""
        said = httpx2.post(
            self.url, json={"jsonrpc": "1.0", "id": 1, "method": method, "params": params}, timeout=30, trust_env=False
        )
        assert said.json()["error"] is None, said.json()
        return said.json()["result"]

    async def _start(self) -> children.Child:
        child = await children.start(self._program, on_line=deque[str](maxlen=LOG_LINES).append)
        deadline = asyncio.get_running_loop().time() + _READY_TIMEOUT_S
        while not await self._answers():
            if not child.running or asyncio.get_running_loop().time() > deadline:
                await child.stop()
                raise child.failure("was not ready")
            await asyncio.sleep(_POLL_S)
        return child

    async def _answers(self) -> bool:
        async with httpx2.AsyncClient(trust_env=False) as client:
            try:
                said = await client.post(
                    self.url, json={"jsonrpc": "1.0", "id": 1, "method": "getblockcount", "params": []}
                )
            except httpx2.HTTPError:
                return False
            return said.status_code == httpx2.codes.OK


def installed() -> Path:
    """The program, built from its source when it is first wanted.

    Raises: Missing.
    """

    def make(empty: Path) -> Path:
        go = shutil.which("go")
        if go is None:
            raise Missing("btcd is built by Go, which is not installed")
        made = empty / "bin"
        env = os.environ | {"GOBIN": str(made), "GOFLAGS": ""}
        fetching.run((go, "install", _MODULE), timeout_s=_BUILD_TIMEOUT_S, what="Go can't build btcd", env=env)
        return made

    return fetching.cached(f"btcd-{VERSION}", make) / "btcd"


@contextmanager
def running_btcd(folder: Path, *, mining_address: str) -> Iterator[BtcdServer]:
    """A node with its files in `folder`, until the block ends.

    Raises: Missing.
    """
    with loop_thread() as thread:
        server = BtcdServer(thread, folder, mining_address=mining_address)
        with ended_at_the_end(thread, lambda: server.child):
            yield server


def _empty(path: Path) -> Path:
    path.touch()
    return path
