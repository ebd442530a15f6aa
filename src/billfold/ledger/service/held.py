"""Which requests are kept waiting because another session of the database holds their accounts."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from billfold.ledger.service.commands import Command
from billfold.ledger.store import batch as store
from billfold.platform.postgres.database import Connection


async def places(connection: Connection, batch: Sequence[Command]) -> set[int]:
    """Their places in the batch."""
    touched = await _touched(connection, batch)
    held = await store.held_by_others(connection, set().union(*touched))
    return {place for place, accounts in enumerate(touched) if not held.isdisjoint(accounts)}


async def _touched(connection: Connection, batch: Sequence[Command]) -> list[set[UUID]]:
    """The accounts that each command works on, those of the holds and transfers that it names included."""
    holds = await store.holds(connection, [hold for command in batch for hold in command.hold_ids()])
    named = [original for command in batch for original in command.original_ids()]
    originals = await store.transfers(connection, named)
    touched = []
    for command in batch:
        accounts = set(command.accounts())
        accounts.update(holds[hold].account for hold in command.hold_ids() if hold in holds)
        for original in command.original_ids():
            if original in originals:
                accounts.update((originals[original].debit_account, originals[original].credit_account))
        touched.append(accounts)
    return touched
