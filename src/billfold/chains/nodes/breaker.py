"""Which node is left alone for a while, and for how long."""

from __future__ import annotations

#: One slow answer is no outage; so many one after the other are.
FAILURES_MAX = 3
#: The first pause after an outage was seen, and the longest: a node that comes back is used again soon.
PAUSE_FIRST_S = 1.0
PAUSE_MAX_S = 30.0
#: Whatever a node asks for with Retry-After, it is asked again after so long.
REST_MAX_S = 60.0


class Breaker:
    """Counts what a node fails to do. Instants are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._failures = 0
        self._pause_s = PAUSE_FIRST_S
        self._closed_until = 0.0
        self._resting_until = 0.0

    def open_at(self, now: float) -> bool:
        """Whether the node may be asked now. After a pause it may be, and its next answer decides."""
        return now >= max(self._closed_until, self._resting_until)

    def succeeded(self) -> None:
        self._failures = 0
        self._pause_s = PAUSE_FIRST_S
        self._closed_until = 0.0

    def failed(self, now: float) -> None:
        self._failures += 1
        # What was on its way when the pause began says nothing new.
        if self._failures >= FAILURES_MAX and now >= self._closed_until:
            self._closed_until = now + self._pause_s
            self._pause_s = min(self._pause_s * 2, PAUSE_MAX_S)

    def rest(self, now: float, seconds: float) -> None:
        """The node has asked to be left alone for so long."""
        self._resting_until = now + min(max(seconds, PAUSE_FIRST_S), REST_MAX_S)

    @property
    def failing(self) -> bool:
        """Whether the last call has failed."""
        return self._failures > 0
