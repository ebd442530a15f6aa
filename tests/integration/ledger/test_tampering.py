"""What `verify` finds when somebody with all rights changes what must not be changed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from billfold.ledger.service import verification
from billfold.ledger.store import guards
from billfold.ledger.store import verification as store
from billfold.platform.postgres import cluster
from billfold.platform.postgres.database import Connection, Database
from tests import servers
from tests.integration.ledger.furniture import Furniture
from tests.integration.ledger.support import Bank, key

Furnished = tuple[servers.TestDatabase, Furniture]

#: What was done; the invariant that is broken; and what is named as broken.
TAMPERING: dict[str, tuple[str, str, str]] = {
    # The journal
    "an amount": ("UPDATE ledger.transfers SET amount = amount + 1 WHERE id = '{paid}'", "I2", "a"),
    "an amount, for the other side": ("UPDATE ledger.transfers SET amount = 1 WHERE id = '{paid}'", "I2", "b"),
    "the last amount": ("UPDATE ledger.transfers SET amount = amount + 1 WHERE id = '{last}'", "I2", "a"),
    "an amount with its balances": (
        (
            "UPDATE ledger.transfers SET amount = amount + 1, debit_balance = debit_balance - 1,"
            " credit_balance = credit_balance + 1 WHERE id = '{paid}'"
        ),
        "I2",
        "a",
    ),
    "the last amount with its balances": (
        (
            "UPDATE ledger.transfers SET amount = amount + 1, debit_balance = debit_balance - 1,"
            " credit_balance = credit_balance + 1 WHERE id = '{last}'"
        ),
        "I2",
        "b",
    ),
    "a balance of the debit side": (
        "UPDATE ledger.transfers SET debit_balance = debit_balance + 1 WHERE id = '{paid}'",
        "I2",
        "a",
    ),
    "a balance of the credit side": (
        "UPDATE ledger.transfers SET credit_balance = 0 WHERE id = '{paid}'",
        "I2",
        "b",
    ),
    "a version of the debit side": (
        "UPDATE ledger.transfers SET debit_version = debit_version + 1 WHERE id = '{paid}'",
        "I7",
        "a",
    ),
    "a version of the credit side": (
        "UPDATE ledger.transfers SET credit_version = credit_version - 1 WHERE id = '{paid}'",
        "I7",
        "b",
    ),
    "a transfer is gone": ("DELETE FROM ledger.transfers WHERE id = '{paid}'", "I7", "a"),
    "a transfer is gone, counted": ("DELETE FROM ledger.transfers WHERE id = '{paid}'", "I1", "transfers"),
    "the last transfer is gone": ("DELETE FROM ledger.transfers WHERE id = '{last}'", "I7", "b"),
    "the last transfer is gone, by the balance": ("DELETE FROM ledger.transfers WHERE id = '{last}'", "I2", "b"),
    "a transfer twice": (
        (
            "INSERT INTO ledger.transfers SELECT recorded_at + interval '1 us', effective_at, debit_version,"
            " credit_version, batch, kind, gen_random_uuid(), debit_account, credit_account, amount, debit_balance,"
            " credit_balance, asset, reference, description, metadata FROM ledger.transfers WHERE id = '{last}'"
        ),
        "I7",
        "a",
    ),
    "another debit account": (
        "UPDATE ledger.transfers SET debit_account = '{empty}' WHERE id = '{paid}'",
        "I7",
        "a",
    ),
    "another credit account": (
        "UPDATE ledger.transfers SET credit_account = '{empty}' WHERE id = '{paid}'",
        "I7",
        "empty",
    ),
    "the two sides swapped": (
        (
            "UPDATE ledger.transfers SET debit_account = credit_account, credit_account = debit_account"
            " WHERE id = '{paid}'"
        ),
        "I2",
        "a",
    ),
    "a time before the entry before": (
        "UPDATE ledger.transfers SET recorded_at = '2000-01-01', effective_at = '2000-01-01' WHERE id = '{paid}'",
        "I7",
        "a",
    ),
    "the time of the last entry": (
        "UPDATE ledger.transfers SET recorded_at = recorded_at + interval '1 us' WHERE id = '{last}'",
        "I7",
        "b",
    ),
    "the asset of a transfer": ("UPDATE ledger.transfers SET asset = 'EUR' WHERE id = '{paid}'", "I1", "a"),
    "the kind of a transfer": ("UPDATE ledger.transfers SET kind = 'reversal' WHERE id = '{paid}'", "I11", "a"),
    "the kind of a reversal": (
        "UPDATE ledger.transfers SET kind = 'transfer' WHERE id = '{reversal}'",
        "I11",
        "reversal",
    ),
    # Accounts
    "a balance": ("UPDATE ledger.accounts SET posted = posted + 1 WHERE id = '{a}'", "I2", "a"),
    "a balance, by the sum": ("UPDATE ledger.accounts SET posted = posted + 1 WHERE id = '{a}'", "I1", "USD"),
    "two balances that cancel out": (
        "UPDATE ledger.accounts SET posted = posted + CASE id WHEN '{a}' THEN 1 ELSE -1 END WHERE id IN ('{a}', '{b}')",
        "I2",
        "b",
    ),
    "what is held": ("UPDATE ledger.accounts SET held = held + 1 WHERE id = '{a}'", "I10", "a"),
    "the version of an account": ("UPDATE ledger.accounts SET version = version + 1 WHERE id = '{a}'", "I7", "a"),
    "the clock of an account": (
        "UPDATE ledger.accounts SET last_recorded_us = last_recorded_us - 1 WHERE id = '{a}'",
        "I7",
        "a",
    ),
    "a floor above what is there": ("UPDATE ledger.accounts SET floor = 10000 WHERE id = '{a}'", "I2", "a"),
    "the asset of an account": ("UPDATE ledger.accounts SET asset = 'EUR' WHERE id = '{a}'", "I1", "a"),
    "an account is gone": ("DELETE FROM ledger.accounts WHERE id = '{a}'", "I1", "USD"),
    "an empty account is gone with its entries": (
        "DELETE FROM ledger.accounts WHERE id = '{empty}'",
        "I1",
        "transfers",
    ),
    # Holds
    "the amount of a hold": ("UPDATE ledger.holds SET amount = amount + 1 WHERE id = '{active}'", "I10", "a"),
    "what a hold has settled": ("UPDATE ledger.holds SET settled = 1 WHERE id = '{active}'", "I10", "active"),
    "what an ended hold has settled": ("UPDATE ledger.holds SET settled = 0 WHERE id = '{settled}'", "I10", "settled"),
    "a hold that ended without its money": (
        "UPDATE ledger.holds SET status = 'released', ended_at = now() WHERE id = '{active}'",
        "I10",
        "a",
    ),
    "an ended hold that is active again": (
        "UPDATE ledger.holds SET status = 'active', ended_at = NULL WHERE id = '{released}'",
        "I10",
        "a",
    ),
    "an active hold is gone": ("DELETE FROM ledger.holds WHERE id = '{active}'", "I10", "a"),
    "a settled hold is gone": ("DELETE FROM ledger.holds WHERE id = '{settled}'", "I11", "settlement"),
    # Back-dated money
    "a sum of a period": (
        "UPDATE ledger.backdated_periods SET amount = amount + 1 WHERE account_id = '{a}' AND shift = 34",
        "I15",
        "a",
    ),
    "a sum moved to another period": (
        (
            "UPDATE ledger.backdated_periods SET bucket = bucket + 1 WHERE account_id = '{a}' AND shift = 0"
            " AND bucket = (SELECT max(bucket) FROM ledger.backdated_periods WHERE shift = 0)"
        ),
        "I15",
        "a",
    ),
    "the sums of one width": (
        "DELETE FROM ledger.backdated_periods WHERE account_id = '{b}' AND shift = 28",
        "I15",
        "b",
    ),
    "the sums of all widths": ("DELETE FROM ledger.backdated_periods WHERE account_id = '{b}'", "I15", "b"),
    "a sum of nothing": ("INSERT INTO ledger.backdated_periods VALUES ('{empty}', 40, 7, 1)", "I15", "empty"),
    "a running total": (
        (
            "UPDATE ledger.backdated_totals SET total = total + 1 WHERE account_id = '{a}' AND recorded_at ="
            " (SELECT recorded_at FROM ledger.transfers WHERE id = '{late}')"
        ),
        "I15",
        "a",
    ),
    "a running total is gone": (
        (
            "DELETE FROM ledger.backdated_totals WHERE account_id = '{a}' AND recorded_at ="
            " (SELECT recorded_at FROM ledger.transfers WHERE id = '{late}')"
        ),
        "I15",
        "a",
    ),
    "a running total of nothing": (
        "INSERT INTO ledger.backdated_totals VALUES ('{a}', now(), 0)",
        "I15",
        "a",
    ),
    "a value date": (
        "UPDATE ledger.transfers SET effective_at = effective_at + interval '1 us' WHERE id = '{late}'",
        "I15",
        "a",
    ),
    "a value date where there was none": (
        "UPDATE ledger.transfers SET effective_at = '2020-01-01' WHERE id = '{paid}'",
        "I15",
        "b",
    ),
    # Links
    "a reversal does not say of what": ("DELETE FROM ledger.links WHERE relation = 'reversal'", "I11", "a"),
    "a settlement does not say of what": ("DELETE FROM ledger.links WHERE relation = 'settlement'", "I11", "b"),
    "a settlement does not say of what, by its hold": (
        "DELETE FROM ledger.links WHERE relation = 'settlement'",
        "I10",
        "settled",
    ),
    "a reversal of another transfer": (
        (
            "UPDATE ledger.links SET target = (SELECT id FROM ledger.transfers WHERE kind = 'deposit' LIMIT 1)"
            " WHERE relation = 'reversal'"
        ),
        "I11",
        "reversal",
    ),
    "a reversal of nothing": (
        "UPDATE ledger.links SET target = gen_random_uuid() WHERE relation = 'reversal'",
        "I11",
        "reversal",
    ),
    "more reversed than there was": (
        "UPDATE ledger.links SET target = '{small}' WHERE relation = 'reversal'",
        "I11",
        "small",
    ),
    "a settlement of another hold": (
        "UPDATE ledger.links SET target = '{released}' WHERE transfer_id = '{settlement}'",
        "I10",
        "released",
    ),
    "a transfer that claims to be a reversal": (
        "INSERT INTO ledger.links VALUES ('{paid}', 'reversal', '{small}')",
        "I11",
        "paid",
    ),
    # Keys
    "an answer that is not there": (
        (
            "INSERT INTO ledger.idempotency SELECT fingerprint, '{empty}', gen_random_uuid() FROM ledger.idempotency"
            " LIMIT 1"
        ),
        "I4",
        "empty",
    ),
    "answers that are not there, over many pages": (
        (
            "INSERT INTO ledger.idempotency SELECT fingerprint, gen_random_uuid(), subject, answer FROM"
            " (SELECT * FROM ledger.idempotency WHERE answer IS NOT NULL LIMIT 1) AS kept, generate_series(1, 500);"
            "INSERT INTO ledger.idempotency SELECT fingerprint, '{empty}', gen_random_uuid() FROM ledger.idempotency"
            " LIMIT 1"
        ),
        "I4",
        "empty",
    ),
    "an answer of two keys": (
        "INSERT INTO ledger.idempotency SELECT fingerprint, '{empty}', '{paid}' FROM ledger.idempotency LIMIT 1",
        "I4",
        "empty",
    ),
    # What keeps the journal as it is
    **{
        f"{sql} {table}": (f"{sql.format(table=table, trigger=trigger)}", "I11", table)
        for table, trigger in (
            ("ledger.transfers", "append_only"),
            ("ledger.links", "append_only"),
            ("ledger.accounts", "never_deleted"),
        )
        for sql in (
            "DROP TRIGGER {trigger} ON {table}",
            "ALTER TABLE {table} DISABLE TRIGGER {trigger}",
            "ALTER TABLE {table} ENABLE REPLICA TRIGGER {trigger}",
            "GRANT DELETE ON {table} TO billfold_app",
            "GRANT TRUNCATE ON {table} TO PUBLIC",
        )
    },
    "a right to change transfers": (
        "GRANT UPDATE (reference) ON ledger.transfers TO billfold_app",
        "I11",
        "ledger.transfers",
    ),
    "a right to change links": ("GRANT UPDATE ON ledger.links TO billfold_app", "I11", "ledger.links"),
    "a trigger that lets truncate pass": (
        (
            "DROP TRIGGER append_only ON ledger.links; CREATE TRIGGER append_only BEFORE UPDATE OR DELETE"
            " ON ledger.links FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()"
        ),
        "I11",
        "ledger.links",
    ),
    "a trigger that refuses nothing": (
        (
            "CREATE OR REPLACE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NULL; END'"
        ),
        "I11",
        "ledger.accounts",
    ),
}


class Undone(Database):
    """Everything on one connection, in a transaction that is rolled back."""

    def __init__(self, connection: Connection) -> None:
        self._only = connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        yield self._only

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        yield self._only


@pytest.fixture(scope="module")
async def superuser(postgres_server: servers.PostgresServer, furnished: Furnished) -> AsyncIterator[Database]:
    database = await Database.connect(postgres_server.embedded.dsn(cluster.SUPERUSER, database=furnished[0].name))
    yield database
    await database.close()


@pytest.mark.parametrize("what", TAMPERING)
async def test_it_is_found_and_named(
    superuser: Database, furnished: Furnished, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    sql, invariant, subject = TAMPERING[what]
    ids = {name: getattr(furnished[1], name) for name in Furniture.__struct_fields__}
    async with superuser.connection() as connection:
        await connection.execute("BEGIN")
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(sql.format(**ids))
        for page, pages in ((store.PAGE, guards.PAGES_PER_LOOK), (3, 1)):
            monkeypatch.setattr(store, "PAGE", page)
            monkeypatch.setattr(guards, "PAGES_PER_LOOK", pages)
            found = await verification.verify(Undone(connection), None)
            named = {(fault.invariant, fault.subject) for fault in found.faults}
            assert (invariant, ids.get(subject, subject)) in named, found.faults
            assert all(fault.detail.endswith(".") for fault in found.faults)
        await connection.execute("ROLLBACK")


@pytest.mark.parametrize("page", [1, 2, 3, 5, 100_000])
async def test_a_sound_ledger_has_no_fault_whatever_the_pages(
    furnished: Furnished, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(store, "PAGE", page)
    async with Bank.opened(furnished[0].readonly_dsn) as bank:
        seen: list[tuple[int, int]] = []
        found = await bank.ledger.verify(progress=lambda done, of: seen.append((done, of)))
        assert not found.faults
        assert found.holds == 3
        assert found.transfers == await bank.count("SELECT count(*) FROM ledger.transfers")
        assert seen == sorted(seen)
        assert seen[-1] == (2 * found.transfers, 2 * found.transfers)


async def test_a_ledger_that_works_meanwhile_has_no_fault(own_bank: Bank) -> None:
    bank = own_bank
    a, b = await bank.accounts(2, 100_000)
    over = False

    async def work(number: int) -> None:
        while not over:
            if number % 3 == 0:
                await bank.pay(a, b, 1, effective_at=datetime(2020, 1, 1 + number, tzinfo=UTC))
            elif number % 3 == 1:
                await bank.hold(a, 1)
            else:
                paid = await bank.pay(a, b, 2)
                await bank.ledger.reverse(key=key(), transfer_id=paid.id, amount=1)

    async with asyncio.TaskGroup() as group:
        for number in range(9):
            group.create_task(work(number))
        verified = await bank.verified()
        while verified.transfers < 400:
            verified = await bank.verified()
        over = True
    await bank.verified()
