"""A transfer is reversed once, wholly or in parts, whoever asks and however many at once."""

import asyncio

import pytest

from billfold.kernel.errors import BillfoldError
from billfold.ledger import errors
from billfold.ledger.contracts import Posting
from tests.integration.ledger.support import Bank, key, names, new


async def test_a_reversal_brings_the_money_back_by_an_opposite_transfer(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    posting = await bank.post(new(a, b, 40, reference="R"))
    back = (await bank.ledger.reverse(key=key(), transfer_id=posting.single().id, amount=None)).single()
    assert (back.debit_account, back.credit_account, back.amount) == (b, a, 40)
    assert (back.kind, back.reference) == ("reversal", "R")
    assert await bank.balances(a, b) == [100, 100]
    with pytest.raises(errors.TransferNotReversible):
        await bank.ledger.reverse(key=key(), transfer_id=back.id, amount=None)


async def test_parts_reversed_in_one_batch_never_exceed_the_whole(bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    paid = await bank.pay(a, b, 100)
    outcomes = await asyncio.gather(
        *[bank.ledger.reverse(key=key(), transfer_id=paid.id, amount=amount) for amount in (60, 60, 30, None, 1)],
        return_exceptions=True,
    )
    assert names(outcomes) == [
        "Posting",
        "ReversalExceedsTransfer",
        "Posting",
        "Posting",
        "ReversalExceedsTransfer",
    ]
    assert await bank.balances(a, b) == [100, 100]


async def test_parts_reversed_by_two_processes_at_once_never_exceed_the_whole(bank: Bank, other_bank: Bank) -> None:
    a, b = await bank.accounts(2, 10_000)
    for _ in range(10):
        paid = await bank.pay(a, b, 100)
        outcomes = await asyncio.gather(
            *[
                process.ledger.reverse(key=key(), transfer_id=paid.id, amount=30)
                for process in (bank, other_bank)
                for _ in range(4)
            ],
            return_exceptions=True,
        )
        assert sum(isinstance(outcome, Posting) for outcome in outcomes) == 3
        rest = (await other_bank.ledger.reverse(key=key(), transfer_id=paid.id, amount=None)).single()
        assert rest.amount == 10
    assert await bank.balances(a, b) == [10_000, 10_000]


async def test_a_reversal_needs_the_money_to_be_there_and_the_accounts_to_be_open(bank: Bank) -> None:
    a, b = await bank.account(100), await bank.account()
    paid = await bank.pay(a, b, 100)
    await bank.pay(b, bank.outside, 50)

    async def refused(amount: int | None) -> type[BillfoldError]:
        with pytest.raises(BillfoldError) as error:
            await bank.ledger.reverse(key=key(), transfer_id=paid.id, amount=amount)
        return type(error.value)

    assert await refused(None) is errors.InsufficientFunds
    await bank.ledger.set_status(account_ids=[a], status="frozen")
    assert await refused(50) is errors.AccountFrozen
    assert await refused(0) is errors.AmountNotPositive
    await bank.ledger.set_status(account_ids=[a], status="open")
    await bank.ledger.reverse(key=key(), transfer_id=paid.id, amount=50)
    assert await bank.balances(a, b) == [50, 0]
