"""Writes down what blocks bring and take back: each change of the cursor, and all it means, is one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog
from msgspec.structs import replace

from billfold.chains.port import Block, Movement
from billfold.custody import errors
from billfold.custody.domain import matching
from billfold.custody.service import metrics, telling
from billfold.custody.service.addresses import REFILLED
from billfold.custody.service.served import Served
from billfold.custody.store import addresses, coins, cursors, deposits
from billfold.custody.store.cursors import Cursor, Known
from billfold.kernel import ids
from billfold.kernel.clock import Clock
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Connection, Database

#: So many times the depth that is followed without an operator is kept, for when an operator allows more.
KEPT_DEPTHS = 10
#: Heights in a row without a block that are passed over in one step; Solana skips some at a time.
EMPTY_AT_ONCE = 1_000
#: Old blocks are forgotten at every so-manieth height.
_PRUNE_EVERY = 64
#: What has been seen, and then in no block nor waiting for one for so long, is given up; it may still come.
GIVEN_UP_AFTER = timedelta(minutes=10)
#: Of what waits for a block so much is looked at, and so much is given up at once.
PENDING_MAX = 20_000
_GIVEN_UP_MAX = 500

#: The codes of a chain's assets, by their tokens; None is its own coin.
Assets = Mapping[str | None, str]

log = structlog.get_logger(__name__)


class Recording:
    """Of one chain."""

    def __init__(self, *, served: Served, database: Database, ledger: Ledger, clock: Clock) -> None:
        self._served = served
        self._chain = served.name
        self._database = database
        self._ledger = ledger
        self._clock = clock

    async def record(self, block: Block, cursor: Cursor, assets: Assets) -> Cursor:
        """Write what the next block brings, and move the cursor to it.

        Raises:
            CursorMoved: another process has read on.
            BlockWrong: the block can't be.
            DatabaseUnavailable: nothing is written, or (CommitUnknown) perhaps all.
        """
        matching.check(block, height=block.height)
        now = self._clock.now()
        to = Known(block.height, block.hash, block.parent, block.time)
        async with self._database.transaction() as connection:
            await self._move(connection, cursor, to)
            await cursors.add_block(connection, self._chain, to)
            if block.height % _PRUNE_EVERY == 0:
                keep = self._served.terms.reorg_limit * KEPT_DEPTHS
                await cursors.prune_blocks(connection, self._chain, keep=keep)
            arrived, passed = await self._sorted(connection, block, assets)
            if arrived:
                await deposits.correct(connection, self._chain, arrived)
                rows = await deposits.record(
                    connection,
                    self._chain,
                    arrived,
                    ids=ids.many(len(arrived)),
                    now=now,
                    height=block.height,
                    block=block.hash,
                )
                await telling.tell(connection, self._ledger, "detected", rows, now=now)
            if passed:
                await deposits.ignore(connection, self._chain, passed, height=block.height)
            partial_from = await self._partial(connection, block, cursor)
        metrics.HEIGHT.labels(self._chain).set(block.height)
        return replace(
            cursor, height=to.height, hash=to.hash, block_time=to.time, moved_at=now, partial_from=partial_from
        )

    async def _partial(self, connection: Connection, block: Block, cursor: Cursor) -> int | None:
        """Since when the nodes do not show everything; a block with nothing to show says nothing about that."""
        before = cursor.partial_from
        if block.partial is None or block.partial == (before is not None):
            return before
        since = block.height if block.partial else None
        await cursors.note_partial(connection, self._chain, since=since)
        if block.partial:
            log.warning("the nodes do not show all that blocks move", chain=self._chain, from_height=since)
        else:
            log.warning(
                "the nodes show again all that blocks move; of these something may be missing",
                chain=self._chain,
                from_height=before,
                to_height=block.height - 1,
            )
        return since

    async def _move(self, connection: Connection, cursor: Cursor, to: Known) -> None:
        before = (cursor.height, cursor.hash)
        if not await cursors.move(connection, self._chain, before=before, to=to, now=self._clock.now()):
            raise errors.CursorMoved

    async def _sorted(
        self, connection: Connection, block: Block, assets: Assets
    ) -> tuple[Sequence[matching.Arrived], Sequence[matching.Passed]]:
        ours = await addresses.ours(connection, self._chain, matching.places(block.movements))
        mine = [movement for movement in block.movements if matching.owner(movement, ours) is not None]
        own: set[str] = set()
        if self._served.chain.model == "coins":
            own = await self._coins(connection, block, mine)
        fed: set[str] = set()
        if mine:
            transactions = {movement.chain_tx for movement in mine}
            own |= await coins.own(connection, self._chain, transactions)
            fed = await coins.fed(connection, self._chain, own & transactions)
        return await self._matched(connection, mine, ours, assets, own=own, fed=fed)

    async def _matched(
        self,
        connection: Connection,
        mine: Sequence[Movement],
        ours: Mapping[matching.Place, matching.Ours],
        assets: Assets,
        *,
        own: set[str],
        fed: set[str],
    ) -> tuple[list[matching.Arrived], list[matching.Passed]]:
        sender, in_coins = self._served.warm, self._served.chain.model == "coins"
        at = await addresses.of_house(connection, self._chain, "hot") if mine and sender and in_coins else {}
        warm = matching.Warm(sender=sender, address=at.get(REFILLED))
        shared = self._served.showing.SHARED
        return matching.sort(mine, ours=ours, assets=assets, own=own, fed=fed, shared=shared, warm=warm)

    async def _coins(self, connection: Connection, block: Block, mine: Sequence[Movement]) -> set[str]:
        """Keep coins that came, note those that went, and say which transactions are ours because they took them."""
        made = [
            coins.New(one.chain_tx, one.index, one.address, one.amount, block.height + one.matures_after)
            for one in mine
            if one.token is None and one.amount > 0
        ]
        if made:
            await coins.add(connection, self._chain, made, height=block.height)
        used = [coins.Used(one.chain_tx, one.index, one.by) for one in block.spent]
        return await coins.spend(connection, self._chain, used, height=block.height) if used else set()

    async def walk_back(self, cursor: Cursor, ancestor: Known) -> Cursor:
        """Take back what the blocks above `ancestor` brought; what is credited stays so until the new ones are read.

        Raises:
            CursorMoved, DatabaseUnavailable.
        """
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await self._move(connection, cursor, ancestor)
            await cursors.drop_blocks(connection, self._chain, above=ancestor.height)
            await deposits.unmine(connection, self._chain, above=ancestor.height, now=now)
            await coins.unmine(connection, self._chain, above=ancestor.height)
            await cursors.forget_allowance(connection, self._chain)
        replaced = cursor.height - ancestor.height
        metrics.REORGANISED.labels(self._chain).inc(replaced)
        log.warning(
            "the chain has replaced blocks", chain=self._chain, blocks=replaced, from_height=ancestor.height + 1
        )
        return replace(
            cursor,
            height=ancestor.height,
            hash=ancestor.hash,
            block_time=ancestor.time,
            moved_at=now,
            depth_allowed=None,
        )

    async def pending(self, movements: Sequence[Movement], assets: Assets) -> None:
        """Write what waits for a block, and give up what does not any more. Nothing of it is credited.

        Raises:
            BlockWrong, DatabaseUnavailable.
        """
        movements = movements[:PENDING_MAX]
        matching.check_movements(movements)
        async with self._database.transaction() as connection:
            ours = await addresses.ours(connection, self._chain, matching.places(movements)) if movements else {}
            mine = [movement for movement in movements if matching.owner(movement, ours) is not None]
            if mine:
                await self._wait(connection, mine, ours, assets)
            now = self._clock.now()
            gone = await deposits.give_up(
                connection, self._chain, before=now - GIVEN_UP_AFTER, now=now, limit=_GIVEN_UP_MAX
            )
            await telling.tell(connection, self._ledger, "reverted", gone, now=now)

    async def _wait(
        self,
        connection: Connection,
        mine: Sequence[Movement],
        ours: Mapping[matching.Place, matching.Ours],
        assets: Assets,
    ) -> None:
        now = self._clock.now()
        transactions = sorted({movement.chain_tx for movement in mine})
        own = await coins.own(connection, self._chain, transactions)
        fed = await coins.fed(connection, self._chain, own)
        arrived, _ = await self._matched(connection, mine, ours, assets, own=own, fed=fed)
        known = await deposits.waiting(connection, self._chain, transactions)
        await deposits.still_pending(connection, self._chain, transactions, now=now)
        new = [
            one
            for one in arrived
            if one.wallet_id is not None or one.kind == "unmatched"
            if deposits.named(one.movement) not in known
        ]
        if new:
            rows = await deposits.record(
                connection, self._chain, new, ids=ids.many(len(new)), now=now, height=None, block=None
            )
            await telling.tell(connection, self._ledger, "detected", rows, now=now)
