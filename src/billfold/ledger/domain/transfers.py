"""Posting, groups and reversals.

Refusals are found in a fixed order, so that the same request always gets the same one: the request itself (amount, same
account, texts), what it names (unknown, asset), the state of the accounts (closed, frozen), its time, and last the
money.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from billfold.kernel import money
from billfold.ledger import contracts, errors
from billfold.ledger.contracts import NewTransfer, Transfer
from billfold.ledger.domain import texts
from billfold.ledger.domain.book import AccountState, Book, Link, Savepoint

Result = Transfer | errors.LedgerError

EFFECTIVE_MIN = datetime(1900, 1, 1, tzinfo=UTC)


def check_open(account: AccountState) -> None:
    """Go on only if money may enter and leave the account.

    Raises:
        AccountClosed, AccountFrozen: it may not.
    """
    if account.status != "open":
        raise errors.AccountClosed if account.status == "closed" else errors.AccountFrozen


def check_covered(account: AccountState, amount: int) -> None:
    """Go on only if `amount` may leave the available balance (I2, I3).

    Raises:
        InsufficientFunds: what is available after it would be below the floor.
    """
    if account.floor is not None and account.posted - account.held - amount < account.floor:
        raise errors.InsufficientFunds


def post(book: Book, new: NewTransfer) -> Transfer:
    """Post one transfer.

    Raises:
        LedgerError: why it was refused; the book is unchanged.
    """
    if new.amount <= 0:
        raise errors.AmountNotPositive
    if new.debit_account == new.credit_account:
        raise errors.SameAccount
    if new.reference or new.description or new.metadata:
        texts.check(new.reference, new.description, new.metadata)
    debit = book.account(new.debit_account)
    credit = book.account(new.credit_account)
    if debit.asset != new.asset or credit.asset != new.asset:
        raise errors.AssetMismatch
    if debit.status != "open" or credit.status != "open":
        _check_may_post(debit, forced=new.forced)
        _check_may_post(credit, forced=new.forced)
    if new.effective_at is not None:
        _check_effective(book, new.effective_at)
    if debit.floor is not None and debit.posted - debit.held - new.amount < debit.floor and not new.forced:
        raise errors.InsufficientFunds
    if (
        credit.posted + new.amount > money.UNITS_MAX
        or debit.posted - new.amount < -money.UNITS_MAX
        or new.amount > money.UNITS_MAX
    ):
        raise errors.BalanceTooLarge
    return book.write(new, debit, credit)


def _check_may_post(account: AccountState, *, forced: bool) -> None:
    if not (forced and account.status == "frozen"):
        check_open(account)


def _check_effective(book: Book, effective_at: datetime) -> None:
    if effective_at < EFFECTIVE_MIN:
        raise errors.EffectiveTooEarly
    if effective_at > book.now:
        raise errors.EffectiveInFuture


def post_each(book: Book, transfers: Sequence[NewTransfer | errors.LedgerError]) -> list[Result]:
    """Post every transfer that fits; each refusal stands alone at its place, those that came along too."""
    results: list[Result] = []
    for new in transfers:
        if isinstance(new, errors.LedgerError):
            results.append(new)
            continue
        try:
            results.append(post(book, new))
        except errors.LedgerError as refusal:
            results.append(refusal)
    return results


def post_group(book: Book, transfers: Sequence[NewTransfer]) -> list[Result]:
    """Post all transfers or none: after a refusal, the others get GroupRefused at their places."""
    savepoint = Savepoint(book, {account for new in transfers for account in (new.debit_account, new.credit_account)})
    posted: list[Transfer] = []
    for position, new in enumerate(transfers):
        try:
            posted.append(post(book, new))
        except errors.LedgerError as refusal:
            savepoint.restore()
            return [refusal if place == position else errors.GroupRefused() for place in range(len(transfers))]
    book.links.extend(Link(transfer.id, "group", posted[0].id) for transfer in posted[1:])
    return list(posted)


def reverse(book: Book, original: Transfer, amount: int | None) -> Transfer:
    """Post the opposite of `original`, or of `amount` of it; None is all that is left.

    Raises:
        TransferNotReversible: it is itself a reversal.
        ReversalExceedsTransfer: less than `amount` is left of it.
        LedgerError: whatever refuses the new transfer.
    """
    if amount is not None and amount <= 0:
        raise errors.AmountNotPositive
    if original.id in book.reversals:
        raise errors.TransferNotReversible
    done = book.reversed.get(original.id, 0)
    left = original.amount - done
    wanted = left if amount is None else amount
    if left == 0 or wanted > left:
        raise errors.ReversalExceedsTransfer
    new = contracts.NewTransfer(
        debit_account=original.credit_account,
        credit_account=original.debit_account,
        amount=wanted,
        asset=original.asset,
        kind="reversal",
        reference=original.reference,
    )
    transfer = post(book, new)
    book.reversed[original.id] = done + wanted
    book.links.append(Link(transfer.id, "reversal", original.id))
    return transfer
