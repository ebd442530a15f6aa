"""What an operator has discarded stays discarded: whoever sends it again, and whoever has it in hand meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from uuid import UUID

import asyncpg
import msgspec
import pytest

from billfold.kernel import ids, origin
from billfold.kernel.assets import Asset
from billfold.kernel.origin import Origin
from billfold.ledger import errors as ledger_errors
from billfold.ledger.service import posting
from billfold.platform.messaging.brokers import nats
from billfold.platform.postgres.database import Connection, DatabaseUnavailable
from billfold.wallets import Wallets, domain, errors, workers
from billfold.wallets.contracts import DeadLetterContent, Delivery
from billfold.wallets.service import confirmed, orders
from billfold.wallets.service.bulk import _QUEUE
from billfold.wallets.store import dead_letters as store
from billfold.wallets.workers import ConfirmedTransactions
from tests import servers
from tests.integration.ledger.blocker import Blocker, blocker
from tests.integration.messaging.queue import (
    OPERATOR,
    balance,
    cloud_event,
    consuming,
    dead_letters,
    emptied,
    new_wallet,
    opened_wallets,
    plain,
    send,
)

GOLD = Asset(code="GOLD", scale=2, kind="fiat", name="Gold")

Deliver = Callable[..., Awaitable[None]]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for somebody else's lock waits for as long as the test needs, and does not begin anew meanwhile."""
    monkeypatch.setattr(posting, "LOCK_WAIT_S", 60.0)
    monkeypatch.setattr(posting, "RETRY_FOR_S", 60.0)


@pytest.fixture
async def deliver(wallets: Wallets, server: nats.Server) -> AsyncIterator[Deliver]:
    """Send messages to a worker, and wait until it has settled them."""

    async def delivered(*bodies: bytes) -> None:
        await send(server, bodies)
        await emptied(server)

    async with consuming(ConfirmedTransactions(wallets=wallets, messaging=server)):
        yield delivered


async def test_a_transaction_that_was_discarded_is_not_applied_when_its_cause_has_gone_however_it_is_spelt(
    wallets: Wallets, deliver: Deliver
) -> None:
    wallet = await new_wallet(wallets)
    body = plain(wallet, "7.00", sender_id="gold", asset="GOLD")
    await deliver(body)
    dead = await _only(wallets)
    assert dead.reason == "asset_unknown"
    await wallets.dead_letters.discard(principal=OPERATOR, dead_letter_id=dead.id)
    await wallets.assets.add(principal=OPERATOR, asset=GOLD)
    before = _counted()
    await deliver(
        body,
        json.dumps(dict(reversed(json.loads(body).items())), indent=2).encode(),
        cloud_event(wallet, "7.00", sender_id="gold", asset="GOLD"),
    )
    assert _counted() == before + 3
    again = await _only(wallets)
    assert (again.status, again.reason, again.deliveries) == ("discarded", "asset_unknown", 4)
    assert again.last_seen > dead.last_seen
    assert await wallets.dead_letters.count_open() == 0
    await deliver(plain(wallet, "5.00", sender_id="other", asset="GOLD"))
    assert await _gold(wallets, wallet) == "5.00"


async def test_another_transaction_under_a_discarded_id_is_not_dropped_in_silence(
    wallets: Wallets, deliver: Deliver
) -> None:
    wallet = await new_wallet(wallets)
    await deliver(plain(wallet, "1.001", sender_id="x"))
    first = await _only(wallets)
    await wallets.dead_letters.discard(principal=OPERATOR, dead_letter_id=first.id)
    await deliver(plain(wallet, "1.00", sender_id="x"))
    _, other = await dead_letters(wallets)
    assert (other.status, other.reason) == ("open", "idempotency_key_reused")
    await wallets.dead_letters.discard(principal=OPERATOR, dead_letter_id=other.id)
    await deliver(plain(wallet, "1.00", sender_id="x"))
    assert [(dead.status, dead.deliveries) for dead in await dead_letters(wallets)] == [
        ("discarded", 1),
        ("discarded", 2),
    ]


