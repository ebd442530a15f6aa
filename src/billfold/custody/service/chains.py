"""How far each chain is read, what the house has open on it, and an operator's words about both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from billfold.custody import errors
from billfold.custody.contracts import ChainState, ChainStatus, Opening, OpeningState
from billfold.custody.service.addresses import Addresses
from billfold.custody.service.recording import EMPTY_AT_ONCE, KEPT_DEPTHS
from billfold.custody.service.served import Served, Serving
from billfold.custody.store import coins, deposits, openings
from billfold.custody.store import cursors as store
from billfold.custody.store.cursors import Cursor, Known
from billfold.kernel.clock import Clock
from billfold.platform.postgres.database import Database

#: A chain whose nodes have said nothing for so long is silent: its watcher looks several times a minute.
SILENT_AFTER = timedelta(minutes=1)
#: With more blocks to read than this it is behind.
BEHIND_FROM = 3
#: How far it is, in the words of whoever waits for it.
_OPENINGS: Mapping[openings.State, OpeningState] = {"wanted": "waiting", "allocated": "opening", "open": "open"}

log = structlog.get_logger(__name__)


class Chains:
    """Of all chains that are served."""

    def __init__(self, *, serving: Serving, database: Database, addresses: Addresses, clock: Clock) -> None:
        self._serving = serving
        self._database = database
        self._addresses = addresses
        self._clock = clock

    async def states(self) -> list[ChainState]:
        """Every chain as it is read now."""
        async with self._database.connection() as connection:
            cursors = await store.all_(connection)
            opened = await openings.all_(connection)
        now = self._clock.now()
        return [_state(served, cursors.get(served.name), opened, now) for served in self._serving.all]

    async def state(self, *, chain: str) -> ChainState:
        """One of them.

        Raises:
            ChainUnknown
        """
        self._serving.get(chain)
        return next(one for one in await self.states() if one.id == chain)

    async def resume(self, *, chain: str) -> ChainState:
        """Read on in a halted chain, and follow it as far back as its blocks are kept.

        Raises:
            ChainUnknown
            ChainNotHalted: it is being read.
        """
        depth = self._serving.get(chain).terms.reorg_limit * KEPT_DEPTHS
        async with self._database.transaction() as connection:
            if not await store.resume(connection, chain, depth_allowed=depth):
                raise errors.ChainNotHalted
        return await self.state(chain=chain)

    async def rescan(self, *, chain: str, height: int) -> ChainState:
        """Read a halted chain anew from a block on, whatever it was before; what is not there any more is taken back.

        What is there is known by transaction and place, and is not credited again.

        Raises:
            ChainUnknown
            ChainNotHalted: it is being read.
            RescanTooHigh: what was read below is not on the chain any more, or the chain is not so long.
            NodeUnavailable, NodeWrong.
        """
        served = self._serving.get(chain)
        cursor = (await self.cursors()).get(chain)
        if cursor is None or cursor.halted is None:
            raise errors.ChainNotHalted
        below = await self._checked(served, cursor, height)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            if not await store.begin_again(connection, chain, at=below):
                raise errors.ChainNotHalted
            await deposits.unmine(connection, chain, above=below.height, now=now)
            await coins.unmine(connection, chain, above=below.height)
        log.warning("a chain is read anew by an operator's word", chain=chain, from_height=height)
        return await self.state(chain=chain)

    async def _checked(self, served: Served, cursor: Cursor, height: int) -> Known:
        """The block before that height. The last one below it that has brought something must be on the chain still."""
        async with self._database.connection() as connection:
            last = await deposits.last_block(connection, served.name, below=height)
        if height > cursor.height + 1:
            raise errors.RescanTooHigh("Nothing has been read so far: blocks in between would never be.")
        if last is not None:
            there = await served.chain.block(last[0])
            if there is None or there.hash != last[1]:
                raise errors.RescanTooHigh(f"Block {last[0]} is not the one any more that has brought a deposit.")
        for below in range(height - 1, max(height - 1 - EMPTY_AT_ONCE, -1), -1):
            block = await served.chain.block(below)
            if block is not None:
                return Known(block.height, block.hash, block.parent, block.time)
        raise errors.RescanTooHigh("The chain has no block before that.")

    async def open_channels(self, *, chain: str, count: int) -> ChainState:
        """Have so many channels at least; the worker opens those that are missing. Again is no change.

        Raises:
            ChainUnknown
            ChannelsNotKnown: the chain has no such thing.
            AddressesUnavailable, DatabaseUnavailable.
        """
        if not self._serving.get(chain).withdrawing.channel_reserve:
            raise errors.ChannelsNotKnown
        channels = await self._addresses.of_house(chain=chain, purpose="channel", count=count)
        async with self._database.transaction() as connection:
            await openings.want(connection, chain, "channel", channels, now=self._clock.now())
        return await self.state(chain=chain)

    async def cursors(self) -> Mapping[str, Cursor]:
        """How far each chain is read that was begun."""
        async with self._database.connection() as connection:
            return await store.all_(connection)


def _state(served: Served, cursor: Cursor | None, opened: Sequence[openings.Row], now: datetime) -> ChainState:
    lag = None if cursor is None else max(cursor.head_height - cursor.height, 0)
    return ChainState(
        id=served.name,
        network=served.chain.network,
        coin=served.chain.coin,
        status=_status(cursor, lag, now),
        height=None if cursor is None else cursor.height,
        head=None if cursor is None else cursor.head_height,
        lag=lag,
        block_time=None if cursor is None else cursor.block_time,
        credit_after=served.terms.credit_after,
        release_after=served.terms.release_after,
        halted=None if cursor is None else cursor.halted,
        halted_detail=None if cursor is None else cursor.halted_detail,
        partial_from=None if cursor is None else cursor.partial_from,
        openings=[
            Opening(kind=one.kind, subject=one.subject, state=_OPENINGS[one.state], reason=one.reason)
            for one in opened
            if one.chain == served.name
        ],
    )


def _status(cursor: Cursor | None, lag: int | None, now: datetime) -> ChainStatus:
    if cursor is None or lag is None:
        return "starting"
    if cursor.halted is not None:
        return "halted"
    if now - cursor.head_at > SILENT_AFTER:
        return "silent"
    return "behind" if lag >= BEHIND_FROM else "reading"
