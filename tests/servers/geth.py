"""Geth, where it is installed or cached: a second node of Ethereum beside anvil, in its development mode.

Building it takes minutes of a processor, so the tests never do: `GOBIN=~/.cache/billfold-tests/geth-1.17.8 go install
github.com/ethereum/go-ethereum/cmd/geth@v1.17.8` puts it where they look.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from billfold.devservers import Missing
from billfold.platform import host

VERSION = "1.17.8"
_READY_TIMEOUT_S = 60.0
_POLL_S = 0.05
_ANSWER_TIMEOUT_S = 60.0


class Geth:
    """One node that makes a block for whatever it is sent, with an account that has all the coins."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/"

    @property
    def rich(self) -> str:
        """The account that the node itself signs for."""
        return str(self.call("eth_accounts")[0])

    def call(self, method: str, *params: Any) -> Any:
        """What it answers."""
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = httpx2.post(self.url, json=asked, timeout=_ANSWER_TIMEOUT_S).json()
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def send(self, to: str | None, *, value: int = 0, data: bytes = b"") -> Any:
        """The receipt of a transaction of the rich account's."""
        what = {"from": self.rich, "value": hex(value), "data": "0x" + data.hex()} | ({"to": to} if to else {})
        return self.receipt(self.call("eth_sendTransaction", what))

    def receipt(self, chain_tx: str) -> Any:
        """The receipt of a transaction, once a block has it."""
        deadline = time.monotonic() + _ANSWER_TIMEOUT_S
        while (found := self.call("eth_getTransactionReceipt", chain_tx)) is None:
            assert time.monotonic() < deadline, f"no block has {chain_tx}"
            time.sleep(_POLL_S)
        return found


@contextmanager
def running_geth(folder: Path) -> Iterator[Geth]:
    """A node with its files in `folder`, until the block ends.

    Raises: Missing.
    """
    port, other = host.free_port(), host.free_port()
    options = ["--dev", "--dev.period", "0", "--datadir", str(folder), "--ipcdisable", "--verbosity", "1"]
    options += ["--http", "--http.addr", "127.0.0.1", "--http.port", str(port), "--http.api", "eth,net,web3,debug,dev"]
    options += ["--authrpc.port", str(other), "--port", "0", "--nodiscover", "--maxpeers", "0", "--cache", "64"]
    process = subprocess.Popen(
        [_program(), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        geth = Geth(port)
        _wait_for(geth)
        yield geth
    finally:
        process.kill()
        process.wait()


def _program() -> str:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "billfold-tests"
    cached = cache / f"geth-{VERSION}" / "geth"
    found = os.environ.get("GETH") or shutil.which("geth") or (str(cached) if cached.exists() else None)
    if found is None:
        raise Missing(
            f"geth is neither on the PATH nor in {cached.parent.name} of the cache; it is not built for a test"
        )
    return found


def _wait_for(geth: Geth) -> None:
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while True:
        try:
            geth.call("eth_chainId")
        except httpx2.HTTPError:
            assert time.monotonic() < deadline, "geth does not answer"
            time.sleep(_POLL_S)
        else:
            return
