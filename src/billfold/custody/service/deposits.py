"""What has arrived, as depositors see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from billfold.custody import errors
from billfold.custody.contracts import Deposit, DepositState, Refund
from billfold.custody.domain import confirmations
from billfold.custody.service import telling
from billfold.custody.service.chains import Chains
from billfold.custody.service.served import Serving
from billfold.custody.service.withdrawals import status_of
from billfold.custody.store import deposits as store
from billfold.custody.store import refunds
from billfold.custody.store.cursors import Cursor
from billfold.custody.store.deposits import Row
from billfold.custody.store.withdrawals import Seen
from billfold.kernel import paging
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database

#: What of the steps a depositor is told.
_STATES: Mapping[str, DepositState] = {
    "detected": "detected",
    "crediting": "detected",
    "credited": "credited",
    "releasable": "releasable",
    "reverting": "reverted",
    "reverted": "reverted",
}


class Deposits:
    """Of all chains."""

    def __init__(self, *, serving: Serving, chains: Chains, database: Database, ledger: Ledger) -> None:
        self._serving = serving
        self._chains = chains
        self._database = database
        self._ledger = ledger

    async def page(
        self, *, wallet_id: UUID | None, kind: str | None = None, cursor: str | None = None, limit: int | None = None
    ) -> paging.Page[Deposit]:
        """Deposits of a wallet, or of everybody's those of a kind; the newest first.

        Raises:
            InvalidCursor, InvalidLimit
        """
        size = paging.check_limit(limit)
        before = None if cursor is None else paging.decode(cursor, UUID)
        async with self._database.connection() as connection:
            rows = await store.page(connection, wallet_id=wallet_id, kind=kind, before=before, limit=size + 1)
        return paging.cut(await self.told(rows), size, place=lambda deposit: deposit.id)

    async def deposit(self, *, deposit_id: UUID) -> Deposit:
        """One of them, whoever's it is.

        Raises:
            DepositUnknown
        """
        async with self._database.connection() as connection:
            row = await store.get(connection, deposit_id)
        if row is None:
            raise errors.DepositUnknown
        return (await self.told([row]))[0]

    async def told(self, rows: Sequence[Row]) -> list[Deposit]:
        """Rows as depositors see them."""
        cursors = await self._chains.cursors() if rows else {}
        nobodys = [row.id for row in rows if row.kind in ("unmatched", "refunded")]
        sent_back = {}
        if nobodys:
            async with self._database.connection() as connection:
                sent_back = await refunds.latest(connection, nobodys)
        return [await self._told(row, cursors.get(row.chain), sent_back.get(row.id)) for row in rows]

    async def _told(self, row: Row, cursor: Cursor | None, sent_back: tuple[refunds.Row, Seen] | None) -> Deposit:
        served = next((one for one in self._serving.all if one.name == row.chain), None)
        credit_after, release_after = (
            (1, 1) if served is None else (served.terms.credit_after, served.terms.release_after)
        )
        return Deposit(
            id=row.id,
            chain=row.chain,
            chain_tx=row.chain_tx,
            index=row.index,
            wallet_id=row.wallet_id,
            address=row.address,
            memo=row.memo.partition(":")[2] or None,
            money=await telling.in_words(self._ledger, row.asset, row.amount),
            state=_STATES[row.state],
            confirmations=confirmations.count(row.height, None if cursor is None else cursor.height),
            credit_after=confirmations.needed(credit_after, row.matures_after),
            release_after=confirmations.needed(release_after, row.matures_after),
            height=row.height,
            sender=row.sender,
            waits=row.waits,
            detected_at=row.detected_at,
            credited_at=row.credited_at,
            releasable_at=row.releasable_at,
            reverted_at=row.reverted_at,
            transfer_id=row.credit_transfer,
            refund=None if sent_back is None else await self._refund(*sent_back),
        )

    async def _refund(self, row: refunds.Row, seen: Seen) -> Refund:
        sent = seen.row
        return Refund(
            money=await telling.in_words(self._ledger, sent.asset, sent.amount),
            to=sent.address,
            memo=sent.memo,
            status=status_of(seen),
            chain_tx=sent.chain_tx or seen.tx_chain_tx,
            reason=row.reason,
            waits=sent.reason,
        )
