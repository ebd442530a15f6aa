"""Confirmed transactions from a queue: each applied exactly once or kept as a dead letter, whatever ends when."""

import asyncio
import base64
import json
import random
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from nats.aio.msg import Msg

from billfold.kernel import ids
from billfold.kernel.errors import BillfoldError, Unavailable
from billfold.kernel.idempotency import IdempotencyKeyInUse
from billfold.ledger import Ledger
from billfold.ledger import errors as ledger_errors
from billfold.platform.messaging import topics, tries
from billfold.platform.messaging.brokers import nats, streams
from billfold.platform.messaging.relay import Relay
from billfold.platform.postgres.database import Database
from billfold.wallets import Wallets, errors, workers
from billfold.wallets.contracts import ConfirmedTransaction, Delivery, Taken, Transfer
from billfold.wallets.service.bulk import Bulk
from billfold.wallets.service.deliveries import Deliveries
from billfold.wallets.workers import ConfirmedTransactions
from tests import servers
from tests.integration.messaging.queue import (
    OPERATOR,
    balance,
    cloud_event,
    consuming,
    dead_letters,
    emptied,
    message,
    new_wallet,
    opened_wallets,
    plain,
    send,
    state,
)
from tests.integration.messaging.support import WALLETS_MIGRATIONS, in_stream, published, running, until


async def test_credits_and_debits_reach_the_wallet_in_both_forms(wallets: Wallets, server: nats.Server) -> None:
    wallet = await new_wallet(wallets)
    await send(
        server,
        [
            cloud_event(wallet, "100.00", sender_id="a", reference="pay", effective_at="2026-01-31"),
            plain(wallet, "30.25", sender_id="b", direction="debit", description="Rent"),
        ],
    )
    async with consuming(ConfirmedTransactions(wallets=wallets, messaging=server)):
        await emptied(server)
    assert await balance(wallets, wallet) == "69.75"
    assert await dead_letters(wallets) == []


async def test_repeated_and_reordered_messages_are_each_applied_once(
    wallets: Wallets, wallets_database: servers.TestDatabase, server: nats.Server
) -> None:
    mine = [await new_wallet(wallets) for _ in range(5)]
    expected = dict.fromkeys(mine, Decimal())
    bodies = []
    for number in range(300):
        wallet = random.choice(mine)
        expected[wallet] += number
        form = random.choice([plain, cloud_event])
        bodies.append(form(wallet, f"{number}.00" if number else "0.01", sender_id=f"tx-{number}"))
        expected[wallet] += 0 if number else Decimal("0.01")
    thrice = bodies * 3
    random.shuffle(thrice)
    await send(server, thrice)
    async with (
        opened_wallets(wallets_database) as others,
        consuming(
            ConfirmedTransactions(wallets=wallets, messaging=server),
            ConfirmedTransactions(wallets=others, messaging=server),
        ),
    ):
        await emptied(server)
    for wallet in mine:
        assert Decimal(await balance(wallets, wallet)) == expected[wallet]
    assert await dead_letters(wallets) == []


async def test_the_same_id_with_another_content_is_a_dead_letter(wallets: Wallets, server: nats.Server) -> None:
    wallet = await new_wallet(wallets)
    await send(server, [plain(wallet, "1.00", sender_id="x"), plain(wallet, "2.00", sender_id="x")])
    async with consuming(ConfirmedTransactions(wallets=wallets, messaging=server)):
        await emptied(server)
    assert await balance(wallets, wallet) == "1.00"
    (dead,) = await dead_letters(wallets)
    assert dead.reason == "idempotency_key_reused"


