"""Operations that move money: create_account, payment, both path payments, account_merge."""

from __future__ import annotations

from itertools import pairwise

from stellar_sdk import (
    AccountMerge,
    CreateAccount,
    Operation,
    PathPaymentStrictReceive,
    PathPaymentStrictSend,
    Payment,
)
from stellar_sdk import xdr as stellar_xdr

from billfold.devnet.stellar import balances, book
from billfold.devnet.stellar.balances import NotDone
from billfold.devnet.stellar.state import BASE_RESERVE, INT64_MAX, NATIVE, Account, State


def create_account(state: State, account: Account, operation: CreateAccount, *, ledger: int) -> None:
    """A new account with so many lumens.

    Raises:
        NotDone.
    """
    amount = Operation.to_xdr_amount(operation.starting_balance)
    if amount < 0 or operation.destination == account.id:
        raise NotDone("MALFORMED")
    if state.account(operation.destination) is not None:
        raise NotDone("ALREADY_EXIST")
    if amount < 2 * BASE_RESERVE:
        raise NotDone("LOW_RESERVE")
    balances.take(state, account, NATIVE, amount)
    # A sequence that begins at the ledger's number can't repeat that of an account of before with the same key.
    state.add(Account(operation.destination, amount, ledger << 32, ledger))


def payment(state: State, account: Account, operation: Payment) -> None:
    """An amount from one account to another.

    Raises:
        NotDone.
    """
    amount, text = Operation.to_xdr_amount(operation.amount), balances.key(operation.asset)
    if amount <= 0:
        raise NotDone("MALFORMED")
    destination = _destination(state, operation.destination.account_id)
    # The destination is looked at first, as on the network: its codes win.
    balances.give(state, destination, text, amount)
    balances.take(state, account, text, amount)


def strict_send(
    state: State, account: Account, operation: PathPaymentStrictSend
) -> stellar_xdr.PathPaymentStrictSendResultSuccess:
    """So much is sent; what arrives depends on the order book.

    Raises:
        NotDone.
    """
    amount, least = Operation.to_xdr_amount(operation.send_amount), Operation.to_xdr_amount(operation.dest_min)
    if amount <= 0 or least <= 0 or len(operation.path) > book.PATH_MAX:
        raise NotDone("MALFORMED")
    destination = _destination(state, operation.destination.account_id)
    steps = [balances.key(each) for each in (operation.send_asset, *operation.path, operation.dest_asset)]
    balances.take(state, account, steps[0], amount)
    claimed = list[stellar_xdr.ClaimAtom]()
    for give, get in pairwise(steps):
        if give != get:
            trades = book.exact_in(state, give=give, get=get, amount=amount, taker=account.id)
            if sum(trade.bought for trade in trades) != amount:
                raise NotDone("TOO_FEW_OFFERS")
            claimed += book.settle(state, trades)
            amount = sum(trade.sold for trade in trades)
    if amount < least:
        raise NotDone("UNDER_DESTMIN")
    balances.give(state, destination, steps[-1], amount)
    return stellar_xdr.PathPaymentStrictSendResultSuccess(claimed, _last(destination, steps[-1], amount))


def strict_receive(
    state: State, account: Account, operation: PathPaymentStrictReceive
) -> stellar_xdr.PathPaymentStrictReceiveResultSuccess:
    """So much arrives; what is sent depends on the order book.

    Raises:
        NotDone.
    """
    arriving, most = Operation.to_xdr_amount(operation.dest_amount), Operation.to_xdr_amount(operation.send_max)
    if arriving <= 0 or most <= 0 or len(operation.path) > book.PATH_MAX:
        raise NotDone("MALFORMED")
    destination = _destination(state, operation.destination.account_id)
    steps = [balances.key(each) for each in (operation.send_asset, *operation.path, operation.dest_asset)]
    balances.give(state, destination, steps[-1], arriving)
    claimed, amount = list[stellar_xdr.ClaimAtom](), arriving
    for get, give in pairwise(reversed(steps)):
        if give != get:
            trades = book.exact_out(state, give=give, get=get, amount=amount, taker=account.id)
            if sum(trade.sold for trade in trades) != amount:
                raise NotDone("TOO_FEW_OFFERS")
            claimed = book.settle(state, trades) + claimed
            amount = sum(trade.bought for trade in trades)
    if amount > most:
        raise NotDone("OVER_SENDMAX")
    balances.take(state, account, steps[0], amount)
    return stellar_xdr.PathPaymentStrictReceiveResultSuccess(claimed, _last(destination, steps[-1], arriving))


def account_merge(state: State, account: Account, operation: AccountMerge, *, ledger: int) -> int:
    """All lumens of the account go to another, and it is gone; how many these were.

    Raises:
        NotDone.
    """
    target = operation.destination.account_id
    if target == account.id:
        raise NotDone("MALFORMED")
    destination = state.account(target)
    if destination is None:
        raise NotDone("NO_ACCOUNT")
    if account.flags & balances.AUTH_IMMUTABLE:
        raise NotDone("IMMUTABLE_SET")
    if account.subentries() - len(account.signers):
        raise NotDone("HAS_SUB_ENTRIES")
    # Made anew in this ledger, it could use up sequence numbers a second time.
    if account.sequence >= ledger << 32:
        raise NotDone("SEQNUM_TOO_FAR")
    if destination.balance + account.balance > INT64_MAX:
        raise NotDone("DEST_FULL")
    destination.balance += account.balance
    state.remove(account.id)
    return account.balance


def _destination(state: State, address: str) -> Account:
    found = state.account(address)
    if found is None:
        raise NotDone("NO_DESTINATION")
    return found


def _last(destination: Account, text: str, amount: int) -> stellar_xdr.SimplePaymentResult:
    return stellar_xdr.SimplePaymentResult(
        book.account_id(destination.id), balances.asset(text).to_xdr_object(), stellar_xdr.Int64(amount)
    )
