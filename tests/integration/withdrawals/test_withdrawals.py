"""A withdrawal from the request to the end, on a chain of each model."""

import asyncio
from datetime import timedelta

import pytest

from billfold.chains.errors import AddressInvalid, NodeWrong
from billfold.custody import errors
from billfold.kernel import ids, money
from billfold.kernel.idempotency import IdempotencyKeyReused
from billfold.ledger.errors import InsufficientFunds
from tests.integration.withdrawals.support import HOT, TOKEN_ASSET, Office

one_chain = pytest.mark.parametrize("chain_name", ["ethereum"], indirect=True)
by_coins = pytest.mark.parametrize("chain_name", ["bitcoin"], indirect=True)
by_nonce = pytest.mark.parametrize("chain_name", ["ethereum"], indirect=True)
replaceable = pytest.mark.parametrize("chain_name", ["bitcoin", "ethereum"], indirect=True)


async def test_money_leaves_once_and_what_the_network_did_not_take_goes_back(office: Office) -> None:
    account = await office.customer(10_000)
    asked = (await office.request(account, 1_000, "sim-a")).withdrawal
    assert asked.status == "held"
    assert await office.posted(account) == (10_000, 1_000 + asked.network_fee)
    (ended,) = await office.finish(asked.id)
    assert ended.status == "settled"
    assert ended.fee_paid is not None
    assert 0 < ended.fee_paid < ended.network_fee
    assert await office.posted(account) == (10_000 - 1_000 - ended.fee_paid, 0)
    await office.check_conserved(ended)
    assert [len(await office.told(f"withdrawal.{kind}.v1")) for kind in ("requested", "sent", "settled")] == [1, 1, 1]


async def test_many_that_leave_at_once_all_arrive(office: Office) -> None:
    account = await office.customer(100_000, coins=10)
    asked = [(await office.request(account, 100 + number, f"sim-{number}")).withdrawal for number in range(8)]
    ended = await office.finish(*(one.id for one in asked))
    assert {one.status for one in ended} == {"settled"}
    await office.check_conserved(*ended)


@by_coins
async def test_payments_that_offer_the_same_share_a_transaction_and_its_fee(office: Office) -> None:
    account = await office.customer(100_000)
    asked = [(await office.request(account, 1_000, f"sim-{number}")).withdrawal for number in range(5)]
    ended = await office.finish(*(one.id for one in asked))
    assert len({one.chain_tx for one in ended}) == 1
    assert sum(one.fee_paid or 0 for one in ended) == 20 * 6
    await office.check_conserved(*ended)


@one_chain
async def test_a_token_is_paid_with_the_house_paying_the_network(office: Office) -> None:
    await office.endow(10_000)
    account = await office.customer(5_000, asset=TOKEN_ASSET)
    asked = (await office.request(account, 700, "sim-a", asset=TOKEN_ASSET)).withdrawal
    (ended,) = await office.finish(asked.id)
    assert (ended.status, ended.network_fee) == ("settled", 0)
    assert await office.posted(account) == (4_300, 0)
    assert (await office.posted(await office.house.account(kind="fees", asset="ETH")))[0] == 10_000 - 30
    await office.check_conserved(ended)


@one_chain
@pytest.mark.parametrize("alone", [False, True])
async def test_a_token_that_has_left_in_a_strange_way_is_settled_and_says_so(office: Office, alone: bool) -> None:  # noqa: FBT001
    if alone:
        office.take_alone()
    await office.endow(10_000)
    account = await office.customer(5_000, asset=TOKEN_ASSET)
    office.chain.strange = "less has arrived"
    asked = (await office.request(account, 700, "sim-a", asset=TOKEN_ASSET)).withdrawal
    (ended,) = await office.finish(asked.id)
    assert (ended.status, ended.reason) == ("settled", "less has arrived")
    assert await office.posted(account) == (4_300, 0)
    await office.check_conserved(ended)


@one_chain
async def test_the_same_request_again_is_the_same_withdrawal(office: Office) -> None:
    account = await office.customer(10_000)
    first = await office.request(account, 1_000, "sim-a", key="k")
    again = await office.request(account, 1_000, "sim-a", key="k")
    assert (again.withdrawal.id, again.replayed) == (first.withdrawal.id, True)
    with pytest.raises(IdempotencyKeyReused):
        await office.request(account, 1_001, "sim-a", key="k")
    ended = await office.finish(first.withdrawal.id)
    await office.check_conserved(*ended)


