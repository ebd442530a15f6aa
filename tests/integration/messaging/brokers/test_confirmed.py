"""Confirmed transactions on every broker: each applied exactly once or kept as a dead letter, whatever ends when."""

import asyncio
import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

import pytest

from billfold.kernel.errors import Unavailable
from billfold.platform.messaging import topics, tries
from billfold.platform.messaging.port import BrokerUnavailable, Messaging
from billfold.wallets import Wallets, workers
from billfold.wallets.contracts import Delivery, Taken, TransactionFilter
from billfold.wallets.service.deliveries import Deliveries
from billfold.wallets.workers import ConfirmedTransactions
from tests import servers
from tests.integration.messaging.brokers.conftest import Bench, killed_and_started
from tests.integration.messaging.queue import (
    OPERATOR,
    balance,
    cloud_event,
    consuming,
    dead_letters,
    message,
    new_wallet,
    opened_wallets,
    plain,
)
from tests.integration.messaging.support import until


async def test_repeated_and_reordered_messages_are_each_applied_once_by_two_workers(
    wallets: Wallets, wallets_database: servers.TestDatabase, bench: Bench
) -> None:
    mine = [await new_wallet(wallets) for _ in range(5)]
    expected = dict.fromkeys(mine, Decimal())
    bodies = []
    for number in range(1, 151):
        wallet = random.choice(mine)
        expected[wallet] += number
        bodies.append(random.choice([plain, cloud_event])(wallet, f"{number}.00", sender_id=f"tx-{number}"))
    thrice = bodies * 3
    random.shuffle(thrice)
    await _send(bench.messaging, thrice)
    async with (
        opened_wallets(wallets_database) as others,
        consuming(
            ConfirmedTransactions(wallets=wallets, messaging=bench.messaging),
            ConfirmedTransactions(wallets=others, messaging=bench.messaging),
        ),
    ):
        await _settled(bench)
    assert {wallet: Decimal(await balance(wallets, wallet)) for wallet in mine} == expected
    assert await dead_letters(wallets) == []


