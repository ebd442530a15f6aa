"""Servers of the ledger that die, hang, stop and come back while they are being called: nothing is lost or doubled."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import grpc
import pytest

from billfold.kernel.errors import BillfoldError, Unavailable
from billfold.kernel.idempotency import IdempotencyKeyInUse
from billfold.ledger import errors
from billfold.ledger.contracts import NewHold, Posting
from billfold.ledger.rpc import remote
from billfold.platform.rpc import replicas, statuses
from billfold.platform.rpc.errors import ServiceUnavailable
from tests import ledgers, servers
from tests.integration.ledger.blocker import blocker
from tests.integration.ledger.support import PATIENCE_S, Bank, ask, eventually, key, new
from tests.ledgers import LedgerServer

CALLERS = 16


@pytest.fixture
def pair(own_database: servers.TestDatabase, tmp_path: Path) -> Iterator[list[LedgerServer]]:
    """Two servers on one database."""
    with ExitStack() as stack:
        found = []
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            found.append(stack.enter_context(ledgers.serving(own_database.app_dsn, tmp_path / name)))
        yield found


@pytest.fixture
async def bank(own_database: servers.TestDatabase, pair: list[LedgerServer]) -> AsyncIterator[Bank]:
    """A process that calls both."""
    async with Bank.opened(own_database.app_dsn, served_by=pair) as bank:
        yield bank


class Load:
    """Callers who post one by one, in blocks, and hold and settle, until they are told to end."""

    def __init__(self, bank: Bank, accounts: list[UUID]) -> None:
        self.bank = bank
        self.accounts = accounts
        self.posted: list[UUID] = []
        self._ended = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        works = (self._single, self._single, self._block, self._hold)
        self._tasks = [asyncio.create_task(self._go_on(works[n % len(works)], n)) for n in range(CALLERS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended = True
        async with asyncio.timeout(2 * ledgers.TIMEOUT_S):
            await asyncio.gather(*self._tasks)

    async def more(self, count: int = 200) -> None:
        """Until so many more have been answered."""
        target = len(self.posted) + count

        async def enough() -> bool:
            for task in self._tasks:
                if task.done():
                    task.result()
            return len(self.posted) >= target

        await eventually(enough)

    async def _go_on(self, work: Any, number: int) -> None:
        debit, credit = self.accounts[number % 4], self.accounts[(number + 1) % 4]
        while not self._ended:
            await work(debit, credit)

    async def _single(self, debit: UUID, credit: UUID) -> None:
        posting = await self.bank.ledger.post(key=key(), transfers=[new(debit, credit, 1)])
        self.posted.append(posting.single().id)

    async def _block(self, debit: UUID, credit: UUID) -> None:
        for outcome in await self.bank.ledger.post_many(requests=[(key(), new(debit, credit, 1)) for _ in range(20)]):
            assert isinstance(outcome, Posting), outcome
            self.posted.append(outcome.single().id)

    async def _hold(self, debit: UUID, credit: UUID) -> None:
        ledger = self.bank.ledger
        placed = await ledger.place_hold(key=key(), hold=NewHold(account=debit, amount=1, asset="USD"))
        settled = await ledger.settle_hold(
            key=key(), hold_id=placed.hold.id, credit_account=credit, amount=None, release_rest=False
        )
        assert settled.transfer is not None
        self.posted.append(settled.transfer.id)


async def everything_is_there_once(bank: Bank, load: Load, deposits: int) -> None:
    assert len(set(load.posted)) == len(load.posted)
    assert (await bank.verified()).transfers == len(load.posted) + deposits
    assert sum(await bank.balances(*load.accounts)) == 4 * 1_000_000


async def test_a_server_that_is_killed_under_load_costs_no_call_and_doubles_none(
    bank: Bank, pair: list[LedgerServer]
) -> None:
    async with Load(bank, await bank.accounts(4, 1_000_000)) as load:
        await load.more()
        pair[0].kill()
        await load.more()
        pair[0].start()
        await load.more()
        pair[1].kill()
        await load.more()
    await everything_is_there_once(bank, load, deposits=4)


async def test_a_server_that_is_stopped_under_load_finishes_what_it_has_begun(
    bank: Bank, pair: list[LedgerServer]
) -> None:
    async with Load(bank, await bank.accounts(4, 1_000_000)) as load:
        await load.more()
        assert await asyncio.to_thread(pair[1].stop) == 0
        await load.more()
    await everything_is_there_once(bank, load, deposits=4)
    assert '"level": "error"' not in pair[1].output.read_text()


async def test_a_server_that_hangs_is_left_alone_until_it_answers_again(
    own_database: servers.TestDatabase, bank: Bank, pair: list[LedgerServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "TRY_S", 0.5)
    async with Load(bank, await bank.accounts(4, 1_000_000)) as load:
        await load.more()
        await _hang(pair[0], own_database.app_dsn)
        await load.more()
        pair[0].send(signal.SIGCONT)
        await load.more()
    await everything_is_there_once(bank, load, deposits=4)


async def _hang(server: LedgerServer, dsn: str) -> None:
    """Stop it where PostgreSQL frees what it has locked within seconds, and not while it is sending rows.

    A COPY that gets nothing more ends with the timeout of statements, which is longer than a test waits.
    """
    sending = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND state = 'active' AND wait_event = 'ClientRead'"
    )
    async with asyncio.timeout(PATIENCE_S):
        while True:
            server.send(signal.SIGSTOP)
            if not await ask(dsn, sending):
                return
            server.send(signal.SIGCONT)


async def test_a_restart_of_the_only_server_is_waited_out(
    own_database: servers.TestDatabase, pair: list[LedgerServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "OPEN_AFTER_S", PATIENCE_S)
    async with Bank.opened(own_database.app_dsn, served_by=pair[:1]) as bank:
        a, b = await bank.accounts(2, 100)
        pair[0].kill()
        calls = [asyncio.create_task(bank.pay(a, b, 1)) for _ in range(10)]
        await asyncio.to_thread(pair[0].start)
        await asyncio.gather(*calls)
        assert await bank.balances(a, b) == [90, 110]


async def test_while_no_server_answers_callers_are_told_at_once_and_later_the_same_keys_are_good(
    own_database: servers.TestDatabase, pair: list[LedgerServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "OPEN_AFTER_S", 0.2)
    async with Bank.opened(own_database.app_dsn, served_by=pair) as bank:
        a, b = await bank.accounts(2, 100)
        for server in pair:
            server.kill()
        own = [key() for _ in range(3)]
        with pytest.raises(errors.OutcomeUnknown) as told:
            await bank.ledger.post(key=own[0], transfers=[new(a, b, 10)])
        assert told.value.retryable
        with pytest.raises(ServiceUnavailable):
            await bank.ledger.accounts(ids=[a])
        for outcome in await bank.ledger.post_many(requests=[(own[1], new(a, b, 1)), (own[2], new(a, b, 2))]):
            assert isinstance(outcome, Unavailable)
        with pytest.raises(ServiceUnavailable):
            await bank.ledger.check()
        pair[1].start()

        async def answers() -> bool:
            try:
                return bool(await bank.ledger.accounts(ids=[a]))
            except ServiceUnavailable:
                return False

        await eventually(answers)
        for number, amount in ((0, 10), (1, 1), (2, 2)):
            await bank.ledger.post(key=own[number], transfers=[new(a, b, amount)])
        assert await bank.balances(a, b) == [87, 113]
        await bank.ledger.check()


@pytest.mark.parametrize("call", ["post", "post_many"])
async def test_who_asks_again_while_the_first_try_is_worked_on_gets_its_answer_and_hears_of_no_key_in_use(
    own_database: servers.TestDatabase, pair: list[LedgerServer], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    in_use, said, none_in_use = asyncio.Event(), statuses.said, remote._none_in_use

    def see(outcome: object) -> None:
        if isinstance(outcome, IdempotencyKeyInUse):
            in_use.set()
        else:
            # The first try is given up. From now on there is time, however slow the machine is.
            monkeypatch.setattr(replicas, "TRY_S", ledgers.TIMEOUT_S)

    def said_and_seen(failed: grpc.aio.AioRpcError) -> BillfoldError | None:
        error = said(failed)
        see(error)
        return error

    def told_and_seen(outcomes: Sequence[Posting | BillfoldError]) -> bool:
        for outcome in outcomes:
            see(outcome)
        return none_in_use(outcomes)

    monkeypatch.setattr(replicas, "OPEN_AFTER_S", PATIENCE_S)
    monkeypatch.setattr(statuses, "said", said_and_seen)
    monkeypatch.setattr(remote, "_none_in_use", told_and_seen)
    async with Bank.opened(own_database.app_dsn, served_by=pair[:1]) as bank:
        a, b = await bank.accounts(2, 100)
        async with blocker(own_database.owner_dsn) as stranger:
            await stranger.lock_row(a)
            monkeypatch.setattr(replicas, "TRY_S", 0.5)
            if call == "post":
                paying: asyncio.Task[Posting | BillfoldError] = asyncio.create_task(bank.post(new(a, b, 1), text="k"))
            else:
                paying = asyncio.create_task(_only_one(bank.ledger.post_many(requests=[(key("k"), new(a, b, 1))])))
            await asyncio.wait_for(in_use.wait(), PATIENCE_S)
        outcome = await paying
        assert isinstance(outcome, Posting), outcome
        assert await bank.balances(a, b) == [99, 101]


async def test_calls_go_round_among_the_servers(bank: Bank, pair: list[LedgerServer]) -> None:
    a, b = await bank.accounts(2, 1_000)
    for _ in range(20):
        await bank.pay(a, b, 1)
    for server in pair:
        line = next(
            one
            for one in server.metrics().splitlines()
            if one.startswith('billfold_rpc_server_seconds_count{code="OK",method="Post"}')
        )
        assert float(line.split()[-1]) >= 10


async def test_whoever_follows_an_account_is_told_to_go_elsewhere_and_misses_nothing(
    bank: Bank, pair: list[LedgerServer]
) -> None:
    a, b = await bank.accounts(2, 100)
    async with AsyncExitStack() as stack:
        told = bank.ledger.watch(account_id=a)
        stack.push_async_callback(told.aclose)  # type: ignore[attr-defined]
        await anext(told)
        seen = await bank.pay(a, b, 1)
        assert [entry.amount for entry in (await anext(told)).entries] == [-1]
        for server in pair:
            assert await asyncio.to_thread(server.stop) == 0
        with pytest.raises(ServiceUnavailable):
            await anext(told)
    pair[0].start()
    async with Bank.opened(pair[0].dsn, served_by=pair[:1]) as other:
        await other.pay(a, b, 2)
        again = other.ledger.watch(account_id=a, after=seen.recorded_at)
        assert [entry.amount for entry in (await anext(again)).entries] == [-2]
        await again.aclose()  # type: ignore[attr-defined]


async def _only_one(outcomes: Awaitable[Sequence[Posting | BillfoldError]]) -> Posting | BillfoldError:
    (outcome,) = await outcomes
    return outcome
