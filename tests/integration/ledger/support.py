"""Short ways to say what the tests of the ledger do again and again."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from billfold.kernel import idempotency, ids
from billfold.ledger import Ledger
from billfold.ledger.contracts import NewAccount, NewHold, NewTransfer, Posting, Transfer, TransferKind, Verification
from billfold.platform.postgres.database import Database
from billfold.platform.postgres.migrations import Migrations
from tests import ledgers
from tests.ledgers import LedgerServer

MIGRATIONS = (
    Migrations("platform", "billfold.platform.postgres.roles"),
    Migrations("messaging", "billfold.platform.messaging.migrations"),
    Migrations("ledger", "billfold.ledger.migrations"),
)
OWNER = UUID("019aa2c6-7a00-7000-8000-00000000a001")
#: Whatever is waited for comes in well under a second; a slow machine is forgiven.
PATIENCE_S = 30.0


def key(text: str | None = None, *, content: str = "") -> idempotency.Key:
    """A key of its own, or the one that `text` names."""
    return idempotency.key(
        owner=OWNER,
        text=(text or secrets.token_hex(8)).replace(" ", "-"),
        operation="test",
        content=content.encode(),
    )


class Bank:
    """A ledger, and short ways to move money on it."""

    def __init__(self, ledger: Ledger, database: Database, outside: UUID) -> None:
        self.ledger = ledger
        self.database = database
        self.outside = outside

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, dsn: str, *, size: int = 8, served_by: Sequence[LedgerServer] = ()) -> AsyncIterator["Bank"]:
        """As a process of its own would: with its own connections and its own writers, or calling these servers."""
        database = await Database.connect(dsn, size=size, name="test")
        try:
            async with ledgers.calling(database, served_by) if served_by else _started(database) as ledger:
                yield cls(ledger, database, await ledger.external_account(asset="USD"))
        finally:
            await database.close()

    async def account(self, amount: int = 0, *, asset: str = "USD", floor: int | None = 0) -> UUID:
        """A new account with so much in it."""
        (made,) = await self.accounts(1, amount, asset=asset, floor=floor)
        return made

    async def accounts(self, count: int, amount: int = 0, *, asset: str = "USD", floor: int | None = 0) -> list[UUID]:
        """New accounts with so much in each."""
        made = ids.many(count)
        await self.ledger.open_accounts(accounts=[NewAccount(id=one, asset=asset, floor=floor) for one in made])
        if amount:
            outside = await self.ledger.external_account(asset=asset)
            wanted = [new(outside, one, amount, asset=asset, kind="deposit") for one in made]
            posting = await self.ledger.post(key=key(), transfers=wanted)
            assert all(isinstance(result, Transfer) for result in posting.results)
        return made

    async def pay(
        self,
        debit: UUID,
        credit: UUID,
        amount: int,
        *,
        text: str | None = None,
        asset: str = "USD",
        effective_at: datetime | None = None,
    ) -> Transfer:
        """Post one transfer, or raise why not."""
        wanted = new(debit, credit, amount, asset=asset, effective_at=effective_at)
        return (await self.post(wanted, text=text)).single()

    async def post(self, *wanted: NewTransfer, text: str | None = None, atomic: bool = True) -> Posting:
        return await self.ledger.post(key=key(text), transfers=wanted, atomic=atomic)

    async def hold(self, account: UUID, amount: int, *, expires_at: datetime | None = None) -> UUID:
        wanted = NewHold(account=account, amount=amount, asset="USD", expires_at=expires_at)
        return (await self.ledger.place_hold(key=key(), hold=wanted)).hold.id

    async def balances(self, *accounts: UUID) -> list[int]:
        return [account.posted for account in await self.ledger.accounts(ids=accounts)]

    async def verified(self) -> Verification:
        """Everything derived again from the entries; nothing may be wrong."""
        found = await self.ledger.verify()
        assert not found.faults, found.faults
        return found

    async def count(self, sql: str, *arguments: object) -> int:
        async with self.database.connection() as connection:
            found: int = await connection.fetchval(sql, *arguments)
            return found

    async def now(self) -> datetime:
        """The database's clock."""
        async with self.database.connection() as connection:
            found: datetime = await connection.fetchval("SELECT clock_timestamp()")
            return found


@contextlib.asynccontextmanager
async def _started(database: Database) -> AsyncIterator[Ledger]:
    ledger = await Ledger.start(database=database)
    try:
        yield ledger
    finally:
        await ledger.close()


def new(
    debit: UUID,
    credit: UUID,
    amount: int,
    *,
    asset: str = "USD",
    kind: TransferKind = "transfer",
    reference: str = "",
    description: str = "",
    metadata: Mapping[str, str] | None = None,
    effective_at: datetime | None = None,
) -> NewTransfer:
    return NewTransfer(
        debit_account=debit,
        credit_account=credit,
        amount=amount,
        asset=asset,
        kind=kind,
        reference=reference,
        description=description,
        metadata=metadata or {},
        effective_at=effective_at,
    )


async def execute(dsn: str, *statements: str) -> None:
    """Run `statements` in one transaction, with the rights of whoever `dsn` names."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            for statement in statements:
                await connection.execute(statement)
    finally:
        await connection.close()


async def ask(dsn: str, sql: str, *arguments: object) -> Any:
    """The one value that `sql` gives, outside of any transaction."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql, *arguments)
    finally:
        await connection.close()


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.005)


def names(results: Sequence[object]) -> list[str]:
    """Transfer, or the name of the error."""
    return [type(result).__name__ for result in results]
