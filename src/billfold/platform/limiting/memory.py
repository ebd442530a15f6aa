"""Counters in this process."""

from __future__ import annotations

from collections import OrderedDict
from time import time

from limits.aio.storage import MemoryStorage

#: A counter takes about 300 bytes, so this is 15 MB at most for each limit.
COUNTERS_MAX = 50_000


class Memory(MemoryStorage):
    """The library's own storage, with an end to its memory.

    That one looks through all its counters at every hit, and keeps each until its time is over: whoever can send from
    many addresses would have both grow. Here a hit costs the same however many counters there are, and when there are
    too many, the one that was begun longest ago is forgotten.
    """

    def __init__(self) -> None:
        super().__init__()
        self.expirations: OrderedDict[str, float] = OrderedDict()

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count `amount` more within the window of `expiry` seconds that the first one begins."""
        now = time()
        if self.expirations.get(key, 0.0) <= now:
            self._begin(key, now + expiry)
        self.storage[key] += amount
        return self.storage[key]

    def _begin(self, key: str, ends_at: float) -> None:
        self.expirations.pop(key, None)
        while len(self.expirations) >= COUNTERS_MAX:
            oldest, _ = self.expirations.popitem(last=False)
            del self.storage[oldest]
        self.expirations[key] = ends_at
        self.storage[key] = 0
