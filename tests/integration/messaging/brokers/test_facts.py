"""What the audit is told of different things comes in the order in which it was committed, on every broker."""

import asyncio

import msgspec
import pytest

from billfold.kernel import ids, origin
from billfold.kernel.money import Money
from billfold.kernel.origin import Origin
from billfold.ledger import Ledger
from billfold.platform.messaging import outbox, topics
from billfold.platform.messaging.port import Messaging, Subscription
from billfold.platform.messaging.relay import Relay
from billfold.platform.messaging.topics import Topic
from billfold.platform.postgres.database import Database
from billfold.wallets import Wallets
from billfold.wallets.contracts import Order
from tests import facades, servers
from tests.integration.messaging.queue import OPERATOR, new_wallet
from tests.integration.messaging.support import DEADLINE_S, published, running


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    """The audit's, under a name that there has not been."""
    own = msgspec.structs.replace(topics.AUDIT, name=f"audit-{ids.new().hex}")
    monkeypatch.setattr(outbox, "TOPICS", tuple(own if one is topics.AUDIT else one for one in outbox.TOPICS))
    monkeypatch.setattr(topics, "AUDIT", own)
    return own


async def test_a_wallet_that_is_frozen_between_two_deposits_is_told_of_between_them(
    wallets_database: servers.TestDatabase, messaging: Messaging, topic: Topic
) -> None:
    origin.begin(Origin(channel="api", request_id="x"))  # What comes from nowhere is nothing for the audit.
    database = await Database.connect(wallets_database.app_dsn, name="test")
    ledger = await Ledger.start(database=database)
    wallets = Wallets(database=database, ledger=ledger, identity=facades.identity(database))
    try:
        ada, bob = await new_wallet(wallets), await new_wallet(wallets)
        # All of it waits together when the relay comes, and the deposits are expanded together.
        committed = [await _deposited(wallets, ada)]
        await wallets.registry.freeze(principal=OPERATOR, wallet_id=ids.parse(ada))
        committed += [f"wallet.frozen.v1 {ada}", await _deposited(wallets, bob)]
        await wallets.registry.unfreeze(principal=OPERATOR, wallet_id=ids.parse(ada))
        committed += [f"wallet.unfrozen.v1 {ada}", await _deposited(wallets, ada), await _deposited(wallets, bob)]
        async with running(Relay(database=database, messaging=messaging, expanders=ledger.expanders)):
            await published(database)
        assert [one for one in await _told(messaging, topic, last=committed[-1]) if one in committed] == committed
    finally:
        await ledger.close()
        await database.close()


async def _deposited(wallets: Wallets, wallet: str) -> str:
    order = Order(kind="deposit", source=None, target=wallet, money=Money("1.00", "USD"))
    moved = await wallets.movements.move(principal=OPERATOR, order=order, key=str(ids.new()))
    return f"transfer.posted.v1 {moved.transfer.id}"


async def _told(messaging: Messaging, topic: Topic, *, last: str) -> list[str]:
    """The facts that wait for the audit, in their order."""
    told: list[str] = []
    async with (
        asyncio.timeout(DEADLINE_S),
        messaging.connected(name="test") as broker,
        broker.consuming(Subscription(name="audit", topic=topic)) as hand,
    ):
        while last not in told:
            for delivery in await hand.fetch(500, max_bytes=1 << 24, wait_s=1):
                facts = msgspec.json.decode(delivery.body)["data"]["facts"]
                told += [f"{fact['type']} {fact['subject']}" for fact in facts]
    return told
