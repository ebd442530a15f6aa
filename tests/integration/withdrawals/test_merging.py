"""Many small coins become one when that is cheap."""

import asyncio
from datetime import timedelta

import pytest

from billfold.custody import errors
from tests.integration.withdrawals.support import Office

coins = pytest.mark.parametrize("chain_name", ["bitcoin"], indirect=True)
#: What a merge costs on the tests' chain at the slowest speed.
FEE = 10


async def filled(office: Office, *, small: int, worth: int = 50) -> None:
    """So many small coins, one that is large, and one that costs as much as it brings."""
    await office.customer(small * worth, coins=small)
    await office.customer(2_000)
    await office.customer(1)
    office.chain.mine(2)
    await office.watch()


@coins
async def test_small_coins_become_one_once_and_dust_and_large_ones_are_left(office: Office) -> None:
    await filled(office, small=12)
    before = await office.withdrawals.coins(chain="bitcoin")
    assert (before.count, before.small, before.dust) == (14, 12, 1)
    assert sum(await asyncio.gather(*(office.withdrawals.merge(chain="bitcoin") for _ in range(4)))) == 1
    await office.finish()
    office.chain.mine(2)
    await office.watch()
    after = await office.withdrawals.coins(chain="bitcoin")
    assert (after.count, after.small, after.dust, after.money.amount) == (3, 0, 1, "0.00002591")
    fees = await office.house.account(kind="fees", asset="BTC")
    assert (await office.posted(fees))[0] == -FEE
    (told,) = await office.told("treasury.moved.v1")
    assert (told["kind"], told["money"], told["network_fee"]["amount"]) == ("merge", None, "0.00000010")
    await office.check_conserved()


@coins
async def test_few_coins_and_a_dear_hour_are_left_alone(office: Office) -> None:
    await filled(office, small=10)
    assert await office.withdrawals.merge(chain="bitcoin") == 0
    await filled(office, small=1)
    office.chain.spike = 2
    office.clock.ahead += timedelta(minutes=1)
    assert await office.withdrawals.merge(chain="bitcoin") == 0
    office.chain.is_down = True
    assert await office.withdrawals.merge(chain="bitcoin") == 0


@pytest.mark.parametrize("chain_name", ["ethereum"], indirect=True)
async def test_where_there_are_no_coins_there_is_nothing_to_count(office: Office) -> None:
    with pytest.raises(errors.NoCoins):
        await office.withdrawals.coins(chain="ethereum")
    assert await office.withdrawals.merge(chain="ethereum") == 0