@one_chain
async def test_what_the_account_does_not_hold_is_refused_and_refused_again(office: Office) -> None:
    account = await office.customer(1_000)
    for _ in range(2):
        with pytest.raises(InsufficientFunds):
            await office.request(account, 1_000, "sim-a", key="k")
    (failed,) = (await office.withdrawals.page(wallet_id=account)).items
    assert (failed.status, failed.reason) == ("failed", "insufficient_funds")
    assert await office.posted(account) == (1_000, 0)


@one_chain
async def test_where_a_payment_would_be_lost_it_is_said_before(office: Office) -> None:
    account = await office.customer(1_000)
    for address, refusal in (
        ("0xabc", AddressInvalid),
        (HOT, errors.AddressIsOurs),
        ("sim-closed", errors.DestinationRefused),
    ):
        with pytest.raises(refusal):
            await office.request(account, 10, address)
    with pytest.raises(errors.AssetNotOnChain):
        await office.request(account, 10, "sim-a", asset="USD")
    assert (await office.withdrawals.page(wallet_id=account)).items == []


@one_chain
async def test_a_new_address_waits_and_one_that_has_waited_does_not(office: Office) -> None:
    account = await office.customer(10_000)
    first = (await office.request(account, 100, "sim-a", confirmed=False)).withdrawal
    assert (first.status, first.waits_until is not None) == ("waiting", True)
    assert not await office.withdrawals.knows(wallet_id=account, chain="ethereum", address="sim-a", memo=None)
    await office.work()
    assert (await office.look(first.id)).status == "waiting"
    office.clock.ahead += (first.waits_until or office.clock.now()) - office.clock.now()
    assert await office.withdrawals.knows(wallet_id=account, chain="ethereum", address="sim-a", memo=None)
    second = (await office.request(account, 100, "sim-a", confirmed=False)).withdrawal
    assert second.status == "held"
    with pytest.raises(errors.WithdrawalUnknown):
        await office.look(ids.new())


async def test_one_that_is_cancelled_before_it_was_signed_costs_nothing(office: Office) -> None:
    account = await office.customer(10_000)
    asked = (await office.request(account, 1_000, "sim-a")).withdrawal
    assert (await office.withdrawals.cancel(withdrawal_id=asked.id)).status == "cancelled"
    assert (await office.withdrawals.cancel(withdrawal_id=asked.id)).status == "cancelled"
    assert await office.posted(account) == (10_000, 0)
    ended = await office.finish(asked.id)
    await office.check_conserved(*ended)


@replaceable
async def test_one_that_was_sent_is_cancelled_by_being_sooner(office: Office) -> None:
    account = await office.customer(10_000)
    asked = (await office.request(account, 1_000, "sim-a")).withdrawal
    await office.work()
    assert (await office.look(asked.id)).status == "sent"
    assert (await office.withdrawals.cancel(withdrawal_id=asked.id)).cancelling
    (ended,) = await office.finish(asked.id)
    assert ended.status == "cancelled"
    await office.check_conserved(ended)


@replaceable
async def test_a_cancellation_that_comes_too_late_changes_nothing(office: Office) -> None:
    account = await office.customer(10_000)
    asked = (await office.request(account, 1_000, "sim-a")).withdrawal
    await office.work()
    await office.withdrawals.cancel(withdrawal_id=asked.id)
    office.chain.mine()
    (ended,) = await office.finish(asked.id)
    assert ended.status == "settled"
    with pytest.raises(errors.WithdrawalTooLate):
        await office.withdrawals.cancel(withdrawal_id=asked.id)
    await office.check_conserved(ended)


@by_coins
async def test_of_many_in_one_transaction_one_is_cancelled_and_the_others_arrive(office: Office) -> None:
    account = await office.customer(100_000)
    asked = [(await office.request(account, 1_000, f"sim-{number}")).withdrawal for number in range(3)]
    await office.work()
    await office.withdrawals.cancel(withdrawal_id=asked[1].id)
    ended = await office.finish(*(one.id for one in asked))
    assert [one.status for one in ended] == ["settled", "cancelled", "settled"]
    await office.check_conserved(*ended)