async def test_what_cannot_be_applied_is_kept_and_published_with_its_reason_and_its_bytes(
    wallets: Wallets, wallets_database: servers.TestDatabase, server: nats.Server
) -> None:
    wallet = await new_wallet(wallets)
    unknown = "019aa2c6-7a00-7000-8000-00000000a001"
    bad = {
        "wallet_unknown": plain(unknown, "1.00", sender_id="1"),
        "insufficient_funds": cloud_event(wallet, "1.00", sender_id="2", direction="debit"),
        "confirmed_transaction_invalid": b"\x00\xff not JSON",
        "confirmed_transaction_too_large": plain(wallet, "1.00", sender_id="3", description="x" * 900_000),
        "amount_too_precise": plain(wallet, "1.001", sender_id="4"),
        "asset_unknown": plain(wallet, "1.00", sender_id="5", asset="NONE"),
    }
    await send(server, [*bad.values(), plain(wallet, "5.00", sender_id="6")])
    async with consuming(ConfirmedTransactions(wallets=wallets, messaging=server)):
        await emptied(server)
    assert await balance(wallets, wallet) == "5.00"
    kept = await dead_letters(wallets)
    assert {dead.reason: dead.content for dead in kept} == bad
    assert all(dead.status == "open" and dead.deliveries == 1 and dead.detail for dead in kept)
    assert all(dead.subject == "billfold.confirmed-transactions" and "Nats-Msg-Id" in dead.headers for dead in kept)
    told = await _published(wallets_database, server)
    assert {data["reason"] for data in told.values()} == set(bad)
    for dead in kept:
        data = told[str(dead.id)]
        assert (data["deliveries"], data["size"], data["sequence"]) == (1, dead.size, dead.sequence)
        too_large = dead.reason == "confirmed_transaction_too_large"
        assert data["content"] == (None if too_large else base64.b64encode(dead.content).decode())


async def test_a_dead_letter_that_is_sent_again_is_the_same_dead_letter(wallets: Wallets, server: nats.Server) -> None:
    body = b"nonsense"
    await send(server, [body, body])
    async with consuming(ConfirmedTransactions(wallets=wallets, messaging=server)):
        await emptied(server)
        await send(server, [body])
        await emptied(server)
    (dead,) = await dead_letters(wallets)
    assert (dead.deliveries, dead.content) == (3, body)
    assert dead.last_seen > dead.first_seen


async def test_a_dead_letter_is_applied_by_the_retry_that_comes_after_the_repair_and_never_twice(
    wallets: Wallets, server: nats.Server
) -> None:
    wallet = await new_wallet(wallets)
    debit = plain(wallet, "40.00", sender_id="rent", direction="debit")
    async with consuming(ConfirmedTransactions(wallets=wallets, messaging=server)):
        await send(server, [debit])
        await emptied(server)
        (dead,) = await dead_letters(wallets)
        refused = await wallets.dead_letters.retry(principal=OPERATOR, dead_letter_id=dead.id)
        assert (refused.status, refused.retries, refused.reason) == ("open", 1, "insufficient_funds")

        await send(server, [plain(wallet, "100.00", sender_id="salary")])
        await emptied(server)
        retries = [wallets.dead_letters.retry(principal=OPERATOR, dead_letter_id=dead.id) for _ in range(10)]
        outcomes = await asyncio.gather(*retries, send(server, [debit] * 10), return_exceptions=True)
        await emptied(server)
    assert any(getattr(outcome, "status", "") == "retried" for outcome in outcomes)
    assert await balance(wallets, wallet) == "60.00"
    (dead,) = await dead_letters(wallets)
    assert dead.status == "retried"
    assert dead.transfer_id is not None
    with pytest.raises(errors.DeadLetterClosed):
        await wallets.dead_letters.retry(principal=OPERATOR, dead_letter_id=dead.id)


async def test_a_dead_letter_that_the_sender_has_repeated_meanwhile_is_not_applied_again(
    wallets: Wallets, server: nats.Server
) -> None:
    wallet = await new_wallet(wallets)
    body = plain(wallet, "7.00", sender_id="once")
    async with consuming(ConfirmedTransactions(wallets=wallets, messaging=server)):
        await wallets.registry.freeze(principal=OPERATOR, wallet_id=ids.parse(wallet))
        await send(server, [body])
        await emptied(server)
        await wallets.registry.unfreeze(principal=OPERATOR, wallet_id=ids.parse(wallet))
        await send(server, [body, body])
        await emptied(server)
        (dead,) = await dead_letters(wallets)
        await wallets.dead_letters.retry(principal=OPERATOR, dead_letter_id=dead.id)
        await send(server, [body])
        await emptied(server)
    assert await balance(wallets, wallet) == "7.00"


