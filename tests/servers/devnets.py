"""The chains of this machine's own for tests: started, driven, killed and started again."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

#: Loading an engine takes seconds of a processor that others want too.
READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 120.0
ANSWER_TIMEOUT_S = 60.0


class DevnetServer:
    """One chain. Its address and its folder stay."""

    def __init__(self, chain: str, folder: Path, *, block_s: float = 0) -> None:
        """`block_s` seconds from block to block; by default only a test makes them."""
        self.chain = chain
        self.folder = folder
        self._block_s = block_s
        self._port = 0
        self._client = httpx2.Client(timeout=ANSWER_TIMEOUT_S, trust_env=False)
        self.start()

    @property
    def url(self) -> str:
        """Where clients connect to; for bitcoin without the words by which they log in."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def status(self) -> dict[str, Any]:
        """What it is and how far it has come."""
        return self._said(self._client.get(f"{self.url}/devnet"))

    def mine(self, blocks: int = 1) -> dict[str, Any]:
        return self.control("mine", blocks=blocks)

    def faucet(self, address: str, amount: str, *, token: str | None = None, memo: str | None = None) -> str:
        """The id of the transaction that pays."""
        return str(self.control("faucet", address=address, amount=amount, token=token, memo=memo)["chain_tx"])

    def reorg(self, depth: int, *, drop: bool = False) -> dict[str, Any]:
        return self.control("reorg", depth=depth, drop=drop)

    def stall(self, *, stalled: bool) -> dict[str, Any]:
        return self.control("stall", stalled=stalled)

    def control(self, what: str, **told: Any) -> dict[str, Any]:
        """Ask for something; a refusal is an httpx2.HTTPStatusError."""
        return self._said(self._client.post(f"{self.url}/devnet/{what}", json=told))

    def start(self) -> None:
        """Start it, also after `kill` or `stop`, and return when it answers."""
        command = [sys.executable, "-m", "billfold.devnet", self.chain, "--folder", str(self.folder)]
        command += ["--port", str(self._port), "--block-s", str(self._block_s)]
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "stderr").open("ab") as complaints:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                start_new_session=True,
                env=dict(os.environ),
            )
        line = self._first_line()
        assert " is ready at http://127.0.0.1:" in line, f"{line}\n{(self.folder / 'stderr').read_text()}"
        self._port = int(line.rpartition(":")[2])

    def stop(self) -> None:
        """Stop it cleanly."""
        self._process.send_signal(signal.SIGTERM)
        self._ended()

    def kill(self) -> None:
        """SIGKILL it, with whatever it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._ended()

    def close(self) -> None:
        """End it for good."""
        self._client.close()
        self.kill()

    def _ended(self) -> None:
        self._process.wait(STOP_TIMEOUT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _first_line(self) -> str:
        assert self._process.stdout is not None
        deadline = time.monotonic() + READY_TIMEOUT_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(deadline - time.monotonic()):
                self.kill()
                raise TimeoutError(f"{self.chain} was not ready within {READY_TIMEOUT_S:.0f} s")
        return self._process.stdout.readline().decode().strip()

    @staticmethod
    def _said(response: httpx2.Response) -> dict[str, Any]:
        response.raise_for_status()
        found: dict[str, Any] = response.json()
        return found


@contextmanager
def running_devnet(chain: str, folder: Path, *, block_s: float = 0) -> Iterator[DevnetServer]:
    """A chain with its files in `folder`, until the block ends."""
    server = DevnetServer(chain, folder, block_s=block_s)
    try:
        yield server
    finally:
        server.close()
