"""Growing waits: whoever fails again and again has to wait for longer each time."""

from __future__ import annotations

import contextlib
import math
from time import time

from limits.aio.strategies import FixedWindowRateLimiter

from billfold.platform.limiting.limiter import Shared, SharedLost
from billfold.platform.limiting.memory import Memory

#: Attempts that may fail before there is any wait: people mistype, and have several devices.
FREE = 3
#: The wait after the first further one; it doubles with each.
WAIT_FIRST_S = 1
WAIT_MAX_S = 15 * 60
#: From the first failure on. Then all is forgotten, so that guessing gets about a hundred attempts in a day.
REMEMBERED_S = 24 * 3600


class Backoff:
    """Lets one attempt at a time through, each after a longer wait than the one before. `name` parts them from others.

    An attempt is counted before it is known how it ends, so that a thousand at once are no way around it; `forgive`
    takes back all that were counted.
    """

    def __init__(self, name: str, *, shared: Shared | None = None) -> None:
        self._name = name
        self._own = FixedWindowRateLimiter(Memory())
        self._shared = shared

    async def attempt(self, who: str) -> int:
        """Count one more attempt of `who`'s; the seconds to wait instead, when it comes too early. 0 is go on."""
        shared = self._shared
        if shared is not None and shared.up:
            try:
                return await shared.ask(lambda strategy: self._attempt(strategy, who))
            except SharedLost:
                pass  # From here on until it is back each process counts for itself.
        return await self._attempt(self._own, who)

    async def forgive(self, who: str) -> None:
        """Forget what `who` has attempted: it has ended well."""
        await self._forgive(self._own, who)
        shared = self._shared
        if shared is not None and shared.up:
            # One that is lost now forgets by itself within a day.
            with contextlib.suppress(SharedLost):
                await shared.ask(lambda strategy: self._forgive(strategy, who))

    async def _attempt(self, strategy: FixedWindowRateLimiter, who: str) -> int:
        storage, attempts, turn = strategy.storage, self._key("attempts", who), self._key("turn", who)
        before = await storage.get(attempts)
        if before >= FREE and (wait_s := await self._wait(strategy, turn, before)):
            return wait_s  # What is refused does not count: nobody makes another's wait longer by hammering.
        counted = await storage.incr(attempts, REMEMBERED_S)
        # Of many at once all may have seen the same number before, but not the same one after.
        return await self._wait(strategy, turn, counted - 1) if before < FREE < counted else 0

    async def _wait(self, strategy: FixedWindowRateLimiter, turn: str, attempts: int) -> int:
        """Take the turn that there is once in the present wait; the rest of the wait if somebody has taken it."""
        whole_s = min(WAIT_MAX_S, WAIT_FIRST_S << min(attempts - FREE, WAIT_MAX_S.bit_length()))
        if await strategy.storage.incr(turn, whole_s) == 1:
            return 0
        return max(1, math.ceil(await strategy.storage.get_expiry(turn) - time()))

    async def _forgive(self, strategy: FixedWindowRateLimiter, who: str) -> None:
        await strategy.storage.clear(self._key("attempts", who))
        await strategy.storage.clear(self._key("turn", who))

    def _key(self, kind: str, who: str) -> str:
        return f"{self._name}/{kind}/{who}"
