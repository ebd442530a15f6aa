"""From the ledger's COMMIT over the broker into Redis; and what is there as a whole, made anew and compared."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from billfold.kernel import ids
from billfold.kernel.events import Event
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.ledger import OUTBOX_KIND, Ledger
from billfold.platform.messaging import cloudevents
from billfold.platform.messaging.brokers import nats
from billfold.platform.messaging.consuming import EventConsumer
from billfold.platform.messaging.relay import Relay
from billfold.platform.postgres.database import Database
from billfold.platform.redis import RedisUnavailable
from billfold.wallets import BALANCES_SUBSCRIPTION
from billfold.wallets.adapters.balances import PREFIX
from billfold.wallets.contracts import NewHold
from billfold.wallets.contracts.pictures import Comparison, Kept, Picture
from tests import servers
from tests.integration.balances.conftest import Town
from tests.integration.messaging.brokers.test_consuming import consumed
from tests.integration.messaging.conftest import without_streams
from tests.integration.messaging.support import running, until
from tests.integration.wallets.support import move, wallet_of


@pytest.fixture
async def workers(
    town: Town, database: Database, ledger: Ledger, nats_server: servers.NatsServer
) -> AsyncIterator[None]:
    """A relay and two consumers, as two workers have them."""
    broker = nats.Server(url=nats_server.url, user=nats_server.user, password=nats_server.password)
    await without_streams(broker)
    relay = Relay(database=database, messaging=broker, expanders={OUTBOX_KIND: ledger.expand})
    consumers = [
        EventConsumer(
            messaging=broker, database=database, subscription=BALANCES_SUBSCRIPTION, handle=town.pictures.apply
        )
        for _ in range(2)
    ]
    async with running(relay), consumed(*consumers):
        yield


def shows(town: Town, wallet: str, **fields: int | None) -> Callable[[], Awaitable[bool]]:
    """Whether this is what is kept of the wallet's dollars."""

    async def shown() -> bool:
        looked = await town.pictures.look(UUID(wallet))
        if looked is None or looked.picture is None or "USD" not in looked.picture.accounts:
            return False
        kept = looked.picture.accounts["USD"]
        return all(getattr(kept, name) == value for name, value in fields.items())

    return shown


async def compared(town: Town) -> Comparison:
    return await town.projections.compare(progress=lambda _: None)


@pytest.mark.usefixtures("workers")
async def test_whatever_changes_a_balance_comes_by_itself(town: Town, ada: Principal, operator: Principal) -> None:
    mine = await wallet_of(town.wallets, ada, holding="10.00")
    yours = await wallet_of(town.wallets, ada)
    await until(shows(town, mine, posted=1000, version=1, held=0))
    hold = await town.wallets.holds.place(
        principal=ada, new=NewHold(wallet=mine, money=Money("4.00", "USD")), key="a-hold"
    )
    await until(shows(town, mine, posted=1000, version=1, held=400))
    await move(town.wallets, ada, source=mine, target=yours, amount="1.00")
    await until(shows(town, mine, posted=900, version=2, held=400))
    await until(shows(town, yours, posted=100, version=1))
    await town.wallets.holds.release(principal=ada, hold_id=hold.hold.id, key="no-hold")
    await until(shows(town, mine, posted=900, version=2, held=0))
    await town.wallets.registry.set_limits(principal=operator, wallet_id=UUID(mine), limits=[Money("5.00", "USD")])
    await until(shows(town, mine, posted=900, version=2, floor=-500))
    found = await compared(town)
    assert (found.wallets, found.accounts, found.behind, found.drift) == (2, 2, 0, [])


