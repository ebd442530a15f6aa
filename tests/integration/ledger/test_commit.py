"""The connection is lost during COMMIT: one effect, and a truthful answer."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from billfold.ledger import errors
from billfold.ledger.contracts import NewHold
from billfold.ledger.service import posting
from billfold.platform.postgres import cluster, database
from billfold.platform.postgres.database import DatabaseUnavailable
from tests import servers
from tests.integration.ledger.support import Bank, ask, eventually, key, names, new
from tests.integration.postgres import proxy
from tests.integration.postgres.proxy import Cut, Proxy

Cuttable = tuple[Proxy, Bank]


@pytest.fixture
def tcp_dsn(postgres_server: servers.PostgresServer, shared_database: servers.TestDatabase) -> str:
    return postgres_server.embedded.dsn(cluster.APP, database=shared_database.name, tcp=True)


@pytest.fixture
async def cuttable(tcp_dsn: str) -> AsyncIterator[Cuttable]:
    """A process whose connections go through the proxy."""
    async with proxy.before(tcp_dsn) as (line, dsn), Bank.opened(dsn, size=4) as bank:
        yield line, bank


@pytest.mark.parametrize("how", Cut)
async def test_cut_once_a_request_is_answered_and_has_one_effect(cuttable: Cuttable, bank: Bank, how: Cut) -> None:
    line, process = cuttable
    a, b = await bank.accounts(2, 100)
    line.cut(how, 1)
    answer = await process.post(new(a, b, 10), text=f"cut once {how}")
    assert line.seen == 1
    paid = answer.single()
    assert await bank.balances(a, b) == [90, 110]
    assert await bank.ledger.transfer(transfer_id=paid.id) == paid
    again = await bank.post(new(a, b, 10), text=f"cut once {how}")
    assert (again.results, again.replayed) == ([paid], True)


@pytest.mark.parametrize("how", Cut)
async def test_cut_in_a_batch_everybody_is_answered_as_it_is(cuttable: Cuttable, bank: Bank, how: Cut) -> None:
    line, process = cuttable
    a, b = await bank.accounts(2, 100)
    hold = await bank.hold(a, 30)
    line.cut(how, 2)
    outcomes = await asyncio.gather(
        process.pay(a, b, 10),
        process.pay(a, b, 1_000),
        process.ledger.settle_hold(key=key(), hold_id=hold, credit_account=b, amount=20, release_rest=True),
        process.ledger.place_hold(key=key(), hold=NewHold(account=b, amount=5, asset="USD")),
        process.post(new(a, b, 1), new(a, b, 2)),
        return_exceptions=True,
    )
    assert names(outcomes) == ["Transfer", "InsufficientFunds", "HoldChange", "HoldChange", "Posting"]
    assert await bank.balances(a, b) == [67, 133]
    (first, second) = await bank.ledger.accounts(ids=[a, b])
    assert (first.held, second.held) == (0, 5)


@pytest.mark.parametrize("how", [Cut.BEFORE, Cut.AFTER])
async def test_cut_for_too_long_the_outcome_is_unknown_until_it_is_asked_for_by_its_key(
    cuttable: Cuttable, bank: Bank, how: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Time for more than one try on any machine.
    monkeypatch.setattr(posting, "RETRY_FOR_S", 1.5)
    monkeypatch.setattr(posting, "RETRY_AT_LEAST_S", 1.5)
    line, process = cuttable
    a, b = await bank.accounts(2, 100)
    text = f"unknown {how}"
    line.cut(how, 1_000_000)
    with pytest.raises(errors.OutcomeUnknown) as unknown:
        await process.post(new(a, b, 10), text=text)
    assert unknown.value.retryable
    assert line.seen > 1
    line.cut(how, 0)
    answer = await bank.post(new(a, b, 10), text=text)
    assert answer.replayed is (how is Cut.AFTER)
    assert (await process.post(new(a, b, 10), text=text)).results == answer.results
    assert await bank.balances(a, b) == [90, 110]


@pytest.mark.parametrize("how", [Cut.BEFORE, Cut.AFTER])
async def test_a_database_that_goes_at_commit_and_stays_away_leaves_the_outcome_unknown(
    cuttable: Cuttable, bank: Bank, how: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later tries find nobody there. That is no reason to say that nothing was done."""
    monkeypatch.setattr(posting, "RETRY_FOR_S", 0.3)
    monkeypatch.setattr(posting, "RETRY_AT_LEAST_S", 0.3)
    line, process = cuttable
    a, b = await bank.accounts(2, 100)
    text = f"gone {how}"
    line.refuse_after_cut = True
    line.cut(how, 1)
    with pytest.raises(errors.OutcomeUnknown):
        await process.post(new(a, b, 10), text=text)
    with pytest.raises(DatabaseUnavailable) as away:
        await process.post(new(a, b, 10), text=text + " later")
    assert away.value.code == "database_unavailable"
    line.refusing = False
    assert (await process.post(new(a, b, 10), text=text)).replayed is (how is Cut.AFTER)
    assert not (await process.post(new(a, b, 10), text=text + " later")).replayed
    assert await bank.balances(a, b) == [80, 120]


