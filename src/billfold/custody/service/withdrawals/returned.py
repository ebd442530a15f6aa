"""How what was sent back has ended, written and told."""

from __future__ import annotations

import structlog

from billfold.custody.service import telling
from billfold.custody.service.withdrawals.parts import Parts
from billfold.custody.store import deposits, refunds
from billfold.custody.store.withdrawals import Row
from billfold.platform.postgres.database import Connection

log = structlog.get_logger(__name__)


async def ended(connection: Connection, parts: Parts, row: Row, *, paid: bool) -> None:
    """Write and tell how a refund has ended, whose row the caller has changed."""
    refund = await refunds.of_withdrawal(connection, row.id)
    if not paid:
        await refunds.fail(connection, refund)
        log.warning("a deposit could not be sent back", deposit=str(refund.deposit_id), why=row.reason)
    await tell(connection, parts, "refunded" if paid else "refund_failed", row, refund)


async def tell(connection: Connection, parts: Parts, step: telling.Step, row: Row, refund: refunds.Row) -> None:
    """Tell what has become of the deposit; a withdrawal of nobody's wallet tells nothing itself."""
    deposit = await deposits.get(connection, refund.deposit_id)
    assert deposit is not None, "a refund is of a deposit"
    told = telling.Refunded(
        withdrawal_id=row.id,
        address=row.address,
        memo=row.memo,
        money=await telling.in_words(parts.ledger, row.asset, row.amount),
        asked_by=refund.asked_by,
        reason=refund.reason,
        chain_tx=row.chain_tx,
    )
    await telling.tell(connection, parts.ledger, step, [deposit], now=parts.now(), refund=told)