async def test_what_was_refused_for_want_of_money_and_discarded_is_dropped_when_there_is_money(
    wallets: Wallets, deliver: Deliver
) -> None:
    wallet = await new_wallet(wallets)
    rent = plain(wallet, "40.00", sender_id="rent", direction="debit")
    await deliver(rent)
    dead = await _only(wallets)
    await wallets.dead_letters.retry(principal=OPERATOR, dead_letter_id=dead.id)
    await wallets.dead_letters.discard(principal=OPERATOR, dead_letter_id=dead.id)
    before = _counted()
    await deliver(plain(wallet, "100.00", sender_id="salary"), rent)
    assert _counted() == before + 1
    assert await balance(wallets, wallet) == "100.00"
    for use in (wallets.dead_letters.retry, wallets.dead_letters.discard):
        with pytest.raises(errors.DeadLetterClosed):
            await use(principal=OPERATOR, dead_letter_id=dead.id)


async def test_bytes_that_nobody_understands_are_dropped_once_they_were_discarded_and_mended_they_are_applied(
    wallets: Wallets, deliver: Deliver
) -> None:
    wallet = await new_wallet(wallets)
    misspelt = plain(wallet, "3.00", sender_id="x", efective_at="2026-01-31")
    await deliver(misspelt)
    dead = await _only(wallets)
    await wallets.dead_letters.discard(principal=OPERATOR, dead_letter_id=dead.id)
    before = _counted()
    await deliver(misspelt, plain(wallet, "3.00", sender_id="x"))
    assert _counted() == before + 1
    again = await _only(wallets)
    assert (again.status, again.deliveries) == ("discarded", 2)
    assert await balance(wallets, wallet) == "3.00"


async def test_a_discard_while_a_worker_has_the_transaction_in_hand_keeps_it_from_being_applied(
    wallets: Wallets, wallets_database: servers.TestDatabase, server: nats.Server, deliver: Deliver
) -> None:
    wallet, body, dead = await _refused_once(wallets, deliver)
    async with opened_wallets(wallets_database) as operator:
        async with blocker(wallets_database.owner_dsn) as stranger:
            await stranger.lock_row(await _account(stranger, wallet))
            await send(server, [body])
            await stranger.waiting(1)  # The worker has looked the key up, and waits for the account.
            before = _counted()
            closed = await operator.dead_letters.discard(principal=OPERATOR, dead_letter_id=dead.id)
            assert closed.status == "discarded"
        await emptied(server)
    assert _counted() == before + 1
    assert await _gold(wallets, wallet) == "0.01"
    assert (await _only(wallets)).deliveries == 2


async def test_a_discard_after_a_worker_has_posted_and_before_it_has_committed_is_told_so(
    wallets: Wallets, wallets_database: servers.TestDatabase, deliver: Deliver
) -> None:
    wallet, body, dead = await _refused_once(wallets, deliver)
    async with opened_wallets(wallets_database) as operator:
        async with blocker(wallets_database.owner_dsn) as stranger:
            # The worker writes keys in the order of their digests: the discarded one, then one it has to wait for.
            later = next(
                other
                for other in (plain(wallet, "1.00", sender_id=f"later-{n}", asset="GOLD") for n in range(1_000))
                if _key(other) > _key(body)
            )
            await stranger.claim_key(_key(later))
            both = [
                Delivery(subject="test", sequence=sequence, deliveries=1, headers={}, body=each)
                for sequence, each in enumerate((body, later))
            ]
            taking = asyncio.create_task(wallets.deliveries.take(deliveries=both))
            await stranger.waiting(1)
            discard = asyncio.create_task(operator.dead_letters.discard(principal=OPERATOR, dead_letter_id=dead.id))
            await stranger.waiting(2)
        with pytest.raises(errors.DeadLetterApplied):
            await discard
        assert await taking == ["applied", "applied"]
        assert await _gold(wallets, wallet) == "8.01"
        retried = await operator.dead_letters.retry(principal=OPERATOR, dead_letter_id=dead.id)
    assert retried.status == "retried"
    assert await _gold(wallets, wallet) == "8.01"


