"""The signer's own policy: what its callers can't talk it out of."""

import asyncio

import pytest

from billfold.chains.errors import AddressInvalid, PayloadRefused
from billfold.chains.port import Payment, Signed
from billfold.chains.signing_port import Place
from billfold.signer import Signer, errors
from billfold.signer.contracts import Expected, Limit
from billfold.signer.service.steady import SteadyClock
from tests import signers
from tests.signers import NEW_ID, Wallet

DAY_S = 86_400


def limit(main: Wallet, *, token: str | None = None, per_transaction: int = 100, per_window: int = 250) -> Limit:
    return Limit(
        chain=main.chain,
        network="main",
        token=token,
        per_transaction=per_transaction,
        per_window=per_window,
        window_s=DAY_S,
    )


def there(amount: int, token: str | None = None) -> Payment:
    return Payment(address="there", amount=amount, token=token)


@pytest.fixture
async def main(signer: Signer) -> Wallet:
    """On a chain of each test's own, whose policy nobody else changes."""
    return await Wallet.made(signer, network="main", chain=f"tiny-{NEW_ID()}")


async def test_where_money_is_real_nothing_leaves_without_a_limit(signer: Signer, main: Wallet) -> None:
    with pytest.raises(errors.PolicyMissing):
        await main.pay(there(1))
    await signer.set_limit(limit(main))
    assert await main.pay(there(1))
    with pytest.raises(errors.PolicyMissing):
        await main.pay(there(1, "gold"))


async def test_one_transaction_takes_no_more_than_its_limit_with_its_fee(signer: Signer, main: Wallet) -> None:
    await signer.set_limit(limit(main))
    assert await main.pay(there(45), there(45), fee=10)
    refused: list[tuple[list[Payment], int]] = [([there(91)], 10), ([there(45), there(46)], 10), ([], 101)]
    for payments, fee in refused:
        with pytest.raises(errors.LimitExceeded):
            await main.pay(*payments, fee=fee)


async def test_what_has_left_counts_for_the_whole_window_and_no_longer(
    signer: Signer, main: Wallet, clock: signers.SetClock
) -> None:
    await signer.set_limit(limit(main))
    assert await main.pay(there(90))
    clock.advance(DAY_S / 2)
    assert await main.pay(there(90))
    with pytest.raises(errors.LimitExceeded):
        await main.pay(there(50))
    clock.advance(DAY_S / 2 - 1)
    with pytest.raises(errors.LimitExceeded):
        await main.pay(there(50))
    # The slice in which the first one left is over by now.
    clock.advance(600)
    assert await main.pay(there(50))
    with pytest.raises(errors.LimitExceeded):
        await main.pay(there(90))


async def test_what_no_key_signs_counts_for_nothing(signer: Signer, main: Wallet) -> None:
    await signer.set_limit(limit(main, per_window=100))
    with pytest.raises(PayloadRefused):
        await main.pay(Payment(address="unsignable", amount=80))
    at_once = [main.pay(there(30)), main.pay(Payment(address="unsignable", amount=10)), main.pay(there(30))]
    kinds = [type(one) for one in await asyncio.gather(*at_once, return_exceptions=True)]
    assert kinds == [Signed, PayloadRefused, Signed]
    with pytest.raises(errors.LimitExceeded):
        await main.pay(there(30))
    assert await main.pay(there(10))


async def test_a_clock_that_is_set_back_gives_nothing_free(
    signer: Signer, main: Wallet, clock: signers.SetClock
) -> None:
    await signer.set_limit(limit(main, per_window=100))
    assert await main.pay(there(90))
    clock.advance(-2 * DAY_S)
    with pytest.raises(errors.LimitExceeded):
        await main.pay(there(1))


async def test_a_clock_that_is_far_ahead_for_a_moment_uses_up_no_window(
    signer: Signer, main: Wallet, clock: signers.SetClock, database: signers.SignerDatabase
) -> None:
    await signer.set_limit(limit(main, per_window=100))
    async with signers.started(database.dsn, clock=SteadyClock(clock, running_s=lambda: 0.0)) as steady:
        wallet = Wallet(steady, main.id, "main", main.chain)
        clock.advance(365 * DAY_S / 2)
        with pytest.raises(errors.ClockJumped):
            await wallet.pay(there(90))
        clock.advance(-365 * DAY_S / 2)
        assert await wallet.pay(there(90))


