"""Solana's nodes for tests: our own chain as a program, and `surfnetd`, another's, where it is there."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from billfold.platform import host

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
#: Beside the repository: its README says what it is and where it comes from.
_SURFNETD = Path(__file__).parents[3] / "shared" / "bin" / "surfnetd"


class Node:
    """A node in a process of its own."""

    def __init__(self, command: Sequence[str], url: str) -> None:
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._http = httpx2.Client(timeout=30)
        self.url = url
        self.start()

    def start(self) -> None:
        """Start it, also after a kill, and return when it is ready."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            assert selector.select(READY_TIMEOUT_S), "it says that it is ready"
        assert "ready" in self._process.stdout.readline()

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def close(self) -> None:
        self._end(signal.SIGTERM)
        self._http.close()

    def call(self, method: str, *params: Any) -> Any:
        """The result of a call; an error is an assertion."""
        answer = self.answer(method, *params)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def answer(self, method: str, *params: Any) -> Any:
        """All that is answered to a call."""
        response = self._http.post(self.url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, path: str, **body: Any) -> httpx2.Response:
        return self._http.post(f"{self.url}{path}", json=body)

    def control(self, action: str, **body: Any) -> Any:
        """What our own chain answers to what drives it."""
        response = self.post(f"/devnet/{action}", **body)
        assert response.status_code == 200, response.text
        return response.json()

    def mine(self, blocks: int = 1) -> None:
        self.control("mine", blocks=blocks)

    def faucet(self, address: str, amount: str, **rest: Any) -> str:
        """Play money; the id of its transaction, which waits for a block."""
        given: str = self.control("faucet", address=address, amount=amount, **rest)["chain_tx"]
        return given

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(STOP_TIMEOUT_S)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


@contextmanager
def running_devnet(folder: Path, *, block_s: float = 0) -> Iterator[Node]:
    """Our own; by default it makes blocks only when told to."""
    port = host.free_port()
    module = [sys.executable, "-m", "billfold.devnet", "solana"]
    command = [*module, "--port", str(port), "--folder", str(folder), "--block-s", str(block_s)]
    node = Node(command, f"http://127.0.0.1:{port}")
    try:
        yield node
    finally:
        node.close()


def surfnetd() -> Path | None:
    """The program, if this machine has it."""
    path = Path(os.environ.get("SURFNETD", _SURFNETD))
    return path if path.is_file() and os.access(path, os.X_OK) else None


@contextmanager
def running_surfnetd(program: Path, *, slot_ms: int = 50) -> Iterator[Node]:
    """Another's, with slots of its own accord; the faster they are, the sooner one is final."""
    port, ws_port = host.free_port(), host.free_port()
    command = [str(program), "--rpc-port", str(port), "--ws-port", str(ws_port), "--slot-ms", str(slot_ms)]
    node = Node(command, f"http://127.0.0.1:{port}")
    try:
        yield node
    finally:
        node.close()