async def test_a_discard_while_another_operator_retries_keeps_the_retry_from_moving_money(
    wallets: Wallets, wallets_database: servers.TestDatabase, deliver: Deliver
) -> None:
    wallet, _, dead = await _refused_once(wallets, deliver)
    async with opened_wallets(wallets_database) as operator:
        async with blocker(wallets_database.owner_dsn) as stranger:
            await stranger.lock_row(await _account(stranger, wallet))
            retry = asyncio.create_task(wallets.dead_letters.retry(principal=OPERATOR, dead_letter_id=dead.id))
            await stranger.waiting(1)
            await operator.dead_letters.discard(principal=OPERATOR, dead_letter_id=dead.id)
        with pytest.raises(errors.DeadLetterClosed):
            await retry
    assert await _gold(wallets, wallet) == "0.01"
    assert (await _only(wallets)).status == "discarded"


@pytest.mark.parametrize("first", ["retry", "discard"])
@pytest.mark.parametrize("second", ["retry", "discard"])
async def test_of_two_who_decide_at_once_one_is_told_that_the_dead_letter_is_in_use(
    wallets: Wallets, wallets_database: servers.TestDatabase, deliver: Deliver, first: str, second: str
) -> None:
    wallet, body, dead = await _refused_once(wallets, deliver)
    deciding = {"retry": wallets.dead_letters.retry, "discard": wallets.dead_letters.discard}
    async with blocker(wallets_database.owner_dsn) as stranger:
        await stranger.claim_key(_key(body))
        decided = asyncio.create_task(deciding[first](principal=OPERATOR, dead_letter_id=dead.id))
        await stranger.waiting(1)
        with pytest.raises(errors.DeadLetterInUse):
            await deciding[second](principal=OPERATOR, dead_letter_id=dead.id)
    found = await decided
    assert found.status == {"retry": "retried", "discard": "discarded"}[first]
    assert await _gold(wallets, wallet) == ("7.01" if first == "retry" else "0.01")


@pytest.mark.parametrize("then", ["delivered again", "retried", "discarded again"])
async def test_a_discard_that_was_cut_off_between_the_ledger_and_the_dead_letter_is_finished_by_whoever_meets_it(
    wallets: Wallets,
    wallets_database: servers.TestDatabase,
    deliver: Deliver,
    *,
    monkeypatch: pytest.MonkeyPatch,
    then: str,
) -> None:
    wallet, body, dead = await _refused_once(wallets, deliver)
    origin.begin(Origin(channel="api", request_id="decides"))

    async def cut_off(_: Connection, __: UUID) -> bool:
        raise DatabaseUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(store, "discard", cut_off)
        with pytest.raises(DatabaseUnavailable):
            await wallets.dead_letters.discard(principal=OPERATOR, dead_letter_id=dead.id)
    assert (await _only(wallets)).status == "open"
    origin.begin(Origin(channel="api", request_id="meets it"))
    match then:
        case "delivered again":
            await deliver(body)
        case "retried":
            with pytest.raises(errors.DeadLetterClosed):
                await wallets.dead_letters.retry(principal=OPERATOR, dead_letter_id=dead.id)
        case _:
            await wallets.dead_letters.discard(principal=OPERATOR, dead_letter_id=dead.id)
    again = await _only(wallets)
    assert (again.status, again.reason) == ("discarded", "asset_unknown")
    assert await _gold(wallets, wallet) == "0.01"
    kept = [("discard_begun", "decides")]
    if then == "discarded again":
        kept += [("discard_begun", "meets it"), ("discarded", "meets it")]
    assert await _kept(wallets_database) == kept


