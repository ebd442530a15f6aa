"""Solana's nodes for tests: our own chain, and `surfnetd`, which others have made, where it is there."""

from __future__ import annotations

import os
import selectors
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from billfold.devservers.fetching import Missing
from billfold.platform import host
from tests.servers.devnets import ANSWER_TIMEOUT_S, READY_TIMEOUT_S, STOP_TIMEOUT_S, DevnetServer

#: Beside the repository, with a README that says what it is.
_SURFNETD = Path(__file__).parents[3] / "shared" / "bin" / "surfnetd"
#: Real slots take 400 ms; here nobody wants to wait 12 s until one is final.
_SLOT_MS = 25


class SolanaServer(DevnetServer):
    """Our own, asked as any node is."""

    def __init__(self, folder: Path, *, block_s: float) -> None:
        super().__init__("solana", folder, block_s=block_s)

    def posted(self, path: str, body: Any) -> httpx2.Response:
        """The whole response."""
        return self._client.post(f"{self.url}{path}", json=body)

    def answer(self, method: str, *params: Any) -> Any:
        """All that is answered to a call."""
        return _answer(self._client, self.url, method, params)

    def call(self, method: str, *params: Any) -> Any:
        """The result of a call."""
        return _result(self.answer(method, *params))


class SurfnetdServer:
    """Another's, with slots of its own accord."""

    def __init__(self, program: Path) -> None:
        port, ws_port = host.free_port(), host.free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [str(program), "--rpc-port", str(port), "--ws-port", str(ws_port), "--slot-ms", str(_SLOT_MS)]
        self._client = httpx2.Client(timeout=ANSWER_TIMEOUT_S, trust_env=False)
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            assert selector.select(READY_TIMEOUT_S), "it says when it is ready"
        assert self._process.stdout.readline().startswith("ready ")

    def call(self, method: str, *params: Any) -> Any:
        """The result of a call."""
        return _result(_answer(self._client, self.url, method, params))

    def close(self) -> None:
        self._client.close()
        self._process.terminate()
        self._process.wait(STOP_TIMEOUT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def running_devnet(folder: Path, *, block_s: float = 0) -> Iterator[SolanaServer]:
    """Our own; by default it makes blocks only when a test wants one."""
    server = SolanaServer(folder, block_s=block_s)
    try:
        yield server
    finally:
        server.close()


def surfnetd() -> Path:
    """The program.

    Raises: Missing.
    """
    path = Path(os.environ.get("SURFNETD", _SURFNETD))
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise Missing("surfnetd is not beside the repository, and $SURFNETD names none")
    return path


@contextmanager
def running_surfnetd(program: Path) -> Iterator[SurfnetdServer]:
    """Another's, until the block ends."""
    server = SurfnetdServer(program)
    try:
        yield server
    finally:
        server.close()


def _answer(client: httpx2.Client, url: str, method: str, params: tuple[Any, ...]) -> Any:
    response = client.post(url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    assert response.status_code == 200, response.text
    return response.json()


def _result(answer: Any) -> Any:
    assert "error" not in answer, answer["error"]
    return answer["result"]
