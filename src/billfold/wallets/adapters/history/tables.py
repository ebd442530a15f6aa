"""The keyspace of the copy: statements over its tables, and what the copy says of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from billfold.kernel import clock
from billfold.kernel.clock import Clock
from billfold.platform import cql
from billfold.wallets.adapters.history import Behind, schema

#: One read altogether, which is some questions one after the other.
READ_TIMEOUT_S = 3.0


class State(msgspec.Struct, frozen=True):
    """What the copy says of itself."""

    #: Whether everything that was there before its consumer has been copied.
    complete: bool = False
    #: For how many days its rows were written; 0 is for ever.
    ttl_days: int = 0
    #: Who made it.
    rebuild: UUID | None = None


async def make_tables(session: cql.Session, *, keyspace: str, datacenter: str | None, copies: int) -> None:
    """Make the keyspace and the tables where they are missing; a keyspace that is there keeps its replication.

    Raises:
        CqlUnavailable
    """
    if datacenter is None:
        ((datacenter,),) = await session.execute(schema.DATACENTER)
    await session.apply_schema(
        f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = "
        f"{{'class': 'NetworkTopologyStrategy', '{datacenter}': {copies}}}"
    )
    for table in schema.TABLES:
        await session.apply_schema(table.format(keyspace=keyspace))


class Tables:
    """The tables of one copy. What they have in their rows is known to those who use them."""

    def __init__(self, *, session: cql.Session, keyspace: str, ttl_days: int | None, clock: Clock) -> None:
        self._session = session
        self._keyspace = keyspace
        self._clock = clock
        #: For how many days rows are written; 0 is for ever.
        self.ttl_days = ttl_days or 0

    @property
    def up(self) -> bool:
        """Whether there is any use in asking."""
        return self._session.up

    @property
    def now_us(self) -> int:
        """The present instant, in microseconds."""
        return clock.microseconds(self._clock.now())

    def erased_us(self, until: datetime | None) -> int:
        """The instant of an erasure of rows up to `until`: not before any of theirs, which another clock gave."""
        return self.now_us if until is None else max(self.now_us, clock.microseconds(until))

    @property
    def kept_since(self) -> datetime | None:
        """What happened before is kept no longer; None where everything is kept."""
        return self._clock.now() - timedelta(days=self.ttl_days) if self.ttl_days else None

    def ttl_left_s(self, us: int) -> int | None:
        """For how many seconds a row of this instant is kept, 0 being for ever; None if it is too old to be written."""
        return schema.ttl_left_s(us, self.now_us, self.ttl_days) or None if self.ttl_days else 0

    async def wait_until_up(self, timeout_s: float) -> None:
        """Return when the server answers.

        Raises:
            CqlUnavailable: it has not in time.
        """
        await self._session.wait_until_up(timeout_s)

    async def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """See `cql.Session.execute`."""
        return await self._session.execute(self._in_keyspace(statement), *values)

    async def execute_all(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """See `cql.Session.execute_all`."""
        await self._session.execute_all(self._in_keyspace(statement), rows)

    async def state(self) -> State:
        """What the copy says of itself.

        Raises:
            CqlUnavailable
        """
        rows = await self.execute(schema.SELECT_STATE)
        return State(*rows[0]) if rows else State()

    async def check_complete(self) -> None:
        """Pass if the copy was made, and for the time for which rows are to be kept.

        Raises:
            Behind, CqlUnavailable
        """
        state = await self.state()
        if not state.complete or state.ttl_days != self.ttl_days:
            raise Behind("incomplete")

    async def mark(self, *, complete: bool, rebuild: UUID) -> None:
        """Say whether the copy is complete, and who has made it.

        Raises:
            CqlUnavailable
        """
        await self.execute(schema.WRITE_STATE, complete, self.ttl_days, rebuild)

    async def begin_again(self, rebuild: UUID) -> None:
        """Empty the copy. It is read by nobody until `complete`.

        Raises:
            CqlUnavailable
        """
        await self.mark(complete=False, rebuild=rebuild)
        # Whoever has read before that it was complete has an answer by then.
        await asyncio.sleep(READ_TIMEOUT_S)
        for statement in schema.EMPTY:
            await self._session.apply_schema(self._in_keyspace(statement))

    async def complete(self, rebuild: UUID) -> bool:
        """Whatever happened before now is here, or its event is still to come; False if another one began meanwhile.

        Raises:
            CqlUnavailable
        """
        if (await self.state()).rebuild != rebuild:
            return False
        await self.mark(complete=True, rebuild=rebuild)
        return True

    def _in_keyspace(self, statement: str) -> str:
        return statement.format(keyspace=self._keyspace)
