"""Reads a chain block by block, follows it when it changes its mind, and stops loudly when it changes too much."""

from __future__ import annotations

import structlog
from msgspec.structs import replace

from billfold.chains.errors import ChainError
from billfold.chains.port import Block, Head
from billfold.custody import errors
from billfold.custody.domain import matching
from billfold.custody.service import metrics
from billfold.custody.service.crediting import Crediting
from billfold.custody.service.recording import EMPTY_AT_ONCE, Assets, Recording
from billfold.custody.service.reverting import Reverting
from billfold.custody.service.served import Served
from billfold.custody.service.unmatched import Unmatched
from billfold.custody.store import cursors
from billfold.custody.store.cursors import Cursor, Known
from billfold.kernel.clock import Clock
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database

#: Blocks that are read in one step, before what they brought is credited: after an outage there are many.
BLOCKS_AT_ONCE = 100
#: Between two looks at a chain that has been read to its end.
LOOK_PAUSE_S = 0.5
#: Before a node that says what can't be is asked again.
WRONG_PAUSE_S = 5.0

log = structlog.get_logger(__name__)


class Watcher:
    """Of one chain. Any number may run: the cursor moves for one of them."""

    def __init__(
        self,
        *,
        served: Served,
        database: Database,
        ledger: Ledger,
        recording: Recording,
        crediting: Crediting,
        reverting: Reverting,
        unmatched: Unmatched,
        clock: Clock,
    ) -> None:
        self.served = served
        self._chain = served.chain
        self._database = database
        self._ledger = ledger
        self._recording = recording
        self._crediting = crediting
        self._reverting = reverting
        self._unmatched = unmatched
        self._clock = clock
        self._checked = False

    async def look(self) -> float:
        """As `step`, for who looks again and again: so many seconds later is time for the next look.

        Raises:
            Unavailable: the nodes, the ledger or the database are away; call it again.
        """
        name = self._chain.name
        try:
            return 0.0 if await self.step() else LOOK_PAUSE_S
        except errors.CursorMoved:
            log.info("another process has read on", chain=name)
            return LOOK_PAUSE_S
        except (ChainError, errors.BlockWrong) as error:
            metrics.NODES_WRONG.labels(name).inc()
            # Where it comes from says nothing: it is what a node has answered.
            log.error("the nodes of a chain say what can't be", chain=name, reason=error.detail)  # noqa: TRY400
            return WRONG_PAUSE_S

    async def step(self) -> bool:
        """Look once: finish what was interrupted, read blocks, take back, credit, release. True: there is more.

        Raises:
            CursorMoved: another process reads this chain.
            BlockWrong, NodeWrong: what the nodes say can't be; nothing of it is written.
            Unavailable: the nodes, the ledger or the database are away; call it again.
        """
        await self._check()
        cursor = await self._cursor()
        metrics.HALTED.labels(self._chain.name).set(cursor.halted is not None)
        if cursor.halted is not None:
            return False
        assets = await self._assets()
        await self._crediting.finish()
        await self._reverting.finish()
        await self._unmatched.finish(chain=self._chain.name)
        cursor, caught_up = await self._read(cursor, assets)
        if cursor.halted is not None:
            return False
        if caught_up:
            await self._reverting.run()
        await self._crediting.run(cursor.height)
        await self._crediting.release(cursor.height)
        # Last: what waits for a block is for showing alone, and nothing has to wait for it.
        if caught_up:
            await self._recording.pending(await self._chain.pending(), assets)
        return not caught_up

    async def _check(self) -> None:
        """Once: the nodes are of the chain and network that the settings say."""
        if not self._checked:
            await self._chain.check()
            self._checked = True

    async def _assets(self) -> Assets:
        found: dict[str | None, str] = {
            asset.contract: asset.code
            for asset in (await self._ledger.assets()).values()
            if asset.chain == self._chain.name and (asset.contract is not None or asset.code == self._chain.coin)
        }
        await self._crediting.prepare(found.values())
        return found

    async def _cursor(self) -> Cursor:
        """How far the chain is read. It begins a few blocks before the last one: these may still be replaced."""
        async with self._database.connection() as connection:
            found = await cursors.get(connection, self._chain.name)
        if found is not None:
            if found.network != self._chain.network:
                raise errors.BlockWrong(
                    f"What is known of {self._chain.name} is of the network {found.network}, not {self._chain.network}."
                )
            return found
        head = await self._head()
        first = await self._next(max(head.height - self.served.terms.reorg_limit, 0) - 1, head.height)
        if first is None:
            raise errors.BlockWrong(f"The nodes of {self._chain.name} have no block.")
        async with self._database.transaction() as connection:
            await cursors.begin(
                connection,
                chain=self._chain.name,
                network=self._chain.network,
                block=Known(first.height, first.hash, first.parent, first.time),
                now=self._clock.now(),
            )
        log.info("the chain is read from here on", chain=self._chain.name, height=first.height)
        return await self._cursor()

    async def _read(self, cursor: Cursor, assets: Assets) -> tuple[Cursor, bool]:
        """Read on; where that has led to, and whether it is the last block."""
        head = await self._head()
        async with self._database.connection() as connection:
            await cursors.see(connection, self._chain.name, head=head.height, now=self._clock.now())
        for _ in range(BLOCKS_AT_ONCE):
            metrics.LAG.labels(self._chain.name).set(max(head.height - cursor.height, 0))
            # A branch that is no longer than ours decides nothing: one of the two will grow.
            if cursor.halted is not None or cursor.height >= head.height:
                return cursor, True
            block = await self._next(cursor.height, head.height)
            if block is None:
                return cursor, True
            if block.parent == cursor.hash:
                cursor = await self._recording.record(block, cursor, assets)
            else:
                cursor = await self._follow(cursor)
        return cursor, cursor.height >= head.height

    async def _head(self) -> Head:
        head = await self._chain.head()
        matching.check_height(head.height)
        return head

    async def _next(self, height: int, last: int) -> Block | None:
        """The first block above a height."""
        for above in range(height + 1, min(last, height + EMPTY_AT_ONCE) + 1):
            block = await self._chain.block(above)
            if block is not None:
                return block
        return None

    async def _follow(self, cursor: Cursor) -> Cursor:
        """Walk back to the last block that is ours and the chain's; too far is too far."""
        limit = cursor.depth_allowed or self.served.terms.reorg_limit
        async with self._database.connection() as connection:
            known = await cursors.blocks_before(connection, self._chain.name, height=cursor.height, limit=limit + 1)
        for one in known:
            there = await self._chain.block(one.height)
            if there is not None and there.hash == one.hash:
                if one.height == cursor.height:
                    raise errors.BlockWrong(f"The nodes of {self._chain.name} contradict themselves.")
                return await self._recording.walk_back(cursor, one)
        reason = "reorganisation_too_deep" if len(known) > limit else "no_common_ancestor"
        return await self._halt(cursor, reason, f"None of the last {len(known)} blocks is on the chain any more.")

    async def _halt(self, cursor: Cursor, reason: str, detail: str) -> Cursor:
        async with self._database.transaction() as connection:
            await cursors.halt(connection, self._chain.name, reason=reason, detail=detail, now=self._clock.now())
        metrics.HALTED.labels(self._chain.name).set(1)
        log.error("the chain is read no further until an operator has looked", chain=self._chain.name, reason=reason)
        return replace(cursor, halted=reason, halted_detail=detail)
