"""Several processes with several clients each on the same few accounts, with keys that they share."""

import asyncio
import sys
from collections import defaultdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from billfold.kernel.events import Event
from billfold.ledger.contracts import Account, Transfer
from billfold.ledger.service import journal
from billfold.ledger.store import rows
from tests import servers
from tests.integration.ledger.client import Line, Task
from tests.integration.ledger.support import MIGRATIONS, Bank

ROOT = Path(__file__).parents[3]
PROCESSES = 3
CLIENTS = 8
REQUESTS = 60
SHARED = 150
FLOORS = [0, 0, 0, 0, -200]


Entry = tuple[int, int, int, datetime]


class Run:
    """What was answered, and what is there afterwards."""

    def __init__(
        self, lines: list[Line], transfers: list[Transfer], accounts: dict[UUID, Account], events: list[Event]
    ) -> None:
        self.lines = lines
        self.events = events
        self.transfers = {transfer.id: transfer for transfer in transfers}
        self.accounts = accounts
        self.by_text: dict[str, list[Line]] = defaultdict(list)
        for told in lines:
            self.by_text[told.text].append(told)

    def entries(self, account: UUID) -> list[Entry]:
        """(version, amount, balance, recorded_at) of each, by version."""
        found: list[Entry] = []
        for transfer in self.transfers.values():
            if transfer.debit_account == account:
                found.append((transfer.debit_version, -transfer.amount, transfer.debit_balance, transfer.recorded_at))
            if transfer.credit_account == account:
                found.append((transfer.credit_version, transfer.amount, transfer.credit_balance, transfer.recorded_at))
        return sorted(found, key=lambda entry: entry[0])


async def clients(task: Task) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.ledger.client", msgspec.json.encode(task).decode()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        limit=2**24,
    )


async def told_by(process: asyncio.subprocess.Process) -> list[Line]:
    output, _ = await process.communicate(b"go\n")
    assert process.returncode == 0
    return [msgspec.json.decode(text, type=Line) for text in output.splitlines()]


@pytest.fixture(scope="module")
async def run(postgres_server: servers.PostgresServer) -> Run:
    database = postgres_server.create_database(MIGRATIONS)
    async with Bank.opened(database.app_dsn) as bank:
        accounts = [await bank.account(500, floor=floor) for floor in FLOORS]
        tasks = [Task(database.app_dsn, seed, accounts, CLIENTS, REQUESTS, SHARED) for seed in range(PROCESSES)]
        processes = [await clients(task) for task in tasks]
        for process in processes:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
        lines = [told for told_all in await asyncio.gather(*map(told_by, processes)) for told in told_all]
        async with bank.database.connection() as connection:
            found = await connection.fetch(f"SELECT {rows.TRANSFER} FROM ledger.transfers")
            outbox = await connection.fetch("SELECT kind, payload FROM messaging.outbox ORDER BY seq")
            pointers = [row["payload"] for row in outbox if row["kind"] == journal.OUTBOX_KIND]
            told = [event for events in await bank.ledger.expand(connection, pointers) for event in events]
        states = await bank.ledger.accounts(ids=[bank.outside, *accounts])
        assert (await bank.verified()).transfers == len(found)
        return Run(lines, [rows.transfer(row) for row in found], {state.id: state for state in states}, told)


def test_they_were_really_in_each_others_way(run: Run) -> None:
    assert len(run.lines) == PROCESSES * CLIENTS * REQUESTS
    assert sum(told.replayed for told in run.lines) > 50
    assert sum(told.refused is not None for told in run.lines) > 50
    assert sum(len(told.transfers) > 1 for told in run.lines) > 50
    assert sum(told.hold is not None for told in run.lines) > 50


def test_all_entries_sum_to_zero(run: Run) -> None:
    assert sum(account.posted for account in run.accounts.values()) == 0


def test_every_balance_is_the_sum_of_its_entries_up_to_it(run: Run) -> None:
    for account in run.accounts.values():
        balance = 0
        for _, amount, after, _ in run.entries(account.id):
            balance += amount
            assert after == balance
        assert account.posted == balance


def test_no_balance_was_ever_below_its_floor(run: Run) -> None:
    for account in run.accounts.values():
        if account.floor is not None:
            assert all(balance >= account.floor for _, _, balance, _ in run.entries(account.id))
            assert account.available >= account.floor


def test_versions_have_no_gap_and_no_repeat(run: Run) -> None:
    for account in run.accounts.values():
        versions = [version for version, _, _, _ in run.entries(account.id)]
        assert versions == list(range(1, account.version + 1))


def test_time_strictly_increases_along_versions(run: Run) -> None:
    for account in run.accounts:
        recorded = [recorded_at for _, _, _, recorded_at in run.entries(account)]
        assert all(earlier < later for earlier, later in pairwise(recorded))


def test_a_key_has_one_effect_however_many_sent_it(run: Run) -> None:
    for told in run.by_text.values():
        assert sum(not one.replayed for one in told) == 1
        assert len({(tuple(one.transfers), one.hold, one.refused) for one in told}) == 1


def test_every_acknowledged_transfer_is_there_and_nothing_else(run: Run) -> None:
    acknowledged = {transfer for told in run.lines for transfer in told.transfers}
    deposits = {transfer.id for transfer in run.transfers.values() if transfer.kind == "deposit"}
    assert acknowledged | deposits == set(run.transfers)
    assert not acknowledged & deposits


def test_every_process_reads_its_own_writes(run: Run) -> None:
    assert [told.unread for told in run.lines if told.unread] == []


def test_every_transfer_is_told_once_and_in_the_order_of_each_accounts_versions(run: Run) -> None:
    """In the order in which the outbox has them, which is drawn while the accounts are locked."""
    assert len(run.events) == len(run.transfers)
    assert {UUID(event.subject) for event in run.events} == set(run.transfers)
    versions: dict[UUID, int] = defaultdict(int)
    for event in run.events:
        transfer = run.transfers[UUID(event.subject)]
        sides = ((transfer.debit_account, transfer.debit_version), (transfer.credit_account, transfer.credit_version))
        for account, version in sides:
            assert version == versions[account] + 1
            versions[account] = version
