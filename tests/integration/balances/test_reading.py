"""Balances for those who may be told what was true a moment ago: from Redis where it has them, else from the ledger."""

from uuid import UUID

import pytest

from billfold.kernel import ids
from billfold.kernel.money import Money
from billfold.kernel.principal import MissingScope, Principal
from billfold.ledger.errors import AssetUnknown
from billfold.wallets import contracts, errors
from billfold.wallets.contracts import NewHold
from billfold.wallets.contracts.pictures import Picture
from tests.integration.balances.conftest import Town
from tests.integration.wallets.support import move, wallet_of, without


async def test_the_first_reader_asks_the_ledger_and_the_next_does_not(town: Town, ada: Principal) -> None:
    wallet = await wallet_of(town.wallets, ada, holding="10.00")
    assert await town.posted(ada, wallet) == ("10.00", False)
    assert await town.posted(ada, wallet) == ("10.00", True)
    # Nobody has told yet of what happens now.
    await move(town.wallets, ada, "withdrawal", source=wallet, amount="4.00")
    assert await town.posted(ada, wallet) == ("10.00", True)
    assert await town.posted(ada, wallet, max_age_s=0) == ("6.00", False)


async def test_what_is_kept_says_the_same_as_the_ledger(town: Town, ada: Principal, operator: Principal) -> None:
    wallet = await wallet_of(town.wallets, ada, holding="10.00")
    await move(town.wallets, ada, "deposit", target=wallet, amount="0.00000001", asset="BTC")
    await town.wallets.registry.set_limits(principal=operator, wallet_id=UUID(wallet), limits=[Money("7.50", "EUR")])
    hold = NewHold(wallet=wallet, money=Money("2.50", "USD"))
    await town.wallets.holds.place(principal=ada, new=hold, key="hold")
    await town.keep(wallet)
    for asset in (None, "USD", "BTC", "EUR", "GBP"):
        read = await town.lately(ada, wallet, asset=asset)
        assert read.age_s is not None
        assert read.balances == await town.wallets.balances.now(principal=ada, wallet_id=UUID(wallet), asset=asset)


async def test_a_wallet_in_which_nothing_has_been_is_read_from_redis_too(town: Town, ada: Principal) -> None:
    wallet = await wallet_of(town.wallets, ada)
    for from_redis in (False, True):
        read = await town.lately(ada, wallet, asset=None)
        assert (read.balances, read.age_s is not None) == ([], from_redis)


async def test_what_is_too_old_is_read_again_and_then_young(town: Town, ada: Principal) -> None:
    wallet = await wallet_of(town.wallets, ada, holding="10.00")
    at_us = await town.kept.now_us() - 30_000_000
    await town.pictures.keep(await town.pictures.taken(wallet_ids=[UUID(wallet)], at_us=at_us))
    read = await town.lately(ada, wallet, max_age_s=600)
    assert read.age_s is not None
    assert 30 <= read.age_s < 600
    assert await town.posted(ada, wallet, max_age_s=29) == ("10.00", False)
    assert await town.posted(ada, wallet, max_age_s=29) == ("10.00", True)


async def test_an_age_is_never_less_than_it_is(town: Town, ada: Principal) -> None:
    wallet = await wallet_of(town.wallets, ada)
    at_us = await town.kept.now_us() - 4_100_000
    await town.pictures.keep(await town.pictures.taken(wallet_ids=[UUID(wallet)], at_us=at_us))
    read = await town.lately(ada, wallet)
    assert read.age_s is not None
    assert read.age_s >= 5


async def test_whoever_has_written_sees_it_by_its_version(town: Town, ada: Principal) -> None:
    wallet = await wallet_of(town.wallets, ada, holding="10.00")
    assert await town.posted(ada, wallet) == ("10.00", False)
    paid = await move(town.wallets, ada, "withdrawal", source=wallet, amount="4.00")
    assert paid.transfer.from_version == 2
    assert await town.posted(ada, wallet, min_version=1) == ("10.00", True)
    assert await town.posted(ada, wallet, min_version=2) == ("6.00", False)
    assert await town.posted(ada, wallet, min_version=2) == ("6.00", True)
    read = await town.lately(ada, wallet, min_version=2)
    assert read.balances[0].version == 2


async def test_a_version_that_there_is_not_yet_is_refused(town: Town, ada: Principal) -> None:
    wallet = await wallet_of(town.wallets, ada, holding="10.00")
    for max_age_s in (0, 60, 60):
        with pytest.raises(errors.VersionNotReached):
            await town.posted(ada, wallet, max_age_s=max_age_s, min_version=2)
    with pytest.raises(errors.VersionNotReached):
        await town.lately(ada, wallet, asset="EUR", min_version=1)
    assert (await town.lately(ada, wallet, asset="EUR", min_version=0)).balances[0].posted == "0.00"
    with pytest.raises(errors.AssetNeeded):
        await town.lately(ada, wallet, asset=None, min_version=1)


async def test_an_asset_that_has_come_since_has_its_version(town: Town, ada: Principal) -> None:
    wallet = await wallet_of(town.wallets, ada, holding="10.00")
    await town.keep(wallet)
    came = await move(town.wallets, ada, "deposit", target=wallet, amount="3.00", asset="EUR")
    read = await town.lately(ada, wallet, asset="EUR", min_version=came.transfer.to_version)
    assert (read.balances[0].posted, read.age_s) == ("3.00", None)


async def test_what_is_kept_of_a_wallet_is_shown_to_nobody_else(
    town: Town, ada: Principal, bob: Principal, operator: Principal
) -> None:
    wallet = await wallet_of(town.wallets, ada, holding="10.00")
    await town.keep(wallet)
    assert await town.posted(ada, wallet) == ("10.00", True)
    for _ in range(2):
        with pytest.raises(errors.WalletUnknown):
            await town.posted(bob, wallet)
        with pytest.raises(MissingScope):
            await town.posted(without(ada, contracts.READ), wallet)
        assert await town.posted(operator, wallet) == ("10.00", True)
    with pytest.raises(errors.WalletUnknown):
        await town.posted(bob, wallet)


async def test_what_somebody_writes_into_redis_makes_no_wallet(town: Town, ada: Principal) -> None:
    made_up = ids.new()
    await town.kept.keep({made_up: Picture(read_at_us=await town.kept.now_us(), accounts={})})
    for _ in range(2):
        with pytest.raises(errors.WalletUnknown):
            await town.posted(ada, str(made_up))


async def test_an_asset_that_there_is_not_is_refused_whatever_is_kept(town: Town, ada: Principal) -> None:
    wallet = await wallet_of(town.wallets, ada, holding="10.00")
    await town.keep(wallet)
    with pytest.raises(AssetUnknown):
        await town.lately(ada, wallet, asset="NONE")
