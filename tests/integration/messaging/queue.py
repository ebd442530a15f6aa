"""What the tests of confirmed transactions share: senders, the consumer as the worker runs it, looks at the result."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from billfold.kernel import ids
from billfold.kernel.errors import Unavailable
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform.messaging import topics
from billfold.platform.messaging.brokers import nats, streams
from billfold.platform.messaging.port import Message
from billfold.platform.postgres.database import Database
from billfold.wallets import Wallets, contracts
from billfold.wallets.contracts import DeadLetterContent, NewWallet
from billfold.wallets.workers import SUBSCRIPTION, ConfirmedTransactions
from tests import facades, servers
from tests.integration.messaging.support import until_none_left

OPERATOR = Principal(
    credential_id=ids.new(),
    owner_id=ids.new(),
    scopes=frozenset(
        [
            contracts.OPERATOR,
            contracts.DEAD_LETTERS,
            contracts.READ,
            contracts.WRITE,
            contracts.TRANSFERS_READ,
            contracts.ASSETS_WRITE,
            *contracts.ORDER_SCOPES.values(),
        ]
    ),
)


@asynccontextmanager
async def opened_wallets(own: servers.TestDatabase) -> AsyncIterator[Wallets]:
    """The facade over a database, as a process of its own would have it."""
    database = await Database.connect(own.app_dsn, name="test")
    ledger = await Ledger.start(database=database)
    try:
        yield Wallets(database=database, ledger=ledger, identity=facades.identity(database))
    finally:
        await ledger.close()
        await database.close()


async def new_wallet(wallets: Wallets) -> str:
    """An empty one."""
    wallet, _ = await wallets.registry.create(principal=OPERATOR, new=NewWallet(name="A"))
    return str(wallet.id)


def plain(
    wallet: str, amount: str, *, sender_id: str, asset: str = "USD", direction: str = "credit", **more: Any
) -> bytes:
    """A confirmed transaction in plain JSON."""
    document = {
        "source": "/bank",
        "id": sender_id,
        "wallet": wallet,
        "direction": direction,
        "money": {"amount": amount, "asset": asset},
        **more,
    }
    return json.dumps(document).encode()


def cloud_event(
    wallet: str, amount: str, *, sender_id: str, asset: str = "USD", direction: str = "credit", **more: Any
) -> bytes:
    """The same as a CloudEvent."""
    data = {"wallet": wallet, "direction": direction, "money": {"amount": amount, "asset": asset}, **more}
    document = {
        "specversion": "1.0",
        "type": "confirmed-transaction.v1",
        "source": "/bank",
        "id": sender_id,
        "time": "2026-01-31T12:00:00Z",
        "datacontenttype": "application/json",
        "tracestate": "an=extension",
        "data": data,
    }
    return json.dumps(document).encode()


def message(body: bytes, headers: Mapping[str, str] | None = None) -> Message:
    """A message to the queue under an id of its own."""
    return Message(
        topic=topics.CONFIRMED,
        type="confirmed-transaction.v1",
        id=str(ids.new()),
        key="",
        body=body,
        headers=headers or {},
    )


async def send(server: nats.Server, bodies: Sequence[bytes]) -> None:
    """Put messages on the queue, each as one of its own, as a sender does who doubts that the last try got there."""
    async with nats.connected(server, name="sender") as broker:
        await broker.ensure(topics.CONFIRMED)
        await broker.publish([message(body) for body in bodies])


async def keep_running(consumer: ConfirmedTransactions, *, bugs: bool = False) -> None:
    """As the worker and its supervisor do: again after everything that passes, and after `bugs` too."""
    while True:
        try:
            await consumer.run()
        except Unavailable:
            pass
        except RuntimeError:
            if not bugs:
                raise
        await asyncio.sleep(0.05)


@asynccontextmanager
async def consuming(*consumers: ConfirmedTransactions, bugs: bool = False) -> AsyncIterator[None]:
    """These consumers, until the block ends; one that fails fails the test."""
    tasks = [asyncio.create_task(keep_running(consumer, bugs=bugs)) for consumer in consumers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends


async def state(server: nats.Server) -> tuple[int, int, int]:
    """Of the queue: messages that are still in the stream, those not delivered yet, and those in hand."""
    async with nats.connected(server, name="test") as broker:
        info = await broker.api(f"STREAM.INFO.{streams.of(topics.CONFIRMED).name}", {}, dict)
        backlog = await broker.backlog(SUBSCRIPTION)
    pending, in_hand = (backlog.waiting, backlog.in_hand) if backlog else (0, 0)
    return info["state"]["messages"], pending, in_hand


async def emptied(server: nats.Server) -> None:
    """Wait until every message has been settled, for as long as they become fewer."""

    async def left() -> int:
        with contextlib.suppress(nats.BrokerUnavailable):
            return sum(await state(server))
        return sys.maxsize

    await until_none_left(left)


async def balance(wallets: Wallets, wallet: str) -> str:
    (found,) = await wallets.balances.now(principal=OPERATOR, wallet_id=ids.parse(wallet), asset="USD")
    return found.posted


async def dead_letters(wallets: Wallets) -> list[DeadLetterContent]:
    """All of them with their contents, the oldest first."""
    page = await wallets.dead_letters.page(principal=OPERATOR, status=None, cursor=None, limit=100)
    return [
        await wallets.dead_letters.dead_letter(principal=OPERATOR, dead_letter_id=found.id)
        for found in reversed(page.items)
    ]
