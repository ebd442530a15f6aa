"""What another server publishes, kept for as long as it says, within bounds, and for a while longer when it is down."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Generic, TypeVar

import structlog

from billfold.kernel.errors import BillfoldError
from billfold.platform.fetching import Fetched, FetchFailed

T = TypeVar("T")

#: Nobody is asked more often than this, however short they say their answer is good, nor less often.
FRESH_MIN_S = 5 * 60.0
FRESH_MAX_S = 24 * 3600.0
#: Of an answer that says nothing of it.
_FRESH_S = 3600.0
#: An answer that can't be renewed is believed for so long beyond its time; keys that were withdrawn meanwhile, too.
STALE_MAX_S = 3600.0
#: Whatever strangers send, the server is asked again before the time at most this often.
RENEWED_EVERY_S = 30.0
#: A server that has just failed is left alone for so long.
RETRIED_AFTER_S = 5.0

_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=\"?(\d{1,15})\"?(?:$|[,\s])", re.IGNORECASE)

log = structlog.get_logger(__name__)


class Published(Generic[T]):
    """A document of another server's. `read` makes of it what is wanted, and raises when that can't be."""

    def __init__(
        self,
        name: str,
        *,
        fetch: Callable[[], Awaitable[Fetched]],
        read: Callable[[bytes], T],
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._name = name
        self._fetch = fetch
        self._read = read
        self._now = now
        self._value: T | None = None
        self._fresh_until = 0.0
        self._asked_at: float | None = None
        self._failed_at: float | None = None
        self._asking: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """The document as it was published lately; only the first one ever asked for is waited for.

        Raises:
            FetchFailed: there is none that can be believed.
        """
        now = self._now()
        if self._value is None or now >= self._fresh_until + STALE_MAX_S:
            return await self._asked()
        if now >= self._fresh_until and not self._failed_lately(now):
            # The old one serves meanwhile; a failure is told there.
            _ = self._ask()
        return self._value

    async def renewed(self) -> T:
        """The document as it is published now, or as it was half a minute ago.

        Raises:
            FetchFailed: there is none, or it could not be renewed when that was tried last.
        """
        now = self._now()
        if self._asking is None and self._asked_at is not None and now < self._asked_at + RENEWED_EVERY_S:
            if self._failed_at is not None:
                raise FetchFailed(f"{self._name} could not be had a moment ago.")
            return await self.get()
        return await self._asked()

    async def _asked(self) -> T:
        if self._asking is None and self._failed_lately(self._now()):
            raise FetchFailed(f"{self._name} could not be had a moment ago.")
        # Whoever asks meanwhile waits for the same answer; one that gives up does not end it.
        return await asyncio.shield(self._ask())

    def _ask(self) -> asyncio.Task[T]:
        if self._asking is None:
            self._asking = asyncio.create_task(self._fetched(), name=f"fetch {self._name}")
            self._asking.add_done_callback(self._ended)
        return self._asking

    def _ended(self, task: asyncio.Task[T]) -> None:
        self._asking = None
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, BillfoldError):
            log.error("what a provider publishes could not be read", document=self._name, exc_info=error)

    async def _fetched(self) -> T:
        self._asked_at = asked_at = self._now()
        try:
            answer = await self._fetch()
            value = self._read(answer.body)
        except BillfoldError as error:
            self._failed_at = self._now()
            log.warning("what a provider publishes can't be had", document=self._name, reason=error.detail)
            if isinstance(error, FetchFailed):
                raise
            raise FetchFailed(error.detail) from error
        self._value, self._failed_at = value, None
        self._fresh_until = asked_at + _fresh_s(answer.headers)
        return value

    def _failed_lately(self, now: float) -> bool:
        return self._failed_at is not None and now < self._failed_at + RETRIED_AFTER_S


def _fresh_s(headers: Mapping[str, str]) -> float:
    said = headers.get("cache-control", "").lower()
    found = _MAX_AGE.search(said)
    if found is None or "no-store" in said or "no-cache" in said:
        return FRESH_MIN_S if said else _FRESH_S
    return min(max(float(found[1]), FRESH_MIN_S), FRESH_MAX_S)
