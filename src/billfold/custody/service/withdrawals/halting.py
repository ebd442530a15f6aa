"""What was allocated and may not leave any more, of which nothing is signed: its chain, asset or wallet was stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from billfold.custody import errors
from billfold.custody.service.withdrawals.parts import Parts
from billfold.custody.store import cursors, standings
from billfold.custody.store import withdrawals as store

#: The chain has replaced so much that it is read no further: nobody knows whose deposits are gone.
CHAIN_HALTED = "chain_halted"
#: What owners read until it is looked at again: others of its transaction need not know whose wallet is frozen.
ANEW = "made_anew"


async def halted(parts: Parts, allocations: Sequence[UUID]) -> Mapping[UUID, str]:
    """Those of these allocations that are to be given up, and why. What is signed or handed out is none of them.

    Raises:
        LedgerUnavailable
    """
    async with parts.database.connection() as connection:
        rows = await store.unsigned(connection, allocations)
        stopped = await standings.stopped(connection, {row.asset for row in rows}) if rows else set()
        unread = await cursors.halted(connection) if rows else set()
    if not rows:
        return {}
    accounts = await parts.ledger.accounts(ids=list({row.account_id for row in rows}))
    open_ones = {one.id for one in accounts if one.status == "open"}
    found: dict[UUID, str] = {}
    for row in rows:
        assert row.allocation_id is not None, "it was asked for by it"
        if row.chain in unread:
            found[row.allocation_id] = CHAIN_HALTED
        elif row.asset in stopped:
            found[row.allocation_id] = errors.WithdrawalsStopped.code
        elif row.account_id not in open_ones:
            found[row.allocation_id] = ANEW
    return found
