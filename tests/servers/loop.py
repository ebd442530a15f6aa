"""The event loop that the servers of tests live on, in a thread of its own: sync and async tests use them alike."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from billfold.platform import children

T = TypeVar("T")

#: Any step of a test server takes well under a second; a slow machine is forgiven, a hanging one is not.
STEP_TIMEOUT_S = 120.0
LOG_LINES = 200


class LoopThread:
    """An event loop in a thread, for what must outlive any single test's loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="test-servers", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], *, timeout_s: float = STEP_TIMEOUT_S) -> T:
        """Run `work` on the loop and give back its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)

    def close(self) -> None:
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STEP_TIMEOUT_S)
        self._loop.close()


@contextmanager
def loop_thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    try:
        yield thread
    finally:
        thread.close()


@contextmanager
def ended_at_the_end(
    thread: LoopThread, child: Callable[[], children.Child], *, by: signal.Signals = signal.SIGKILL
) -> Iterator[None]:
    """Nobody wants its files afterwards, and a clean end writes all of them."""
    try:
        yield
    finally:
        thread.run(_ended(child(), by))


async def _ended(child: children.Child, by: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.process.send_signal(by)
    await child.wait()
