"""What a place in a block costs: asked of the chain now and then, kept with its age, served while no node answers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
import structlog

from billfold.chains.errors import NodeUnavailable, NodeWrong
from billfold.chains.port import Chain, Payment, Rate, Speed
from billfold.custody import errors
from billfold.custody.service.withdrawals.parts import Parts
from billfold.custody.store import sources as store
from billfold.custody.store.sources import Kept

#: Within so long a chain is not asked again.
FRESH = timedelta(seconds=10)
#: What is older says so.
STALE = timedelta(minutes=1)
#: By what is older nobody should decide anything.
AGE_MAX = timedelta(hours=1)

log = structlog.get_logger(__name__)


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What a chain asks, and since when that is known."""

    by_speed: Mapping[Speed, Rate]
    #: What payments cost by them, by token and speed.
    estimates: Mapping[str, int]
    age: timedelta

    @property
    def stale(self) -> bool:
        """Whether it is older than it should be."""
        return self.age > STALE


class Fees:
    """Knows what chains ask."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def rates(self, chain: Chain) -> Rates:
        """What the chain asks for three speeds.

        Raises:
            FeesUnknown: nobody has known it for too long.
        """
        async with self._parts.database.connection() as connection:
            kept = await store.kept(connection, chain.name)
        return await self.fresh(chain, kept)

    async def fresh(self, chain: Chain, kept: Kept | None) -> Rates:
        """The same, for whoever has read what is kept.

        Raises:
            FeesUnknown: nobody has known it for too long.
        """
        now = self._parts.now()
        if kept is None or now - kept.asked_at > FRESH:
            try:
                asked = await chain.rates()
            except (NodeUnavailable, NodeWrong) as error:
                # Who reads the chain tells when its nodes are away; what they say wrongly is met here alone.
                level = logging.INFO if isinstance(error, NodeUnavailable) else logging.WARNING
                said = "a chain does not say what it asks for a place in a block"
                log.log(level, said, chain=chain.name, why=error.detail)
            else:
                return await self._keep(chain, asked, {} if kept is None else kept.estimates, now)
        if kept is None or now - kept.asked_at > AGE_MAX:
            raise errors.FeesUnknown
        by_speed = msgspec.convert(
            {speed: {"numbers": numbers} for speed, numbers in kept.rates.items()}, dict[Speed, Rate]
        )
        return Rates(by_speed=by_speed, estimates=kept.estimates, age=max(now - kept.asked_at, timedelta()))

    async def _keep(
        self, chain: Chain, asked: Mapping[Speed, Rate], estimates: Mapping[str, int], now: datetime
    ) -> Rates:
        async with self._parts.database.connection() as connection:
            numbers: dict[str, object] = {speed: dict(rate.numbers) for speed, rate in asked.items()}
            await store.keep_rates(connection, chain.name, numbers, now=now)
        return Rates(by_speed=asked, estimates=estimates, age=timedelta())

    async def estimate(self, chain: Chain, payment: Payment, *, source: str, speed: Speed, rates: Rates) -> int:
        """The highest network fee of a transaction with this payment, or what such a one cost when a node last said so.

        Raises:
            FeesUnknown: no node says so, and none has before.
        """
        try:
            found = await chain.estimate([payment], source=source, rate=rates.by_speed[speed])
        except NodeUnavailable:
            known = rates.estimates.get(f"{payment.token or ''} {speed}")
            if known is None:
                raise errors.FeesUnknown from None
            return known
        if rates.estimates.get(f"{payment.token or ''} {speed}") == found:
            return found
        async with self._parts.database.connection() as connection:
            await store.keep_estimate(connection, chain.name, payment.token, speed, found)
        return found
