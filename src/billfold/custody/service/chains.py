"""How far each chain is read, and the word of an operator when one was halted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from billfold.custody import errors
from billfold.custody.contracts import ChainState, ChainStatus
from billfold.custody.service.recording import KEPT_DEPTHS
from billfold.custody.service.served import Served, Serving
from billfold.custody.store import cursors as store
from billfold.custody.store.cursors import Cursor
from billfold.kernel.clock import Clock
from billfold.platform.postgres.database import Database

#: A chain whose nodes have said nothing for so long is silent: its watcher looks several times a minute.
SILENT_AFTER = timedelta(minutes=1)
#: With more blocks to read than this it is behind.
BEHIND_FROM = 3


class Chains:
    """Of all chains that are served."""

    def __init__(self, *, serving: Serving, database: Database, clock: Clock) -> None:
        self._serving = serving
        self._database = database
        self._clock = clock

    async def states(self) -> list[ChainState]:
        """Every chain as it is read now."""
        cursors = await self.cursors()
        now = self._clock.now()
        return [_state(served, cursors.get(served.name), now) for served in self._serving.all]

    async def state(self, *, chain: str) -> ChainState:
        """One of them.

        Raises:
            ChainUnknown
        """
        served = self._serving.get(chain)
        return _state(served, (await self.cursors()).get(chain), self._clock.now())

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

    async def cursors(self) -> Mapping[str, Cursor]:
        """How far each chain is read that was begun."""
        async with self._database.connection() as connection:
            return await store.all_(connection)


def _state(served: Served, cursor: Cursor | None, now: datetime) -> ChainState:
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
    )


def _status(cursor: Cursor | None, lag: int | None, now: datetime) -> ChainStatus:
    if cursor is None or lag is None:
        return "starting"
    if cursor.halted is not None:
        return "halted"
    if now - cursor.head_at > SILENT_AFTER:
        return "silent"
    return "behind" if lag >= BEHIND_FROM else "reading"