@pytest.mark.usefixtures("workers")
async def test_under_load_with_redis_killed_in_the_middle_everything_is_right_in_the_end(
    town: Town, redis_server: servers.RedisServer, ada: Principal
) -> None:
    wallets = [await wallet_of(town.wallets, ada, holding="100.00") for _ in range(6)]

    async def spend() -> None:
        for _ in range(25):
            source, target = random.sample(wallets, 2)
            await move(town.wallets, ada, source=source, target=target, amount="0.01")
            new = NewHold(wallet=source, money=Money("0.01", "USD"))
            await town.wallets.holds.place(principal=ada, new=new, key=str(ids.new()))

    spending = [asyncio.create_task(spend()) for _ in range(4)]
    await asyncio.sleep(0)
    redis_server.kill()
    await asyncio.gather(*spending[:2])
    redis_server.start()
    await asyncio.gather(*spending)
    await town.up()
    # So that each is told of once more after it is back.
    for wallet in wallets:
        await move(town.wallets, ada, "deposit", target=wallet, amount="1.00")
    now = {wallet: await _dollars(town, ada, wallet) for wallet in wallets}
    for wallet, (posted, held, version) in now.items():
        await until(shows(town, wallet, posted=posted, held=held, version=version))
    found = await compared(town)
    assert (found.behind, found.drift) == (0, [])


async def _dollars(town: Town, ada: Principal, wallet: str) -> tuple[int, int, int]:
    account = (await town.wallets.registry.wallet(principal=ada, wallet_id=UUID(wallet))).accounts["USD"]
    picture = (await town.pictures.taken(account_ids=[UUID(account)], at_us=0))[UUID(wallet)]
    kept = picture.accounts["USD"]
    return kept.posted, kept.held, kept.version


async def test_events_in_any_order_and_any_number_of_times_leave_what_the_ledger_says(
    town: Town, database: Database, ledger: Ledger, ada: Principal
) -> None:
    mine, yours = await wallet_of(town.wallets, ada, holding="10.00"), await wallet_of(town.wallets, ada)
    for number in range(5):
        await move(town.wallets, ada, source=mine, target=yours, amount="1.00")
        new = NewHold(wallet=mine, money=Money("0.10", "USD"))
        await town.wallets.holds.place(principal=ada, new=new, key=f"hold-{number}")
    events = await _told(database, ledger)
    assert len(events) >= 11
    shuffled = [*events, *events]
    random.shuffle(shuffled)
    await asyncio.gather(*(town.pictures.apply(shuffled[begin::7]) for begin in range(7)))
    assert await shows(town, mine, posted=500, held=50, version=6)()
    assert await shows(town, yours, posted=500, held=0, version=5)()


async def _told(database: Database, ledger: Ledger) -> list[Event]:
    """All events that wait in the outbox, as a consumer reads them."""
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT kind, payload FROM messaging.outbox ORDER BY seq")
        found: list[Event] = []
        for kind, payload in rows:
            if kind == OUTBOX_KIND:
                found += (await ledger.expand(connection, [payload]))[0]
            else:
                found.append(cloudevents.event(cloudevents.decode(payload)))
    return [cloudevents.event(cloudevents.decode(cloudevents.encode(event))) for event in found]


@pytest.mark.parametrize("names", [{}, {"debit_account": "mine", "credit_account": 7}, {"debit_account": str(uuid4())}])
async def test_an_event_that_does_not_say_what_it_should_is_refused(town: Town, names: dict[str, Any]) -> None:
    with pytest.raises(cloudevents.InvalidCloudEvent) as refused:
        await town.pictures.apply([_posted(**names)])
    assert not refused.value.retryable


async def test_an_event_that_is_a_lie_changes_nothing(town: Town, ada: Principal) -> None:
    wallet = await wallet_of(town.wallets, ada, holding="10.00")
    account = (await town.wallets.registry.wallet(principal=ada, wallet_id=UUID(wallet))).accounts["USD"]
    lie = {"debit_version": 99, "credit_version": 99, "debit_balance": "1000000.00", "credit_balance": "1000000.00"}
    await town.pictures.apply([_posted(debit_account=account, credit_account=str(uuid4()), **lie)])
    assert await shows(town, wallet, posted=1000, version=1)()
    assert await town.posted(ada, wallet) == ("10.00", True)


def _posted(**data: Any) -> Event:
    return Event(
        id=str(ids.new()),
        type="transfer.posted.v1",
        source="/billfold/ledger",
        subject="a transfer",
        time=datetime.now(UTC),
        key="an account",
        data=msgspec.Raw(msgspec.json.encode(data)),
    )


