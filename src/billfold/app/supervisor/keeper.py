"""One program of the stack, started again whenever it ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from billfold.app.supervisor.restarts import Restarts
from billfold.platform import children, host

#: Two segments of PostgreSQL's write-ahead log: without room for a new one it would end as soon as it is used.
ROOM_BYTES = 32 * 1024**2
ROOM_POLL_S = 1.0


class Service(Protocol):
    """Something that can be started, and again after it has ended."""

    @property
    def name(self) -> str:
        """What its log lines and messages are headed with."""
        ...

    async def start(self) -> children.Child:
        """Start it and return when it is ready.

        Raises: ChildFailed, PortTaken.
        """
        ...


class Keeper:
    """Keeps one service running from `start` until `stop`."""

    def __init__(
        self,
        service: Service,
        *,
        say: Callable[[str], None],
        changed: Callable[[], None],
        writes_to: Path | None = None,
    ) -> None:
        """`say` and `changed` hear of each restart. What writes to a folder is not started while its disk is full."""
        self.service = service
        self.child: children.Child | None = None
        self._say = say
        self._changed = changed
        self._writes_to = writes_to
        self._restarts = Restarts(service.name)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the service for the first time. What fails now is wrong with its settings, so it is not tried again.

        Raises: ChildFailed, and what else the service's start raises.
        """
        self.child = await self.service.start()
        self._task = asyncio.create_task(self._keep(self.child))

    async def failed(self) -> None:
        """Wait until the service can't be kept running.

        Raises: GaveUp, LeftoverProcess.
        """
        assert self._task is not None, "the service has not been started"
        await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Stop the service, whatever it is doing, and wait for its end."""
        if self._task is not None:
            self._task.cancel()
            # Why the keeping may have ended before has been told by `failed`.
            await asyncio.gather(self._task, return_exceptions=True)
        if self.child is not None:
            await self.child.stop()

    async def _keep(self, child: children.Child) -> None:
        while True:
            ready_at = time.monotonic()
            code = await child.wait()
            self._say(f"{self.service.name} {_ended(code)}; it is started again")
            child = await self._start_again(ready_for_s=time.monotonic() - ready_at)
            self.child = child
            self._say(f"{self.service.name} is ready again")
            self._changed()

    async def _start_again(self, *, ready_for_s: float) -> children.Child:
        while True:
            await self._wait_for_room()
            await asyncio.sleep(self._restarts.pause_s(ready_for_s=ready_for_s))
            try:
                return await self.service.start()
            except (children.ChildFailed, host.PortTaken, OSError) as error:
                self._say(f"{self.service.name} can't be started: {error}")
                ready_for_s = 0.0

    async def _wait_for_room(self) -> None:
        """A full disk is no fault of the program, so it is waited out however long it lasts."""
        told = False
        while self._writes_to is not None and shutil.disk_usage(self._writes_to).free < ROOM_BYTES:
            if not told:
                told = True
                self._say(f"the disk is full: {self.service.name} waits until {ROOM_BYTES >> 20} MB are free")
            await asyncio.sleep(ROOM_POLL_S)


def _ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
