"""Holds: money set aside, which then leaves, goes back or expires. Each ends exactly once (I10).

A hold's row changes only while its account is locked, so the lock of the account is the lock of its holds.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from msgspec.structs import replace

from billfold.kernel import money
from billfold.ledger import contracts, errors
from billfold.ledger.contracts import Hold, NewHold, Transfer
from billfold.ledger.domain import texts, transfers
from billfold.ledger.domain.book import Book, Link


def place(book: Book, new: NewHold, hold_id: UUID) -> Hold:
    """Set money aside.

    Raises:
        LedgerError: why it was refused; the book is unchanged.
    """
    if new.amount <= 0:
        raise errors.AmountNotPositive
    texts.check(new.reference, new.description, {})
    account = book.account(new.account)
    if account.asset != new.asset:
        raise errors.AssetMismatch
    transfers.check_open(account)
    if new.expires_at is not None and new.expires_at <= book.now:
        raise errors.ExpiryInPast
    transfers.check_covered(account, new.amount)
    if account.held + new.amount > money.UNITS_MAX:
        raise errors.BalanceTooLarge
    account.held += new.amount
    hold = Hold(
        id=hold_id,
        account=new.account,
        asset=new.asset,
        amount=new.amount,
        settled=0,
        status="active",
        expires_at=new.expires_at,
        reference=new.reference,
        description=new.description,
        created_at=book.now,
        ended_at=None,
    )
    book.keep_hold("placed", hold)
    return hold


def settle(
    book: Book, hold: Hold, *, credit_account: UUID, amount: int | None, release_rest: bool, forced: bool = False
) -> tuple[Hold, Transfer]:
    """Move `amount` of the hold (None is all that is left) to `credit_account`; `release_rest` ends it.

    What has happened already is `forced`: an account that was frozen since, or is below its floor, pays all the same.

    Raises:
        HoldEnded: it is settled, released or expired.
        SettlementExceedsHold: less than `amount` is left.
        LedgerError: whatever refuses the transfer.
    """
    if amount is not None and amount <= 0:
        raise errors.AmountNotPositive
    _check_active(book, hold)
    wanted = hold.remaining if amount is None else amount
    if wanted > hold.remaining:
        raise errors.SettlementExceedsHold
    account = book.account(hold.account)
    new = contracts.NewTransfer(
        debit_account=hold.account,
        credit_account=credit_account,
        amount=wanted,
        asset=hold.asset,
        kind="settlement",
        reference=hold.reference,
        description=hold.description,
        forced=forced,
    )
    account.held -= wanted
    try:
        transfer = transfers.post(book, new)
    except errors.LedgerError:
        account.held += wanted
        raise
    book.links.append(Link(transfer.id, "settlement", hold.id))
    after = replace(hold, settled=hold.settled + wanted)
    if after.settled == after.amount or release_rest:
        account.held -= after.amount - after.settled
        after = replace(after, status="settled", ended_at=book.now)
    book.keep_hold("settled", after)
    return after, transfer


def release(book: Book, hold: Hold) -> Hold:
    """Give back what is left of the hold, also of one that is overdue: its money must not wait for who marks it.

    Raises:
        HoldEnded: it is settled, released or marked as expired.
    """
    if hold.status != "active":
        raise errors.HoldEnded
    return _end(book, hold, "released")


def expire(book: Book, hold: Hold) -> Hold:
    """Give back what is left of a hold whose time is over.

    Raises:
        HoldEnded: it ended before.
    """
    if hold.status != "active":
        raise errors.HoldEnded
    assert hold.expires_at is not None and hold.expires_at <= book.now, "only a hold that is due expires"
    return _end(book, hold, "expired")


def _check_active(book: Book, hold: Hold) -> None:
    """An overdue hold can't be spent any more even if nobody has marked it yet."""
    if hold.status != "active" or (hold.expires_at is not None and hold.expires_at <= book.now):
        raise errors.HoldEnded


def _end(book: Book, hold: Hold, step: Literal["released", "expired"]) -> Hold:
    book.account(hold.account).held -= hold.remaining
    after = replace(hold, status=step, ended_at=book.now)
    book.keep_hold(step, after)
    return after