@replaceable
async def test_a_fee_is_raised_once_for_each_key_and_only_one_of_the_two_happens(office: Office) -> None:
    account = await office.customer(10_000)
    asked = (await office.request(account, 1_000, "sim-a", speed="slow")).withdrawal
    await office.work()
    bumped = await office.bump(asked.id)
    assert bumped.network_fee > asked.network_fee
    assert (await office.bump(asked.id)).network_fee == bumped.network_fee
    assert await office.posted(account) == (10_000, 1_000 + bumped.network_fee)
    (ended,) = await office.finish(asked.id)
    assert ended.status == "settled"
    assert ended.fee_paid == (80 if office.chain.model == "coins" else 60)
    assert (await office.posted(account))[1] == 0
    await office.check_conserved(ended)


@replaceable
@pytest.mark.parametrize("keys", [("a", "a"), ("a", "b")])
async def test_of_two_who_raise_a_fee_at_once_one_does(office: Office, keys: tuple[str, str]) -> None:
    account = await office.customer(10_000)
    asked = (await office.request(account, 1_000, "sim-a", speed="slow")).withdrawal
    await office.work()
    done = await asyncio.gather(*(office.bump(asked.id, key) for key in keys), return_exceptions=True)
    refused = [one for one in done if isinstance(one, BaseException)]
    assert [type(one) for one in refused] == ([] if keys[0] == keys[1] else [errors.WithdrawalTooLate])
    (ended,) = await office.finish(asked.id)
    assert ended.fee_paid == (80 if office.chain.model == "coins" else 60)
    assert await office.posted(account) == (10_000 - 1_000 - ended.fee_paid, 0)
    await office.check_conserved(ended)


@pytest.mark.parametrize("chain_name", ["solana"], indirect=True)
async def test_what_can_t_be_replaced_can_t_be_cancelled_or_bumped_once_it_is_sent(office: Office) -> None:
    account = await office.customer(10_000)
    asked = (await office.request(account, 1_000, "sim-a")).withdrawal
    await office.work()
    with pytest.raises(errors.WithdrawalTooLate):
        await office.withdrawals.cancel(withdrawal_id=asked.id)
    with pytest.raises(errors.WithdrawalTooLate):
        await office.bump(asked.id)
    await office.check_conserved(*await office.finish(asked.id))


@pytest.mark.parametrize("chain_name", ["solana"], indirect=True)
async def test_two_that_the_chain_takes_for_one_both_arrive(office: Office) -> None:
    account = await office.customer(10_000)
    asked = [(await office.request(account, 1_000, "sim-a")).withdrawal for _ in range(2)]
    ended = await office.finish(*(one.id for one in asked))
    assert [one.status for one in ended] == ["settled", "settled"]
    assert office.chain.received("sim-a") == [1_000, 1_000]


@by_nonce
async def test_a_transaction_that_failed_on_the_chain_costs_its_fee_alone(office: Office) -> None:
    account = await office.customer(10_000)
    asked = (await office.request(account, 1_000, "sim-failing")).withdrawal
    (ended,) = await office.finish(asked.id)
    assert (ended.status, ended.fee_paid) == ("failed", 30)
    assert await office.posted(account) == (10_000 - 30, 0)
    await office.check_conserved(ended)


@by_nonce
async def test_a_number_that_nobody_wants_any_more_is_used_up_for_those_who_wait_behind_it(office: Office) -> None:
    await office.endow(10_000)
    account = await office.customer(10_000)
    office.signer.refuses = True
    first = (await office.request(account, 1_000, "sim-a")).withdrawal
    await office.withdrawals._allocating.round(office.chain)
    second = (await office.request(account, 1_000, "sim-b")).withdrawal
    await office.withdrawals._allocating.round(office.chain)
    await office.withdrawals.cancel(withdrawal_id=first.id)
    office.signer.refuses = False
    ended = await office.finish(first.id, second.id)
    assert [one.status for one in ended] == ["cancelled", "settled"]
    assert await office.posted(account) == (10_000 - 1_000 - 30, 0)
    await office.check_conserved(*ended)


