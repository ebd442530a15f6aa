"""What is kept of wallets in a real Redis: later over earlier, never the other way; and for how long."""

import asyncio
import itertools
import random
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from billfold.wallets.adapters.balances import PREFIX
from billfold.wallets.contracts.pictures import Kept, Picture
from tests.integration.balances.conftest import Town

HUGE = 10**77


def picture(changes: int, *, at_us: int, posted: int | None = None, **others: int) -> Picture:
    """One of USD with so many changes, and further assets."""
    accounts = {
        asset: Kept(
            account=UUID(int=sum(asset.encode())),
            asset=asset,
            changes=number,
            version=number,
            posted=number if posted is None else posted,
            held=0,
            floor=0,
        )
        for asset, number in {"USD": changes, **others}.items()
    }
    return Picture(read_at_us=at_us, accounts=accounts)


async def kept(town: Town, wallet: UUID) -> Picture:
    found = (await town.kept.look(wallet)).picture
    assert found is not None
    return found


async def test_what_is_kept_is_read_back_whole(town: Town) -> None:
    wallet, now = uuid4(), await town.kept.now_us()
    account = Kept(account=uuid4(), asset="ETH", changes=2**53 - 1, version=7, posted=-HUGE, held=HUGE, floor=None)
    given = Picture(read_at_us=now, accounts={"ETH": account})
    assert await town.kept.keep({wallet: given}) == {wallet: "written"}
    looked = await town.kept.look(wallet)
    assert looked.picture == given
    assert looked.age_us is not None
    assert 0 <= looked.age_us < 60_000_000
    assert (await town.kept.look_at_all([wallet, uuid4()]))[1].picture is None


async def test_a_wallet_in_which_nothing_has_been_is_kept_too(town: Town) -> None:
    wallet, now = uuid4(), await town.kept.now_us()
    await town.kept.keep({wallet: Picture(read_at_us=now, accounts={})})
    assert (await kept(town, wallet)).accounts == {}


async def test_whatever_order_pictures_come_in_the_latest_stays(town: Town) -> None:
    now = await town.kept.now_us()
    for order in itertools.permutations(range(4)):
        wallet = uuid4()
        for number in order:
            await town.kept.keep({wallet: picture(10 + number, at_us=now - 100 + number)})
        found = await kept(town, wallet)
        assert (found.accounts["USD"].changes, found.read_at_us) == (13, now - 97)


async def test_writers_at_once_leave_the_latest(town: Town) -> None:
    wallet, now = uuid4(), await town.kept.now_us()
    numbers = list(range(1, 101))
    random.shuffle(numbers)
    await asyncio.gather(*(town.kept.keep({wallet: picture(n, at_us=now - 1000 + n)}) for n in numbers))
    found = await kept(town, wallet)
    assert (found.accounts["USD"].changes, found.read_at_us) == (100, now - 900)


async def test_each_asset_keeps_its_latest_and_the_age_is_that_of_the_oldest(town: Town) -> None:
    wallet, now = uuid4(), await town.kept.now_us()
    await town.kept.keep({wallet: picture(5, at_us=now - 100, EUR=1)})
    # Read before it, and come after it, but for an asset that is new.
    outcome = await town.kept.keep({wallet: picture(4, at_us=now - 50, EUR=2, GBP=1)})
    assert outcome == {wallet: "older"}
    found = await kept(town, wallet)
    assert {asset: one.changes for asset, one in found.accounts.items()} == {"USD": 5, "EUR": 2, "GBP": 1}
    assert found.read_at_us == now - 100


async def test_the_same_again_is_seen_to_be_still_so(town: Town) -> None:
    wallet, now = uuid4(), await town.kept.now_us()
    await town.kept.keep({wallet: picture(5, at_us=now - 100)})
    await town.kept.keep({wallet: picture(5, at_us=now - 40)})
    await town.kept.keep({wallet: picture(5, at_us=now - 80)})
    assert (await kept(town, wallet)).read_at_us == now - 40


async def test_what_is_kept_goes_by_itself(town: Town) -> None:
    wallet, now = uuid4(), await town.kept.now_us()
    await town.kept.keep({wallet: picture(1, at_us=now)})
    (key,) = [key async for key in town.redis.scan_iter(f"{PREFIX}*")]
    assert 3590 <= await town.redis.ttl(key) <= 3600


async def test_a_clock_that_was_put_back_makes_nothing_young(town: Town) -> None:
    wallet, now = uuid4(), await town.kept.now_us()
    await town.kept.keep({wallet: picture(1, at_us=now + 3_600_000_000)})
    assert (await town.kept.look(wallet)).age_us is None
    # And it does not stay so.
    await town.kept.keep({wallet: picture(1, at_us=now)})
    assert (await town.kept.look(wallet)).age_us is not None


@pytest.mark.parametrize("junk", [{"USD": "x"}, {"read_at": "soon"}, {"USD": "1 2 3 4 5 6", "read_at": "1"}])
async def test_what_somebody_else_wrote_there_is_no_picture_and_is_written_over(
    town: Town, junk: Mapping[Any, Any]
) -> None:
    wallet, now = uuid4(), await town.kept.now_us()
    await town.redis.hset(f"{PREFIX}{wallet.hex}", mapping=junk)
    await town.redis.hset(f"{PREFIX}no-id", mapping=junk)
    assert (await town.kept.look(wallet)).picture is None
    await town.kept.keep({wallet: picture(1, at_us=now)})
    assert (await kept(town, wallet)).accounts["USD"].posted == 1
    assert await town.kept.some(0) == (0, [wallet])


async def test_with_no_room_nothing_old_stays_and_what_is_there_can_be_read(town: Town) -> None:
    full, other, now = uuid4(), uuid4(), await town.kept.now_us()
    await town.kept.keep({full: picture(1, at_us=now), other: picture(1, at_us=now)})
    used = int((await town.redis.info("memory"))["used_memory"])
    await town.redis.config_set("maxmemory-policy", "noeviction")
    await town.redis.config_set("maxmemory", str(used - 1_000))
    try:
        outcome = await town.kept.keep({full: picture(2, at_us=now)})
        assert outcome == {full: "full"}
        assert (await town.kept.look(full)).picture is None
        assert (await kept(town, other)).accounts["USD"].changes == 1
    finally:
        await town.redis.config_set("maxmemory", "0")
    assert await town.kept.keep({full: picture(2, at_us=now)}) == {full: "written"}


async def test_forgotten_scripts_are_sent_again(town: Town) -> None:
    wallet, now = uuid4(), await town.kept.now_us()
    await town.redis.script_flush()
    await town.kept.keep({wallet: picture(1, at_us=now)})
    await town.redis.script_flush()
    assert await kept(town, wallet) == msgspec.structs.replace(picture(1, at_us=now))


async def test_all_that_is_kept_is_gone_through(town: Town) -> None:
    now = await town.kept.now_us()
    made = [uuid4() for _ in range(250)]
    for begin in range(0, 250, 50):
        await town.kept.keep({wallet: picture(1, at_us=now) for wallet in made[begin : begin + 50]})
    found: set[UUID] = set()
    cursor, more = await town.kept.some(0)
    found.update(more)
    while cursor:
        cursor, more = await town.kept.some(cursor)
        found.update(more)
    assert found == set(made)
