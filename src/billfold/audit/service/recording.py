"""Records are added: each fact once, numbered without a gap, in the order in which they come."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import msgspec

from billfold.audit import errors
from billfold.audit.domain import merkle, records
from billfold.audit.store import records as store
from billfold.audit.store.records import Row
from billfold.kernel import clock
from billfold.kernel.facts import Fact
from billfold.platform.postgres.database import Connection, Database


class Added(msgspec.Struct, frozen=True):
    """How many were recorded, and which were not: those say something else than what is recorded under their ids."""

    count: int
    differing: Sequence[Fact]


class Recording:
    """Adds records. Whoever else does so at the same time waits, so the order is one."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def add(self, facts: Sequence[Fact]) -> Added:
        """Record what is not recorded yet, all of it or nothing.

        A fact is known by its source and id, however often and in however many processes it arrives. Whoever brings
        another one under the same id keeps no other from being recorded.

        Raises:
            FactInvalid: one has a source or an id that nothing could be known by.
            DatabaseUnavailable: nothing was recorded, or it is not known; add it again.
        """
        async with self._database.transaction() as connection:
            await store.lock(connection)
            return await add(connection, facts)


async def add(connection: Connection, facts: Sequence[Fact]) -> Added:
    """As Recording.add, in the database transaction of `connection`, which holds the lock of records."""
    distinct: dict[tuple[str, str], Fact] = {}
    for fact in facts:
        _check(fact)
        distinct.setdefault((fact.source, fact.id), fact)
    known = await store.known(connection, list(distinct))
    differing = [fact for fact in facts if fact != distinct[fact.source, fact.id]]
    differing += [distinct[pair] for pair, content in known.items() if not records.is_of(content, distinct[pair])]
    fresh = [fact for pair, fact in distinct.items() if pair not in known]
    if fresh:
        position = await store.count(connection)
        await store.insert(connection, [_row(fact, position + place) for place, fact in enumerate(fresh)])
    return Added(len(fresh), differing)


def _check(fact: Fact) -> None:
    for name, given in (("source", fact.source), ("id", fact.id)):
        if records.found_by(given) != given:
            raise errors.FactInvalid(f"The {name} of a fact is too long, or no text that can be kept.")


def _row(fact: Fact, position: int) -> Row:
    content = records.text(fact, position=position, salt=secrets.token_bytes(records.SALT_BYTES))
    return Row(
        position=position,
        source=fact.source,
        event_id=fact.id,
        type=records.found_by(fact.type),
        subject=records.found_by(fact.subject),
        happened_at=clock.parse(fact.time),
        outcome=records.found_by(fact.outcome),
        actor=records.actor(fact),
        owner=records.found_by(owner) if (owner := records.owner(fact)) else None,
        content=content,
        leaf=merkle.leaf_hash(content),
    )