@one_chain
async def test_a_fee_that_is_above_what_its_owner_agrees_to_is_told_and_nothing_is_held(office: Office) -> None:
    account = await office.customer(10_000)
    told = await office.withdrawals.quote(asset="ETH", amount=1_000, address="sim-a", memo=None, speed="normal")
    office.chain.spike = 2
    office.clock.ahead += timedelta(minutes=1)
    with pytest.raises(errors.FeeAboveMaximum) as refused:
        await office.request(account, 1_000, "sim-a", key="k", max_fee=told.fees)
    asked = refused.value.extensions["network_fee"]
    assert refused.value.extensions["service_fee"] == {"amount": "0.000000000000000000", "asset": "ETH"}
    now = money.parse(asked["amount"], 18)
    assert (now > told.fees, await office.posted(account)) == (True, (10_000, 0))
    assert (await office.withdrawals.page(wallet_id=account)).items == []
    with pytest.raises(errors.FeeAboveMaximum):
        await office.request(account, 1_000, "sim-a", key="k", max_fee=now - 1)
    # Nothing was done under the key, so it is free for what is agreed to now.
    held = (await office.request(account, 1_000, "sim-a", key="k", max_fee=now)).withdrawal
    assert (held.status, held.network_fee) == ("held", now)
    office.chain.spike = 3
    assert (await office.request(account, 1_000, "sim-a", key="k", max_fee=now)).withdrawal == held
    office.chain.spike = 2
    (ended,) = await office.finish(held.id)
    assert ended.fee_paid is not None
    assert ended.fee_paid <= now
    await office.check_conserved(ended)


@one_chain
async def test_a_fee_that_has_risen_above_what_was_agreed_waits_and_says_so(office: Office) -> None:
    account = await office.customer(10_000)
    asked = (await office.request(account, 1_000, "sim-a")).withdrawal
    office.chain.spike = 100
    await office.work()
    waiting = await office.look(asked.id)
    assert (waiting.status, waiting.reason) == ("held", "fee_above_limit")
    office.chain.spike = 1
    await office.check_conserved(*await office.finish(asked.id))


async def test_what_the_house_has_not_got_on_the_chain_waits_and_says_so(office: Office) -> None:
    account = await office.customer(10_000)
    await office._credit(account, 90_000, office.chain.coin)
    asked = (await office.request(account, 50_000, "sim-a")).withdrawal
    await office.work()
    waiting = await office.look(asked.id)
    assert (waiting.status, waiting.reason) == ("held", "house_short")
    office.chain.fund(HOT, 90_000)
    await office.watch()
    await office.check_conserved(*await office.finish(asked.id))


@pytest.mark.parametrize("chain_name", ["solana"], indirect=True)
async def test_a_token_of_which_nodes_say_what_can_t_be_holds_up_no_other_asset(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    coin, token = await office.customer(10_000), await office.customer(10_000, asset=TOKEN_ASSET)
    balance = office.chain.balance

    async def answered(address: str, *, token: str | None, height: int) -> int:
        if token is not None:
            raise NodeWrong("A node gives too many token accounts.")
        return await balance(address, token=token, height=height)

    with monkeypatch.context() as patched:
        patched.setattr(office.chain, "balance", answered)
        asked = (await office.request(coin, 1_000, "sim-a")).withdrawal
        other = (await office.request(token, 1_000, "sim-b", asset=TOKEN_ASSET)).withdrawal
        (ended,) = await office.finish(asked.id)
        waiting = await office.look(other.id)
        assert (ended.status, waiting.status, waiting.reason) == ("settled", "held", "node_wrong")
    await office.endow(1_000)
    (late,) = await office.finish(other.id)
    await office.check_conserved(ended, late)


@one_chain
async def test_fees_are_told_while_no_node_answers_with_their_age_and_not_for_ever(office: Office) -> None:
    async def told() -> tuple[int, bool]:
        quote = await office.withdrawals.quote(asset="ETH", amount=100, address="sim-a", memo=None, speed="normal")
        return quote.takes, quote.stale

    assert await told() == (150, False)
    office.chain.is_down = True
    office.clock.ahead += timedelta(seconds=30)
    assert await told() == (150, False)
    office.clock.ahead += timedelta(minutes=5)
    assert await told() == (150, True)
    office.clock.ahead += timedelta(hours=2)
    with pytest.raises(errors.FeesUnknown):
        await told()


async def test_several_workers_at_once_send_each_once(office: Office) -> None:
    account = await office.customer(100_000, coins=10)
    asked = [(await office.request(account, 100 + number, f"sim-{number}")).withdrawal for number in range(6)]
    for _ in range(3):
        await asyncio.gather(*(office.work() for _ in range(3)))
    ended = await office.finish(*(one.id for one in asked))
    assert {one.status for one in ended} == {"settled"}
    await office.check_conserved(*ended)
