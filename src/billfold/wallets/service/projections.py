"""What is kept of balances in Redis as a whole: made anew, and compared with the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge

from billfold.platform.postgres.database import Database
from billfold.wallets.contracts.pictures import PICTURES_BLOCK, Comparison, Drift, Kept, Picture, Rebuilt
from billfold.wallets.service.pictures import Pictures, blocks
from billfold.wallets.store import wallets as store

#: Is told how many of how many wallets are done.
Progress = Callable[[int, int], None]

_FIRST = UUID(int=0)

COMPARED = Counter("billfold_balances_compared", "Accounts in Redis that were compared with the ledger.")
DRIFT = Counter(
    "billfold_balances_drift",
    "Accounts in Redis that differed from the ledger with the same number of changes, or were ahead of it.",
)
BEHIND = Gauge(
    "billfold_balances_behind_ratio", "Of the accounts that were compared last, how many lacked their last change."
)

log = structlog.get_logger(__name__)


class Projections:
    """Use cases of operators and of the worker."""

    def __init__(self, *, database: Database, pictures: Pictures) -> None:
        self._database = database
        self._pictures = pictures
        self._kept = pictures.kept
        #: Where the next sample begins.
        self._cursor = 0

    async def rebuild(self, *, progress: Progress) -> Rebuilt:
        """Forget everything, and keep a picture of each wallet that is not closed. Readers ask the ledger meanwhile.

        Raises:
            RedisUnavailable, DatabaseUnavailable: do it again.
        """
        await self._kept.check()
        await self._forget_all()
        async with self._database.connection() as connection:
            total = await store.count_open(connection)
        done = full = 0
        after = _FIRST
        while True:
            async with self._database.connection() as connection:
                block = await store.block_open(connection, after=after, limit=PICTURES_BLOCK)
            if not block:
                return Rebuilt(wallets=done - full, full=full)
            taken = await self._pictures.taken(wallet_ids=block, at_us=await self._kept.now_us())
            full += await self._pictures.keep(taken)
            after = block[-1]
            done += len(block)
            progress(done, max(total, done))

    async def compare(self, *, progress: Callable[[int], None]) -> Comparison:
        """Compare everything that is kept with the ledger. What is wrong is forgotten, so that nobody reads it again.

        Raises:
            RedisUnavailable, DatabaseUnavailable.
        """
        await self._kept.check()
        found = _Sum()
        cursor = 0
        while True:
            cursor, wallet_ids = await self._kept.some(cursor)
            for block in blocks(wallet_ids):
                found.add(await self._compared(block))
            progress(found.wallets)
            if not cursor:
                return found.comparison()

    async def sample(self) -> Comparison:
        """As `compare`, of the next few: one call after the other goes through all that is kept.

        Raises:
            RedisUnavailable, DatabaseUnavailable.
        """
        self._cursor, wallet_ids = await self._kept.some(self._cursor)
        found = _Sum()
        for block in blocks(wallet_ids):
            found.add(await self._compared(block))
        return found.comparison()

    async def _forget_all(self) -> None:
        cursor = 0
        while True:
            cursor, wallet_ids = await self._kept.some(cursor)
            for block in blocks(wallet_ids):
                await self._kept.forget(block)
            if not cursor:
                return

    async def _compared(self, wallet_ids: Sequence[UUID]) -> Comparison:
        """In this order: what is kept can't be ahead of what the ledger says afterwards."""
        looked = await self._kept.look_at_all(wallet_ids)
        pictures = {
            wallet_id: one.picture for wallet_id, one in zip(wallet_ids, looked, strict=True) if one.picture is not None
        }
        right = await self._pictures.taken(wallet_ids=list(pictures), at_us=0)
        found = _Sum()
        for wallet_id, picture in pictures.items():
            found.add(_compared(wallet_id, picture, right.get(wallet_id)))
        await self._tell(found)
        return found.comparison()

    async def _tell(self, found: _Sum) -> None:
        COMPARED.inc(found.accounts)
        DRIFT.inc(len(found.drift))
        if found.accounts:
            BEHIND.set(found.behind / found.accounts)
        for drift in found.drift:
            log.error("a balance in Redis is wrong", wallet=str(drift.wallet), asset=drift.asset, detail=drift.detail)
        await self._kept.forget(list({drift.wallet for drift in found.drift}))


class _Sum:
    """Comparisons added up."""

    def __init__(self) -> None:
        self.wallets = self.accounts = self.behind = 0
        self.drift: list[Drift] = []

    def add(self, found: Comparison) -> None:
        self.wallets += found.wallets
        self.accounts += found.accounts
        self.behind += found.behind
        self.drift += found.drift

    def comparison(self) -> Comparison:
        return Comparison(wallets=self.wallets, accounts=self.accounts, behind=self.behind, drift=self.drift)


def _compared(wallet_id: UUID, kept: Picture, right: Picture | None) -> Comparison:
    """What is kept of a wallet, against what the ledger has said a moment later."""
    accounts = {} if right is None else right.accounts
    drift = []
    behind = 0
    for asset in kept.accounts.keys() | accounts.keys():
        before, now = kept.accounts.get(asset), accounts.get(asset)
        wrong = None if before is None else _wrong(before, now)
        if wrong is not None:
            drift.append(Drift(wallet=wallet_id, asset=asset, detail=wrong))
        elif before != now:
            behind += 1
    return Comparison(wallets=1, accounts=len(kept.accounts.keys() | accounts.keys()), behind=behind, drift=drift)


def _wrong(before: Kept, now: Kept | None) -> str | None:
    """Why it can't be what the account once was, if it can't."""
    if now is None:
        return "the wallet has no such account"
    if before.account != now.account:
        return f"it is of account {before.account}, and the wallet's is {now.account}"
    if before.changes > now.changes:
        return f"it has {before.changes} changes, and the ledger only {now.changes}"
    if before.changes == now.changes and before != now:
        return f"it shows {_shown(before)} instead of {_shown(now)}, both after {now.changes} changes"
    return None


def _shown(kept: Kept) -> str:
    return f"version {kept.version}, posted {kept.posted}, held {kept.held}, floor {kept.floor}"
