"""One program of the stack, started again whenever it ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from typing import Protocol

from billfold.app.supervisor.restarts import Restarts
from billfold.platform import children, host


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

    def __init__(self, service: Service, *, say: Callable[[str], None], changed: Callable[[], None]) -> None:
        self.service = service
        self.child: children.Child | None = None
        self._say = say
        self._changed = changed
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
            await asyncio.sleep(self._restarts.pause_s(ready_for_s=ready_for_s))
            try:
                return await self.service.start()
            except (children.ChildFailed, host.PortTaken) as error:
                self._say(str(error))
                ready_for_s = 0.0


def _ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