async def test_while_the_database_is_away_nobody_waits_much_longer_than_a_restart_takes(
    cuttable: Cuttable, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many have come in the meantime: more than one batch, each of which would wait anew."""
    monkeypatch.setattr(posting, "RETRY_FOR_S", 1.0)
    monkeypatch.setattr(posting, "RETRY_AT_LEAST_S", 0.1)
    monkeypatch.setattr(posting, "BATCH_MAX", 10)
    line, process = cuttable
    a, b = await bank.accounts(2, 1_000)
    line.refuse_after_cut = True
    line.cut(Cut.BEFORE, 1)
    loop = asyncio.get_running_loop()
    waited: list[float] = []

    async def asked(number: int) -> None:
        begin = loop.time()
        with pytest.raises(DatabaseUnavailable if number else errors.OutcomeUnknown):
            await process.post(new(a, b, 1), text=f"away {number}")
        waited.append(loop.time() - begin)

    first = asyncio.create_task(asked(0))
    await asyncio.sleep(0.1)
    await asyncio.gather(first, *[asked(number) for number in range(1, 100)])
    # Ten batches of a second each, if each began to wait when its turn came.
    assert max(waited) < 5
    line.refusing = False
    assert not (await process.post(new(a, b, 1), text="away 99")).replayed


async def test_a_network_that_falls_silent_holds_nobody_up_for_ever(
    tcp_dsn: str, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "ANSWER_TIMEOUT_S", 0.5)
    a, b = await bank.accounts(2, 100)
    async with proxy.before(tcp_dsn) as (line, dsn), Bank.opened(dsn, size=2) as process:
        line.silent = True
        asked = [asyncio.create_task(process.post(new(a, b, 10), text=f"silent {n}")) for n in range(3)]
        await asyncio.sleep(0.2)
        # What was sent meanwhile is lost, like the connection; new ones get through.
        line.silent = False
        answers = await asyncio.wait_for(asyncio.gather(*asked), 30)
        again = [await bank.post(new(a, b, 10), text=f"silent {n}") for n in range(3)]
    assert [answer.results for answer in again] == [answer.results for answer in answers]
    assert await bank.balances(a, b) == [70, 130]


async def test_a_backend_ended_before_commit_has_done_nothing_and_it_is_done_again(
    cuttable: Cuttable, bank: Bank, postgres_server: servers.PostgresServer
) -> None:
    _, process = cuttable
    a, b = await bank.accounts(2, 100)
    async with bank.database.transaction() as blocking:
        await blocking.execute("SELECT FROM ledger.accounts WHERE id = $1 FOR UPDATE", a)
        asked = asyncio.create_task(process.pay(a, b, 10))
        first = await waiting(postgres_server, WAITS_FOR_LOCK)
        await ask(postgres_server.admin_dsn, "SELECT pg_terminate_backend($1)", first)
        second = await waiting(postgres_server, WAITS_FOR_LOCK, other_than=first)
        assert second != first
    assert (await asked).debit_version == 2
    assert await bank.balances(a, b) == [90, 110]


async def test_a_backend_ended_while_it_commits_has_committed_and_it_is_not_done_again(
    bank: Bank, postgres_server: servers.PostgresServer
) -> None:
    """COMMIT waits for a standby that never comes: it is on the disk, and not answered yet."""
    a, b = await bank.accounts(2, 100)
    await wait_for_standby(postgres_server, "nobody")
    try:
        asked = asyncio.create_task(bank.post(new(a, b, 10)))
        committing = await waiting(postgres_server, WAITS_FOR_STANDBY)
        await ask(postgres_server.admin_dsn, "SELECT pg_terminate_backend($1)", committing)
        answer = await asked
    finally:
        await wait_for_standby(postgres_server, "")
    assert answer.single().debit_version == 2
    assert await bank.balances(a, b) == [90, 110]


WAITS_FOR_LOCK = "SELECT pid FROM pg_locks WHERE NOT granted AND pid <> $1"
WAITS_FOR_STANDBY = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND pid <> $1"


async def waiting(server: servers.PostgresServer, sql: str, *, other_than: int = 0) -> int:
    """The backend that waits, as soon as one does."""
    found: list[int] = []

    async def one_waits() -> bool:
        pid = await ask(server.admin_dsn, sql, other_than)
        found.extend([pid] if pid else [])
        return bool(found)

    await eventually(one_waits)
    return found[0]


async def wait_for_standby(server: servers.PostgresServer, name: str) -> None:
    await ask(server.admin_dsn, f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
    await ask(server.admin_dsn, "SELECT pg_reload_conf()")
    await eventually(lambda: _is_set(server, name))


async def _is_set(server: servers.PostgresServer, name: str) -> bool:
    return bool(await ask(server.admin_dsn, "SHOW synchronous_standby_names") == name)


async def test_a_refusal_is_recorded_even_if_the_connection_was_cut(cuttable: Cuttable, bank: Bank) -> None:
    line, process = cuttable
    a, b = await bank.accounts(2)
    for how in Cut:
        line.cut(how, 1)
        with pytest.raises(errors.InsufficientFunds):
            await process.pay(a, b, 10, text=f"refused {how}")
        await bank.pay(bank.outside, a, 10)
        with pytest.raises(errors.InsufficientFunds) as again:
            await bank.pay(a, b, 10, text=f"refused {how}")
        assert again.value.replayed
        await bank.pay(a, bank.outside, 10)


async def test_many_cuts_under_load_lose_and_repeat_nothing(cuttable: Cuttable, bank: Bank) -> None:
    line, process = cuttable
    a, b = await bank.accounts(2, 10_000)
    count = 0
    for how in [*Cut] * 2:
        line.cut(how, 3)
        outcomes = await asyncio.gather(*[process.post(new(a, b, 1)) for _ in range(25)], return_exceptions=True)
        assert names(outcomes) == ["Posting"] * 25
        count += 25
    assert await bank.balances(a, b) == [10_000 - count, 10_000 + count]
