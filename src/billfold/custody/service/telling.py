"""Tells what has become of deposits, in the database transaction in which it does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from billfold.custody.events.deposits import Assigned, DepositChanged, Refunded, Step, deposit_event
from billfold.custody.service import metrics
from billfold.custody.store.deposits import Row
from billfold.kernel import ids, money, origin
from billfold.kernel.money import Money
from billfold.ledger import Ledger
from billfold.platform.messaging import outbox
from billfold.platform.messaging.outbox import Told
from billfold.platform.postgres.database import Connection, after_commit

__all__ = ["Assigned", "Refunded", "Step", "in_words", "tell"]


async def tell(
    connection: Connection,
    ledger: Ledger,
    step: Step,
    rows: Sequence[Row],
    *,
    now: datetime,
    refund: Refunded | None = None,
    assignment: Assigned | None = None,
) -> None:
    """Events of these deposits, whose rows the caller has locked."""
    if not rows:
        return
    told = [
        Told(
            event=deposit_event(event_id=str(ids.new()), step=step, data=data, time=now),
            of=origin.current(),
        )
        for data in [await _data(ledger, row, refund, assignment) for row in rows]
    ]
    await outbox.append_all(connection, told)
    after_commit(connection, lambda: metrics.DEPOSITS.labels(rows[0].chain, step).inc(len(rows)))


async def _data(ledger: Ledger, row: Row, refund: Refunded | None, assignment: Assigned | None) -> DepositChanged:
    return DepositChanged(
        deposit_id=row.id,
        wallet_id=row.wallet_id,
        chain=row.chain,
        chain_tx=row.chain_tx,
        index=row.index,
        address=row.address,
        memo=row.memo or None,
        money=await in_words(ledger, row.asset, row.amount),
        height=row.height,
        transfer_id=row.credit_transfer,
        reversal_id=row.reversal_transfer,
        refund=refund,
        assignment=assignment,
    )


async def in_words(ledger: Ledger, asset: str, amount: int) -> Money:
    """An amount as it is written for people."""
    return Money(money.format(amount, (await ledger.asset(code=asset)).scale), asset)
