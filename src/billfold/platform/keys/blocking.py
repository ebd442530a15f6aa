"""Clients that block, called beside the event loop: a few at a time, and none is waited for without end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from billfold.platform.keys.envelope import KeysUnavailable

#: A provider that takes longer is away, as far as whoever waits is concerned.
TIMEOUT_S = 8.0
#: Calls that are under way or wait for their turn. With more the provider can't keep up, and callers are told so.
CALLS_MAX = 64

P = ParamSpec("P")
R = TypeVar("R")


class Blocking:
    """Calls one provider."""

    def __init__(self, name: str, *, threads: int) -> None:
        self._name = name
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"keys {name}")
        self._room = threading.BoundedSemaphore(CALLS_MAX)

    async def call(self, function: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
        """What the function answers.

        Raises:
            KeysUnavailable: it has not answered in time, or too many wait already. What it raises itself comes through.
        """
        if not self._room.acquire(blocking=False):
            raise KeysUnavailable(f"{self._name} can't keep up: {CALLS_MAX} calls wait for it.")
        future = self._pool.submit(function, *args, **named)
        # Until the thread is through with it, not until we are tired of it.
        future.add_done_callback(lambda _: self._room.release())
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), TIMEOUT_S)
        except TimeoutError as error:
            raise KeysUnavailable(f"{self._name} has not answered within {TIMEOUT_S:g} seconds.") from error

    def close(self) -> None:
        """Take no more calls; those under way are left to themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)
