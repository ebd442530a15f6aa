"""In whose words wallets answer, and what a caller may see."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from billfold.kernel.assets import Asset
from billfold.kernel.money import Money
from billfold.ledger import contracts as ledger
from billfold.ledger import errors as ledger_errors
from billfold.wallets import domain, errors
from billfold.wallets.contracts.chain_withdrawals import NewChainWithdrawal
from billfold.wallets.domain import Side
from billfold.wallets.service.recent import Recent

USD = Asset(code="USD", scale=2, kind="fiat", name="US dollar")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
MINE = Side(UUID(int=1), "mine", "USD", mine=True)
YOURS = Side(UUID(int=2), "yours", "USD", mine=False)
OUTSIDE = Side(UUID(int=3), "outside", "USD", mine=False)


def posted(debit: Side, credit: Side) -> ledger.Transfer:
    return ledger.Transfer(
        id=UUID(int=9),
        debit_account=debit.account,
        credit_account=credit.account,
        amount=150,
        asset="USD",
        kind="transfer",
        reference="r",
        description="d",
        metadata={"k": "v"},
        effective_at=NOW,
        recorded_at=NOW,
        debit_version=4,
        credit_version=9,
        debit_balance=850,
        credit_balance=12345,
    )


def test_a_payer_never_sees_the_balance_of_the_payee() -> None:
    seen = domain.transfer(posted(MINE, YOURS), MINE, YOURS, scale=2, all_seen=False)
    assert (seen.from_balance, seen.to_balance) == ("8.50", None)
    assert (seen.from_version, seen.to_version) == (4, None)


def test_whoever_owns_both_wallets_sees_both_balances() -> None:
    seen = domain.transfer(posted(MINE, MINE), MINE, MINE, scale=2, all_seen=False)
    assert (seen.from_balance, seen.to_balance) == ("8.50", "123.45")


def test_an_operator_sees_the_balances_of_wallets_but_the_world_outside_has_none() -> None:
    seen = domain.transfer(posted(OUTSIDE, YOURS), OUTSIDE, YOURS, scale=2, all_seen=True)
    assert (seen.source, seen.from_balance, seen.to_balance) == ("outside", None, "123.45")


def test_the_two_sides_of_a_transfer_are_each_others_opposite() -> None:
    debit, credit = domain.entries(posted(MINE, YOURS))
    assert (debit.account, debit.amount, debit.balance, debit.counterparty) == (UUID(int=1), -150, 850, UUID(int=2))
    assert (credit.account, credit.amount, credit.balance, credit.counterparty) == (
        UUID(int=2),
        150,
        12345,
        UUID(int=1),
    )


def test_a_transaction_has_a_direction_and_an_amount_without_sign() -> None:
    debit, _ = domain.entries(posted(MINE, YOURS))
    seen = domain.transaction(debit, wallet="mine", counterparty="yours", asset=USD)
    assert (seen.direction, seen.money.amount, seen.balance) == ("out", "1.50", "8.50")


def test_an_overdraft_is_shown_as_a_credit_limit() -> None:
    account = ledger.Account(
        id=UUID(int=1),
        asset="USD",
        kind="user",
        floor=-10000,
        status="open",
        posted=-50,
        held=25,
        version=3,
        changes=5,
        created_at=NOW,
    )
    seen = domain.balance(account, scale=2)
    assert (seen.posted, seen.held, seen.available, seen.credit_limit) == ("-0.50", "0.25", "-0.75", "100.00")
    assert seen.version == 3


def test_the_ledgers_refusals_speak_of_wallets() -> None:
    error = ledger_errors.AccountFrozen(pointer="/to")
    error.replayed = True
    ours = errors.in_wallet_words(error)
    assert isinstance(ours, errors.WalletFrozen)
    assert (ours.pointer, ours.replayed) == ("/to", True)
    funds = ledger_errors.InsufficientFunds()
    assert errors.in_wallet_words(funds) is funds


@pytest.mark.parametrize(
    ("text", "length"),
    [("30s", timedelta(seconds=30)), ("15m", timedelta(minutes=15)), ("1d", timedelta(days=1)), ("2w", timedelta(14))],
)
def test_a_step_is_a_number_and_a_unit(text: str, length: timedelta) -> None:
    assert domain.step(text) == length


@pytest.mark.parametrize("text", ["", "d", "1", "0d", "-1d", "1.5h", "1 d", "1y", "1d\n", "9999999d", "\u0661d"])
def test_anything_else_is_no_step(text: str) -> None:
    with pytest.raises(errors.StepWrong):
        domain.step(text)


def test_what_is_asked_for_is_remembered_and_what_is_not_is_forgotten() -> None:
    recent: Recent[int, str] = Recent(100)
    for number in range(10_000):
        recent.put(number, str(number))
        assert recent.get(0) == "0"
        assert len(recent) <= 101
    assert recent.get(5_000) is None
    assert recent.get(9_999) == "9999"


def test_a_withdrawal_that_says_nothing_of_fees_is_the_same_request_as_before_it_could() -> None:
    new = NewChainWithdrawal(wallet="w", money=Money("1", "BTC"), to="a")
    assert b"max_fee" not in domain.content_of(new)
    assert domain.content_of(msgspec.structs.replace(new, max_fee="0.1")) != domain.content_of(new)