async def test_rebuilding_keeps_every_wallet_that_is_not_closed_and_nothing_else(
    town: Town, ada: Principal, bob: Principal
) -> None:
    made = [await wallet_of(town.wallets, ada, holding="1.00") for _ in range(3)]
    empty, closed = await wallet_of(town.wallets, bob), await wallet_of(town.wallets, bob)
    await town.wallets.registry.close(principal=bob, wallet_id=UUID(closed))
    gone = uuid4()
    await town.kept.keep({gone: Picture(read_at_us=1, accounts={})})
    seen: list[tuple[int, int]] = []
    rebuilt = await town.projections.rebuild(progress=lambda done, of: seen.append((done, of)))
    assert (rebuilt.wallets, rebuilt.full) == (4, 0)
    assert seen[-1] == (4, 4)
    keys = {key.decode().removeprefix(PREFIX) async for key in town.redis.scan_iter(f"{PREFIX}*")}
    assert keys == {UUID(wallet).hex for wallet in (*made, empty)}
    assert await town.posted(ada, made[0]) == ("1.00", True)


async def test_rebuilding_without_room_says_so(town: Town, ada: Principal) -> None:
    for _ in range(3):
        await wallet_of(town.wallets, ada, holding="1.00")
    await town.redis.config_set("maxmemory-policy", "noeviction")
    await town.redis.config_set("maxmemory", "1")
    try:
        rebuilt = await town.projections.rebuild(progress=lambda *_: None)
    finally:
        await town.redis.config_set("maxmemory", "0")
    assert (rebuilt.wallets, rebuilt.full) == (0, 3)


async def test_rebuilding_and_comparing_without_a_redis_says_so(town: Town, redis_server: servers.RedisServer) -> None:
    redis_server.kill()
    try:
        with pytest.raises(RedisUnavailable):
            await town.projections.rebuild(progress=lambda *_: None)
        with pytest.raises(RedisUnavailable):
            await compared(town)
    finally:
        redis_server.start()


async def test_what_is_under_way_is_behind_and_no_drift(town: Town, ada: Principal) -> None:
    wallet, other = await wallet_of(town.wallets, ada, holding="10.00"), await wallet_of(town.wallets, ada)
    await town.keep(wallet, other)
    await move(town.wallets, ada, source=wallet, target=other)
    found = await compared(town)
    assert (found.wallets, found.accounts, found.behind, found.drift) == (2, 2, 2, [])
    assert await town.posted(ada, wallet) == ("10.00", True)


@pytest.mark.parametrize(
    "change",
    [
        *({"posted": 1}, {"held": 1}, {"floor": -1}, {"floor": None}, {"version": 7}, {"changes": 9}),
        {"account": UUID(int=1)},
    ],
    ids=str,
)
async def test_what_is_wrong_is_found_told_and_forgotten(town: Town, ada: Principal, change: dict[str, Any]) -> None:
    wallet, right = await wallet_of(town.wallets, ada, holding="10.00"), await wallet_of(town.wallets, ada)
    await town.keep(wallet, right)
    picture = (await town.kept.look(UUID(wallet))).picture
    assert picture is not None
    wrong = msgspec.structs.replace(picture.accounts["USD"], **change)
    await town.kept.keep({UUID(wallet): msgspec.structs.replace(picture, accounts={"USD": wrong})})
    found = await town.projections.sample()
    assert [(drift.wallet, drift.asset) for drift in found.drift] == [(UUID(wallet), "USD")]
    assert await town.posted(ada, wallet) == ("10.00", False)
    assert await town.posted(ada, wallet) == ("10.00", True)
    assert (await compared(town)).drift == []


async def test_an_asset_and_a_wallet_that_there_are_not_are_found(town: Town, ada: Principal) -> None:
    wallet, nobodys = UUID(await wallet_of(town.wallets, ada)), uuid4()
    account = Kept(account=uuid4(), asset="EUR", changes=1, version=1, posted=1, held=0, floor=0)
    made_up = Picture(read_at_us=await town.kept.now_us(), accounts={"EUR": account})
    await town.kept.keep({wallet: made_up, nobodys: made_up})
    found = await compared(town)
    assert {drift.wallet for drift in found.drift} == {wallet, nobodys}
