"""Makes transactions: a fee bump around a transaction that is the same whatever is offered.

So a higher offer has the same inner transaction with the same signatures, and the sequence number lets it happen once.
The hot account pays fee and amounts; the channel account only gives the number. The inner transaction offers nothing
itself: whoever sees it on its way and hands it in alone can't have the channel pay. (In a fee bump of their own they
can, and pay for it; so it is the inner transaction that `sending` asks for.)
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from stellar_sdk import (
    BumpSequence,
    ChangeTrust,
    CreateAccount,
    FeeBumpTransaction,
    FeeBumpTransactionEnvelope,
    Memo,
    Preconditions,
    TimeBounds,
    Transaction,
    TransactionEnvelope,
)
from stellar_sdk import Payment as PaymentOperation
from stellar_sdk.operation import Operation

from billfold.chains import errors
from billfold.chains.port import Allocation, Payment, Rate, Unsigned
from billfold.chains.stellar import addresses, amounts, fees, memos
from billfold.chains.stellar.horizon import Horizon

#: Of the protocol.
OPERATIONS_MAX = 100
#: No transaction lives longer, so where a node's history goes back so far, one that it does not know never happened.
LIFE = timedelta(days=1)


def payer(allocation: Allocation) -> str:
    """Whose money it is: of a channel's transaction `change`, else the source's."""
    return allocation.change or allocation.source


def bounds(expires_at: datetime) -> TimeBounds:
    """When a transaction can happen."""
    return TimeBounds(int((expires_at - LIFE).timestamp()), int(expires_at.timestamp()))


async def build(
    horizon: Horizon, payments: Sequence[Payment], allocation: Allocation, *, rate: Rate, passphrase: str
) -> Unsigned:
    """The transaction.

    Raises:
        FundsShort, PaymentInvalid, NodeUnavailable, NodeWrong.
    """
    if not 1 <= len(payments) <= OPERATIONS_MAX:
        raise errors.PaymentInvalid(f"A transaction of Stellar has 1 to {OPERATIONS_MAX} payments.")
    fee = fees.estimate(len(payments), rate=rate)
    paying = payer(allocation)
    await _afford(horizon, payments, paying, fee)
    if [clears(each, allocation.source) for each in payments] == [True]:
        # No sequence is before 0, so it changes nothing but that the number is used up.
        operations: list[Operation] = [BumpSequence(0)]
    else:
        operations = [await _operation(horizon, each, paying) for each in payments]
    inner = _inner(operations, allocation, _memo(payments), passphrase)
    outer = FeeBumpTransactionEnvelope(FeeBumpTransaction(paying, fee, inner), passphrase)
    return Unsigned(payload=outer.to_xdr_object().to_xdr_bytes(), fee_max=fee)


def _inner(operations: list[Operation], allocation: Allocation, memo: Memo, passphrase: str) -> TransactionEnvelope:
    assert allocation.nonce is not None and allocation.expires_at is not None, "allocated before it is built"
    transaction = Transaction(
        source=allocation.source,
        sequence=allocation.nonce,
        fee=0,
        operations=operations,
        memo=memo,
        preconditions=Preconditions(time_bounds=bounds(allocation.expires_at)),
    )
    return TransactionEnvelope(transaction, passphrase)


async def _operation(horizon: Horizon, payment: Payment, paying: str) -> Operation:
    asset = amounts.asset(payment.token)
    target, _ = _target(payment)
    if opens(payment, paying):
        return ChangeTrust(asset, source=paying)
    if not 0 < payment.amount <= amounts.INT64_MAX:
        raise errors.PaymentInvalid("An amount of Stellar is above 0 and below 2^63.")
    text = amounts.display(payment.amount)
    if payment.token is None and await horizon.account(target) is None:
        return CreateAccount(target, text, source=paying)
    return PaymentOperation(target, asset, text, source=paying)


def clears(payment: Payment, source: str) -> bool:
    """Whether it is there to use the number up: no lumens to the source itself."""
    return payment.token is None and payment.amount == 0 and payment.address == source


def opens(payment: Payment, paying: str) -> bool:
    """Whether it is a trustline that is to be made: nothing of a token to oneself."""
    return payment.token is not None and payment.amount == 0 and payment.address == paying


def _target(payment: Payment) -> tuple[str, str | None]:
    try:
        return addresses.canonical(payment.address)
    except errors.AddressInvalid as error:
        raise errors.PaymentInvalid(error.detail) from error


def _memo(payments: Sequence[Payment]) -> Memo:
    """The one memo of a transaction; a number that is in an address is one too."""
    found = {_target(each)[1] or each.memo for each in payments}
    if len(found) > 1:
        raise errors.PaymentInvalid("A transaction of Stellar has one memo, so payments with different ones are apart.")
    return memos.parsed(found.pop() if found else None)


async def _afford(horizon: Horizon, payments: Sequence[Payment], paying: str, fee: int) -> None:
    """Look whether the account has it all: what fails on the chain costs a fee and a sequence number.

    Raises:
        FundsShort
    """
    account = await horizon.account(paying)
    if account is None:
        raise errors.FundsShort("The account that pays is not there yet: it needs its first lumens.")
    reserve = (await horizon.last()).reserve
    opened = sum(opens(each, paying) for each in payments)
    need: dict[str | None, int] = {None: fee + (2 + account.entries + opened) * reserve}
    for each in payments:
        # Who issues an asset has no end of it.
        if each.token is None or each.token.partition(":")[2] != paying:
            need[each.token] = need.get(each.token, 0) + each.amount
    for token, units in need.items():
        line = account.lines.get(token)
        if units and (line is None or line.balance - line.selling < units):
            raise errors.FundsShort(
                f"The account has less of {token or 'XLM'} than the payments, fee and reserve take."
            )
