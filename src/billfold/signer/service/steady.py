"""A clock that is not believed when it jumps ahead: a line of the log stays, and the next one is never earlier.

One line of a year that has not come yet would leave every window as used up as it is until that year.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from billfold.kernel.clock import Clock
from billfold.signer import errors

#: Clocks that are kept right over the network step by far less, and a window is free again at most so much too early.
JUMP_MAX: Final = timedelta(minutes=5)
#: Goes on while the machine sleeps, where the system has such a clock.
_RUNNING: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def running_s() -> float:
    """Seconds that have gone by since some moment, whatever the machine's clock is set to meanwhile."""
    return time.clock_gettime(_RUNNING)


class SteadyClock:
    """A clock, as long as it has not gone ahead of the time that has gone by since it was first looked at."""

    def __init__(self, clock: Clock, *, running_s: Callable[[], float] = running_s) -> None:
        self._clock = clock
        self._running_s = running_s
        self._began, self._began_s = clock.now(), running_s()

    def now(self) -> datetime:
        """The present instant, in UTC.

        Raises:
            ClockJumped: nobody knows it.
        """
        now = self._clock.now()
        expected = self._began + timedelta(seconds=self._running_s() - self._began_s)
        if now > expected + JUMP_MAX:
            raise errors.ClockJumped(
                f"The signer's clock says {now.isoformat(timespec='seconds')}, and by the time that has gone by since "
                f"the signer was started it is {expected.isoformat(timespec='seconds')}. Nothing is signed meanwhile: "
                "set the clock right, or, where it is right now, restart the signer."
            )
        return now