async def test_a_worker_that_joins_in_the_middle_of_a_batch_doubles_and_loses_nothing(
    wallets: Wallets,
    wallets_database: servers.TestDatabase,
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wallet = await new_wallet(wallets)
    await _send(bench.messaging, [plain(wallet, "1.00", sender_id=str(n)) for n in range(200)])
    take = Deliveries.take
    in_hand, go_on = asyncio.Event(), asyncio.Event()

    async def slow(self: Deliveries, *, deliveries: Sequence[Delivery]) -> list[Taken]:
        if self is not others.deliveries:
            in_hand.set()
            await go_on.wait()
        return await take(self, deliveries=deliveries)

    monkeypatch.setattr(Deliveries, "take", slow)
    async with (
        opened_wallets(wallets_database) as others,
        consuming(ConfirmedTransactions(wallets=wallets, messaging=bench.messaging)),
    ):
        await asyncio.wait_for(in_hand.wait(), 60)
        async with consuming(ConfirmedTransactions(wallets=others, messaging=bench.messaging)):
            await _send(bench.messaging, [plain(wallet, "1.00", sender_id=str(n)) for n in range(150, 600)])
            await until(lambda: _reached(wallets, wallet, 100))
            go_on.set()
            await _settled(bench)
            assert await balance(wallets, wallet) == "600.00"
    assert await dead_letters(wallets) == []


async def test_a_broker_that_is_killed_costs_and_repeats_nothing(bench: Bench, wallets: Wallets) -> None:
    wallet = await new_wallet(wallets)
    async with consuming(ConfirmedTransactions(wallets=wallets, messaging=bench.messaging)):
        for round_ in range(2):
            await _send(bench.messaging, [plain(wallet, "1.00", sender_id=f"{round_}-{n}") for n in range(300)])
            await killed_and_started(bench)
        await until(lambda: _is(wallets, wallet, "600.00"))
        await _settled(bench)
    assert await balance(wallets, wallet) == "600.00"
    assert await dead_letters(wallets) == []


async def test_what_can_not_be_applied_is_set_aside_and_takes_no_other_with_it(
    wallets: Wallets, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    wallet = await new_wallet(wallets)
    take = Deliveries.take

    async def fail(self: Deliveries, *, deliveries: Sequence[Delivery]) -> list[Taken]:
        if any(b"poison" in delivery.body for delivery in deliveries):
            raise RuntimeError("a bug")
        return await take(self, deliveries=deliveries)

    monkeypatch.setattr(Deliveries, "take", fail)
    monkeypatch.setattr("billfold.platform.messaging.brokers.nats.ACK_WAIT_S", 1)
    bad = {
        "confirmed_transaction_invalid": b"\x00\xff not JSON",
        "confirmed_transaction_too_large": plain(wallet, "1.00", sender_id="3", description="x" * 900_000),
        "processing_failed": plain(wallet, "1.00", sender_id="poison"),
        "wallet_unknown": plain("019aa2c6-7a00-7000-8000-00000000a001", "1.00", sender_id="4"),
    }
    await _send(bench.messaging, [*bad.values(), *[plain(wallet, "1.00", sender_id=f"n{n}") for n in range(50)]])
    async with consuming(ConfirmedTransactions(wallets=wallets, messaging=bench.messaging), bugs=True):
        await until(lambda: _is(wallets, wallet, "50.00"))
        await _settled(bench)
    assert {dead.reason: dead.content for dead in await dead_letters(wallets)} == bad


async def test_a_cloud_event_in_binary_mode_is_applied_and_a_dead_one_keeps_its_attributes_for_the_retry(
    wallets: Wallets, bench: Bench
) -> None:
    wallet = await new_wallet(wallets)
    data = json.dumps({"wallet": wallet, "direction": "debit", "money": {"amount": "4.00", "asset": "USD"}}).encode()
    sender_id = "€" * 300
    attributes = {"specversion": "1.0", "type": "confirmed-transaction.v1", "source": "/bank", "id": quote(sender_id)}
    headers = {f"ce-{name}": value for name, value in attributes.items()}
    async with consuming(ConfirmedTransactions(wallets=wallets, messaging=bench.messaging)):
        async with bench.messaging.connected(name="sender") as broker:
            await broker.ensure(topics.CONFIRMED)
            await broker.publish([message(data, headers)])
        await _settled(bench)
        (dead,) = await dead_letters(wallets)
        assert (dead.reason, dead.content) == ("insufficient_funds", data)
        await _send(bench.messaging, [plain(wallet, "10.00", sender_id="salary")])
        await until(lambda: _is(wallets, wallet, "10.00"))
        await wallets.dead_letters.retry(principal=OPERATOR, dead_letter_id=dead.id)
        # The same transaction in another form is known.
        again = {**json.loads(data), "source": "/bank", "id": sender_id}
        await _send(bench.messaging, [json.dumps(again).encode()])
        await _settled(bench)
    assert await balance(wallets, wallet) == "6.00"


async def test_a_senders_clock_decides_neither_what_is_applied_nor_when_it_was_recorded(
    wallets: Wallets, bench: Bench
) -> None:
    wallet, began = await new_wallet(wallets), datetime.now(UTC)
    credit = cloud_event(wallet, "5.00", sender_id="a")
    debit = cloud_event(wallet, "4.00", sender_id="b", direction="debit")
    async with consuming(ConfirmedTransactions(wallets=wallets, messaging=bench.messaging)):
        for body, time, left in ((credit, "2999-12-31", "5.00"), (debit, "1970-01-01", "1.00")):
            await _send(bench.messaging, [body.replace(b"2026-01-31T", f"{time}T".encode())])
            await until(lambda left=left: _is(wallets, wallet, left))  # type: ignore[misc]
        await _settled(bench)
    assert await dead_letters(wallets) == []
    found = await wallets.transactions.page(principal=OPERATOR, wanted=TransactionFilter(wallet=wallet))
    assert [one.money.amount for one in found.items] == ["4.00", "5.00"]
    for one in found.items:
        assert began - timedelta(minutes=1) < one.recorded_at < datetime.now(UTC) + timedelta(minutes=1)


async def test_a_message_that_ends_every_process_that_takes_it_is_set_aside_untried(
    wallets: Wallets, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "ENDED_MAX", 1)
    wallet = await new_wallet(wallets)
    await _send(bench.messaging, [plain(wallet, "1.00", sender_id="deadly")])
    for _ in range(3):
        async with bench.messaging.connected(name="a process that ends") as broker:
            with pytest.raises(Unavailable):
                async with broker.consuming(workers.SUBSCRIPTION) as hand:
                    assert len(await hand.fetch(1, max_bytes=1 << 20, wait_s=30)) == 1
                    raise Unavailable
    # As a process that was killed in the middle leaves it.
    await wallets.deliveries.tries._begin(tries._digest(plain(wallet, "1.00", sender_id="deadly")))
    async with consuming(ConfirmedTransactions(wallets=wallets, messaging=bench.messaging)):
        await _settled(bench)
    (dead,) = await dead_letters(wallets)
    assert (dead.reason, dead.deliveries) == ("delivery_limit_reached", 4)
    assert not await _is(wallets, wallet, "1.00")


async def _send(messaging: Messaging, bodies: Sequence[bytes]) -> None:
    """As any sender does: again, until the broker says that it has them. One that has just started may not at once."""
    messages = [message(body) for body in bodies]

    async def kept() -> bool:
        try:
            async with messaging.connected(name="sender") as broker:
                await broker.ensure(topics.CONFIRMED)
                await broker.publish(messages)
        except BrokerUnavailable:
            return False
        return True

    await until(kept)


async def _settled(bench: Bench) -> None:
    """Wait until every message has been settled."""

    async def all_are() -> bool:
        try:
            async with bench.messaging.connected(name="test") as broker:
                backlog = await broker.backlog(workers.SUBSCRIPTION)
        except BrokerUnavailable:
            return False
        if backlog is None or backlog.waiting + backlog.in_hand > 0:
            return False
        return await asyncio.to_thread(bench.in_hand) == 0

    await until(all_are)


async def _is(wallets: Wallets, wallet: str, amount: str) -> bool:
    try:
        return await balance(wallets, wallet) == amount
    except ValueError:  # No money has ever been in it.
        return False


async def _reached(wallets: Wallets, wallet: str, least: int) -> bool:
    try:
        return Decimal(await balance(wallets, wallet)) >= least
    except ValueError:
        return False