async def test_many_at_once_together_stay_within_the_window(signer: Signer, main: Wallet) -> None:
    await signer.set_limit(limit(main))
    outcomes = await asyncio.gather(*(main.pay(there(40)) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(outcome, Signed) for outcome in outcomes) == 5
    assert sum(isinstance(outcome, errors.LimitExceeded) for outcome in outcomes) == 15


async def test_what_has_left_is_known_after_a_restart(
    signer: Signer, main: Wallet, clock: signers.SetClock, database: signers.SignerDatabase
) -> None:
    await signer.set_limit(limit(main, per_window=100))
    assert await main.pay(there(90))
    async with signers.started(database.dsn, clock=clock) as restarted:
        with pytest.raises(errors.LimitExceeded):
            await Wallet(restarted, main.id, "main", main.chain).pay(there(1))


async def test_a_token_has_a_limit_of_its_own(signer: Signer, main: Wallet) -> None:
    await signer.set_limit(limit(main))
    await signer.set_limit(limit(main, token="gold", per_transaction=2**80, per_window=2**81))
    assert await main.pay(there(2**80, "gold"))
    with pytest.raises(errors.LimitExceeded):
        await main.pay(there(2**80 + 1, "gold"))


async def test_change_does_not_count(signer: Signer, main: Wallet) -> None:
    await signer.set_limit(limit(main))
    change = Payment(address=await main.at("change", 3), amount=10**9)
    assert await main.pay(there(10), change, own=(Place(purpose="change", index=3),))


async def test_with_an_allow_list_only_known_destinations_are_paid(signer: Signer, main: Wallet) -> None:
    await signer.set_limit(limit(main))
    await signer.set_allow_list(main.chain, "main", on=True)
    with pytest.raises(errors.DestinationNotAllowed):
        await main.pay(there(1))
    with pytest.raises(AddressInvalid):
        await signer.allow(main.chain, "main", "over there")
    await signer.allow(main.chain, "main", "There")
    assert await main.pay(there(1))
    with pytest.raises(errors.DestinationNotAllowed):
        await main.pay(there(1), Payment(address="elsewhere", amount=1))
    await signer.allow(main.chain, "main", "over there", on=False)
    await signer.allow(main.chain, "main", "There", on=False)
    with pytest.raises(errors.DestinationNotAllowed):
        await main.pay(there(1))
    await signer.set_allow_list(main.chain, "main", on=False)
    assert await main.pay(there(1))
    said = [line.content.decode() for line in await signer.log() if line.decision == "policy"]
    assert sum(main.chain in line for line in said) == 7


async def test_a_deposit_s_key_pays_only_the_hot_address_of_its_tree(wallet: Wallet) -> None:
    deposit, omnibus = Place(purpose="deposit", index=7), Place(purpose="hot", index=0)
    to_hot = Payment(address=await wallet.at("hot"), amount=5)
    assert await wallet.pay(to_hot, source=deposit, own=(omnibus,))
    for payments, own in (
        ([there(5)], omnibus),
        ([to_hot, there(5)], omnibus),
        ([Payment(address=await wallet.at("hot", 1), amount=5)], Place(purpose="hot", index=1)),
    ):
        with pytest.raises(errors.SweepElsewhere):
            await wallet.pay(*payments, source=deposit, own=(own,))


async def test_what_is_said_to_go_to_a_warm_address_goes_there_alone_and_beside_the_limits(
    signer: Signer, main: Wallet
) -> None:
    await signer.set_limit(limit(main))

    async def store(*payments: Payment, fee: int = 10) -> Signed:
        return await main.pay(*payments, fee=fee, expected=Expected(payments=payments, fee_max=fee, to_warm=True))

    with pytest.raises(errors.WarmElsewhere):
        await store(there(1))
    await signer.set_warm(main.chain, "main", "there")
    # Its fee leaves all the same.
    assert await store(there(10**9), there(10**9, "gold"))
    with pytest.raises(errors.LimitExceeded):
        await store(there(1), fee=101)
    with pytest.raises(errors.WarmElsewhere):
        await store(there(1), Payment(address="elsewhere", amount=1))
    # Who does not say so is paid as anybody is.
    with pytest.raises(errors.LimitExceeded):
        await main.pay(there(101))
    await signer.set_warm(main.chain, "main", "there", on=False)
    with pytest.raises(errors.WarmElsewhere):
        await store(there(1))


async def test_where_deposits_are_coins_they_pay_anybody(signer: Signer) -> None:
    coins = await Wallet.made(signer, chain="bitcoin")
    assert await coins.pay(there(5), source=Place(purpose="deposit", index=7))


@pytest.mark.parametrize(("per_transaction", "per_window"), [(-1, 5), (6, 5)])
async def test_a_limit_that_makes_no_sense_is_refused(
    signer: Signer, main: Wallet, per_transaction: int, per_window: int
) -> None:
    with pytest.raises(errors.RequestInvalid):
        await signer.set_limit(limit(main, per_transaction=per_transaction, per_window=per_window))
