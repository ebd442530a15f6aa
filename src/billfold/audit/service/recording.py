"""Records are added: each fact once, numbered without a gap, in the order in which they come."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from billfold.audit.domain import merkle, records
from billfold.audit.store import records as store
from billfold.audit.store.records import Row
from billfold.kernel import clock
from billfold.kernel.facts import Fact
from billfold.platform.postgres.database import Connection, Database


class Recording:
    """Adds records. Whoever else does so at the same time waits, so the order is one."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def add(self, facts: Sequence[Fact]) -> int:
        """Record what is not recorded yet, all of it or nothing, and say how many that were.

        A fact is known by its source and id, however often and in however many processes it arrives.

        Raises:
            DatabaseUnavailable: nothing was recorded, or it is not known; add it again.
        """
        async with self._database.transaction() as connection:
            await store.lock(connection)
            return await add(connection, facts)


async def add(connection: Connection, facts: Sequence[Fact]) -> int:
    """Record what is not recorded yet, in the database transaction of `connection`, which holds the lock of records."""
    distinct = {(fact.source, fact.id): fact for fact in reversed(facts)}
    known = await store.known(connection, list(distinct))
    fresh = [fact for pair, fact in reversed(distinct.items()) if pair not in known]
    if fresh:
        position = await store.count(connection)
        await store.insert(connection, [_row(fact, position + place) for place, fact in enumerate(fresh)])
    return len(fresh)


def _row(fact: Fact, position: int) -> Row:
    content = records.text(fact, position=position, salt=secrets.token_bytes(records.SALT_BYTES))
    return Row(
        position=position,
        source=fact.source,
        event_id=fact.id,
        type=fact.type,
        subject=fact.subject,
        happened_at=clock.parse(fact.time),
        outcome=fact.outcome,
        actor=records.actor(fact),
        owner=records.owner(fact),
        content=content,
        leaf=merkle.leaf_hash(content),
    )