async def test_dead_letters_are_listed_in_pages(wallets: Wallets, server: nats.Server) -> None:
    await send(server, [b"nonsense %d" % number for number in range(7)])
    async with consuming(ConfirmedTransactions(wallets=wallets, messaging=server)):
        await emptied(server)
    seen, cursor = [], None
    while True:
        page = await wallets.dead_letters.page(principal=OPERATOR, status="open", cursor=cursor, limit=3)
        seen += [found.id for found in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 7
    page = await wallets.dead_letters.page(principal=OPERATOR, status="retried", cursor=None, limit=3)
    assert page.items == []


async def test_what_is_in_hand_when_postgresql_goes_away_is_applied_when_it_is_back(
    server: nats.Server, tmp_path: Path
) -> None:
    with servers.running_postgres(tmp_path / "pg") as own:
        database = own.create_database(WALLETS_MIGRATIONS)
        async with opened_wallets(database) as wallets:
            wallet = await new_wallet(wallets)
            async with consuming(ConfirmedTransactions(wallets=wallets, messaging=server)):
                for round_ in range(3):
                    await send(server, [plain(wallet, "1.00", sender_id=f"{round_}-{n}") for n in range(400)])
                    await asyncio.sleep(random.uniform(0.01, 0.1))
                    await asyncio.to_thread(own.kill)
                    await send(server, [plain(wallet, "1.00", sender_id=f"{round_}-{n}") for n in range(380, 500)])
                    await asyncio.to_thread(own.start)
                await emptied(server)
            assert await balance(wallets, wallet) == "1500.00"
            assert await dead_letters(wallets) == []


async def test_nats_going_away_costs_and_repeats_nothing(wallets: Wallets, tmp_path: Path) -> None:
    wallet = await new_wallet(wallets)
    with servers.running_nats(tmp_path / "nats") as own:
        server = nats.Server(url=own.url, user=own.user, password=own.password)
        async with consuming(ConfirmedTransactions(wallets=wallets, messaging=server)):
            for round_ in range(3):
                await send(server, [plain(wallet, "1.00", sender_id=f"{round_}-{n}") for n in range(400)])
                await asyncio.sleep(random.uniform(0.01, 0.1))
                await asyncio.to_thread(own.kill)
                await asyncio.to_thread(own.start)
            await emptied(server)
    assert await balance(wallets, wallet) == "1200.00"
    assert await dead_letters(wallets) == []


async def test_a_message_that_makes_the_worker_fail_takes_no_other_with_it(
    wallets: Wallets, server: nats.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats, "ACK_WAIT_S", 1)
    wallet = await new_wallet(wallets)
    take = Deliveries.take

    async def fail(self: Deliveries, *, deliveries: Sequence[Delivery]) -> list[Taken]:
        if any(b"poison" in delivery.body for delivery in deliveries):
            raise RuntimeError("a bug")
        return await take(self, deliveries=deliveries)

    monkeypatch.setattr(Deliveries, "take", fail)
    poison = plain(wallet, "1.00", sender_id="poison")
    await send(server, [*[plain(wallet, "1.00", sender_id=str(n)) for n in range(50)], poison])
    async with consuming(ConfirmedTransactions(wallets=wallets, messaging=server), bugs=True):
        await emptied(server)
    assert await balance(wallets, wallet) == "50.00"
    (dead,) = await dead_letters(wallets)
    assert (dead.reason, dead.content) == ("processing_failed", poison)
    assert dead.deliveries >= tries.SUSPECT_FROM
    monkeypatch.undo()
    await wallets.dead_letters.retry(principal=OPERATOR, dead_letter_id=dead.id)
    assert await balance(wallets, wallet) == "51.00"


async def test_what_is_to_be_taken_later_is_no_dead_letter(
    wallets: Wallets, server: nats.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply, later = Bulk.apply_confirmed, [IdempotencyKeyInUse(), ledger_errors.Overloaded()]

    async def at_first_in_other_hands(
        self: Bulk, *, transactions: Sequence[ConfirmedTransaction]
    ) -> list[Transfer | BillfoldError]:
        answers = await apply(self, transactions=transactions)
        return [later.pop(), *answers[1:]] if later else answers

    monkeypatch.setattr(Bulk, "apply_confirmed", at_first_in_other_hands)
    wallet = await new_wallet(wallets)
    await send(server, [plain(wallet, "1.00", sender_id=str(number)) for number in range(10)])
    async with consuming(ConfirmedTransactions(wallets=wallets, messaging=server)):
        await emptied(server)
    assert later == []
    assert await balance(wallets, wallet) == "10.00"
    assert await dead_letters(wallets) == []


async def test_a_message_that_ends_every_process_that_takes_it_is_set_aside_untried(
    wallets: Wallets, server: nats.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "ENDED_MAX", 1)
    wallet = await new_wallet(wallets)
    await send(server, [plain(wallet, "1.00", sender_id="deadly")])
    async with nats.connected(server, name="a process that ends") as broker:
        for _ in range(4):
            with pytest.raises(Unavailable):
                async with broker.consuming(workers.SUBSCRIPTION) as hand:
                    assert len(await hand.fetch(1, max_bytes=1 << 20, wait_s=10)) == 1
                    raise Unavailable
    # As a process that was killed in the middle leaves it.
    await wallets.deliveries.tries._begin(tries._digest(plain(wallet, "1.00", sender_id="deadly")))
    async with consuming(ConfirmedTransactions(wallets=wallets, messaging=server)):
        await emptied(server)
    (dead,) = await dead_letters(wallets)
    assert (dead.reason, dead.deliveries) == ("delivery_limit_reached", 5)


async def test_a_full_queue_never_floods_the_worker(
    wallets: Wallets, server: nats.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    wallet = await new_wallet(wallets)
    await send(server, [plain(wallet, "0.01", sender_id=str(number)) for number in range(3000)])
    take, received = Deliveries.take, nats.Pull.received
    being_taken = most = 0

    async def counted(self: nats.Pull, arrived: Msg) -> None:
        nonlocal most
        await received(self, arrived)
        most = max(most, being_taken + len(self._arrived))

    async def slow(self: Deliveries, *, deliveries: Sequence[Delivery]) -> list[Taken]:
        nonlocal being_taken
        being_taken = len(deliveries)
        await asyncio.sleep(0.05)
        taken = await take(self, deliveries=deliveries)
        being_taken = 0
        return taken

    monkeypatch.setattr(nats.Pull, "received", counted)
    monkeypatch.setattr(Deliveries, "take", slow)
    async with consuming(ConfirmedTransactions(wallets=wallets, messaging=server)):
        await emptied(server)
    assert 100 < most <= workers.FETCH_MAX
    assert await balance(wallets, wallet) == "30.00"


async def test_a_worker_that_stops_gives_back_what_it_has_in_hand_at_once(
    wallets: Wallets, server: nats.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats, "ACK_WAIT_S", 3600)
    wallet = await new_wallet(wallets)
    await send(server, [plain(wallet, "1.00", sender_id=str(number)) for number in range(20)])

    async def hang(self: Deliveries, *, deliveries: Sequence[Delivery]) -> list[Taken]:
        await asyncio.Event().wait()
        return []

    async def all_in_hand() -> bool:
        return (await state(server))[2] == 20

    with monkeypatch.context() as patch:
        patch.setattr(Deliveries, "take", hang)
        async with consuming(ConfirmedTransactions(wallets=wallets, messaging=server)):
            await until(all_in_hand)
    async with consuming(ConfirmedTransactions(wallets=wallets, messaging=server)):
        await emptied(server)
    assert await balance(wallets, wallet) == "20.00"


async def test_a_stream_that_somebody_else_has_made_for_the_queue_is_used_as_it_is(
    wallets: Wallets, server: nats.Server
) -> None:
    wallet = await new_wallet(wallets)
    async with nats.connected(server, name="test") as broker:
        config = {"name": "BANK", "subjects": ["billfold.confirmed-transactions"], "storage": "file"}
        await broker.api("STREAM.CREATE.BANK", config, dict)
        await broker.publish([message(plain(wallet, "3.00", sender_id="1"))])

        async def applied() -> bool:
            info = await streams.consumer_info(broker, "BANK", workers.SUBSCRIPTION.name)
            return info is not None and (info.num_pending, info.num_ack_pending) == (0, 0)

        try:
            async with consuming(ConfirmedTransactions(wallets=wallets, messaging=server)):
                await until(applied)
        finally:
            await broker.api("STREAM.DELETE.BANK", {}, dict)
    assert await balance(wallets, wallet) == "3.00"


async def _published(own: servers.TestDatabase, server: nats.Server) -> dict[str, dict[str, object]]:
    """What the dead-letter stream tells, by the dead letter's id."""
    database = await Database.connect(own.app_dsn, name="test")
    ledger = await Ledger.start(database=database)
    async with running(Relay(database=database, messaging=server, expanders={"ledger.batch": ledger.expand})):
        await published(database)
    await ledger.close()
    await database.close()
    found = await in_stream(server, topics.DEAD_LETTERS)
    assert {seen.subject for seen in found} == {"billfold.dead-letters.confirmed-transaction.refused.v1"}
    events = {seen.body["subject"]: seen.body["data"] for seen in found}
    assert len(events) == len(found), json.dumps(events)
    return events