async def test_of_two_who_discard_at_once_the_audit_has_one_as_having_done_it(
    wallets: Wallets, wallets_database: servers.TestDatabase, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, dead = await _refused_once(wallets, deliver)
    void, both = wallets.dead_letters._void, asyncio.Barrier(2)

    async def together(found: DeadLetterContent) -> None:
        await both.wait()
        # The second to ask finds the key in use or voided; both find that nothing can be posted any more.
        with suppress(errors.DeadLetterInUse):
            await void(found)
        await both.wait()

    async def discard(who: str) -> DeadLetterContent:
        origin.begin(Origin(channel="api", request_id=who))
        return await wallets.dead_letters.discard(principal=OPERATOR, dead_letter_id=dead.id)

    monkeypatch.setattr(wallets.dead_letters, "_void", together)
    outcomes = await asyncio.gather(discard("one"), discard("other"), return_exceptions=True)
    done = [who for who, outcome in zip(("one", "other"), outcomes, strict=True) if not isinstance(outcome, Exception)]
    assert len(done) == 1
    assert {type(one) for one in outcomes} == {DeadLetterContent, errors.DeadLetterClosed}
    kept = await _kept(wallets_database)
    assert sorted(kept) == [("discard_begun", "one"), ("discard_begun", "other"), ("discarded", done[0])]


async def test_whoever_applies_confirmed_transactions_without_the_queue_is_told_that_it_was_discarded(
    wallets: Wallets, deliver: Deliver
) -> None:
    _, body, dead = await _refused_once(wallets, deliver)
    await wallets.dead_letters.discard(principal=OPERATOR, dead_letter_id=dead.id)
    (outcome,) = await wallets.apply_confirmed(transactions=[confirmed.read(body, {})])
    assert isinstance(outcome, ledger_errors.Voided)
    assert outcome.replayed


async def _refused_once(wallets: Wallets, deliver: Deliver) -> tuple[str, bytes, DeadLetterContent]:
    """A transaction that was refused before it came to the ledger, and could be applied now."""
    wallet = await new_wallet(wallets)
    body = plain(wallet, "7.00", sender_id="gold", asset="GOLD")
    await deliver(body)
    await wallets.assets.add(principal=OPERATOR, asset=GOLD)
    await wallets.apply_confirmed(
        transactions=[confirmed.read(plain(wallet, "0.01", sender_id="first", asset="GOLD"), {})]
    )
    return wallet, body, await _only(wallets)


async def _only(wallets: Wallets) -> DeadLetterContent:
    (dead,) = await dead_letters(wallets)
    return dead


async def _kept(database: servers.TestDatabase) -> list[tuple[str, str]]:
    """What the audit is to keep of dead letters that were decided about, and in which request that was."""
    connection = await asyncpg.connect(database.owner_dsn)
    rows = await connection.fetch("SELECT payload FROM messaging.outbox WHERE kind = 'audit' ORDER BY seq")
    await connection.close()
    told = [fact for row in rows for fact in msgspec.json.decode(row["payload"])["data"]["facts"]]
    return [
        (fact["type"].split(".")[1], fact["origin"]["request_id"])
        for fact in told
        if fact["type"].startswith("dead_letter.")
    ]


async def _gold(wallets: Wallets, wallet: str) -> str:
    (found,) = await wallets.balances.now(principal=OPERATOR, wallet_id=ids.parse(wallet), asset="GOLD")
    return found.posted


async def _account(stranger: Blocker, wallet: str) -> UUID:
    found: UUID = await stranger.connection.fetchval(
        "SELECT account_id FROM wallets.accounts WHERE wallet_id = $1 AND asset = 'GOLD'", ids.parse(wallet)
    )
    return found


def _key(body: bytes) -> UUID:
    """Under which key the ledger knows it."""
    transaction = confirmed.read(body, {})
    return orders.key(_QUEUE, domain.sender_key(transaction), domain.order_of(transaction)).digest


def _counted() -> float:
    """How many were dropped as discarded."""
    counted: float = workers.TAKEN.labels("discarded")._value.get()
    return counted
