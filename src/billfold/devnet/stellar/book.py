"""The order book: what an amount costs there, exchanges along a path, and offers.

An offer sells one asset for another at n/d. Rounding is to the good of whoever's offer it is, as on the network; its
finer rules (thresholds of rounding, passive offers, liquidity pools) are not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from stellar_sdk import Keypair, ManageSellOffer, Operation
from stellar_sdk import xdr as stellar_xdr

from billfold.devnet.stellar import balances
from billfold.devnet.stellar.balances import NotDone
from billfold.devnet.stellar.state import NATIVE, Account, Offer, State

#: As many as the protocol lets one operation cross.
CROSSED_MAX = 1_000
#: As many steps as a path payment may have between what is sent and what arrives.
PATH_MAX = 5
#: Paths are looked for only so far: who plays here has few assets.
_HOPS_SOUGHT = 3
#: The largest number of either side of a price.
INT32_MAX = 2**31 - 1


@dataclass(frozen=True)
class Trade:
    """So much of an offer is taken for so much."""

    offer: Offer
    sold: int
    bought: int


def exact_in(
    state: State, *, give: str, get: str, amount: int, taker: str | None, limit: Fraction | None = None
) -> list[Trade]:
    """What `amount` of `give` gets; `limit` is the most of `give` for one of `get`. It may stay below `amount`.

    Raises:
        NotDone: OFFER_CROSS_SELF.
    """
    left, trades = amount, list[Trade]()
    for offer, stock in _crossed(state, give=give, get=get, taker=taker, limit=limit):
        if not left:
            break
        cost = -(-stock * offer.n // offer.d)
        sold, paid = (stock, cost) if cost <= left else (left * offer.d // offer.n, left)
        if not sold:
            break
        trades.append(Trade(offer, sold, paid))
        left -= paid
    return trades


def exact_out(state: State, *, give: str, get: str, amount: int, taker: str | None) -> list[Trade]:
    """What `amount` of `get` takes of `give`. It may stay below `amount`.

    Raises:
        NotDone: OFFER_CROSS_SELF.
    """
    left, trades = amount, list[Trade]()
    for offer, stock in _crossed(state, give=give, get=get, taker=taker, limit=None):
        if not left:
            break
        sold = min(left, stock)
        trades.append(Trade(offer, sold, -(-sold * offer.n // offer.d)))
        left -= sold
    return trades


def _crossed(
    state: State, *, give: str, get: str, taker: str | None, limit: Fraction | None
) -> list[tuple[Offer, int]]:
    """Offers that sell `get` for `give`, with what of each can be had."""
    found = list[tuple[Offer, int]]()
    for offer in state.offers(selling=get, buying=give):
        if limit is not None and Fraction(offer.n, offer.d) > limit:
            break
        if offer.seller == taker:
            raise NotDone("OFFER_CROSS_SELF")
        found.append((offer, offer.amount))
        if len(found) == CROSSED_MAX:
            break
    return found


def settle(state: State, trades: list[Trade]) -> list[stellar_xdr.ClaimAtom]:
    """Carry trades out on the side of the offers; what the taker gives and gets is the caller's to move."""
    for trade in trades:
        seller = state.account(trade.offer.seller)
        assert seller is not None, "an account with offers can't be merged"
        offer = state.offer(trade.offer.id)
        assert offer is not None
        offer.amount -= trade.sold
        balances.take(state, seller, offer.selling, trade.sold)
        balances.give(state, seller, offer.buying, trade.bought)
        if not offer.amount:
            state.withdraw(offer)
    return [_claimed(trade) for trade in trades]


def _claimed(trade: Trade) -> stellar_xdr.ClaimAtom:
    offer = trade.offer
    return stellar_xdr.ClaimAtom(
        stellar_xdr.ClaimAtomType.CLAIM_ATOM_TYPE_ORDER_BOOK,
        order_book=stellar_xdr.ClaimOfferAtom(
            seller_id=account_id(offer.seller),
            offer_id=stellar_xdr.Int64(offer.id),
            asset_sold=balances.asset(offer.selling).to_xdr_object(),
            amount_sold=stellar_xdr.Int64(trade.sold),
            asset_bought=balances.asset(offer.buying).to_xdr_object(),
            amount_bought=stellar_xdr.Int64(trade.bought),
        ),
    )


def account_id(address: str) -> stellar_xdr.AccountID:
    """An address as results have it."""
    return Keypair.from_public_key(address).xdr_account_id()


# --- offers ------------------------------------------------------------------------------------------------------


def manage(state: State, account: Account, operation: ManageSellOffer) -> stellar_xdr.ManageOfferSuccessResult:
    """Make, change or take back an offer.

    Raises:
        NotDone.
    """
    selling, buying = balances.key(operation.selling), balances.key(operation.buying)
    amount, price = Operation.to_xdr_amount(operation.amount), operation.price
    assert not isinstance(price, str), "an operation that was read has a price of two numbers"
    n, d = int(getattr(price, "n", 0)), int(getattr(price, "d", 0))
    if selling == buying or amount < 0 or not 0 < n <= INT32_MAX or not 0 < d <= INT32_MAX or operation.offer_id < 0:
        raise NotDone("MALFORMED")
    before = _own(state, account, operation.offer_id)
    if before is not None:
        state.withdraw(before)
    elif not amount:
        raise NotDone("NOT_FOUND" if operation.offer_id else "MALFORMED")
    if not amount:
        return _told([], stellar_xdr.ManageOfferEffect.MANAGE_OFFER_DELETED, None)
    offer = Offer(operation.offer_id, account.id, selling, buying, amount, n, d)
    _may_offer(state, account, offer)
    return _place(state, account, offer)


def _place(state: State, account: Account, offer: Offer) -> stellar_xdr.ManageOfferSuccessResult:
    changed = bool(offer.id)
    try:
        trades = exact_in(
            state,
            give=offer.selling,
            get=offer.buying,
            amount=offer.amount,
            taker=account.id,
            limit=Fraction(offer.d, offer.n),
        )
    except NotDone:
        raise NotDone("CROSS_SELF") from None
    claimed = settle(state, trades)
    balances.take(state, account, offer.selling, sum(trade.bought for trade in trades))
    balances.give(state, account, offer.buying, sum(trade.sold for trade in trades))
    offer.amount -= sum(trade.bought for trade in trades)
    if not offer.amount:
        return _told(claimed, stellar_xdr.ManageOfferEffect.MANAGE_OFFER_DELETED, None)
    if account.balance < account.reserve(more=1):
        raise NotDone("LOW_RESERVE")
    effects = stellar_xdr.ManageOfferEffect
    effect = effects.MANAGE_OFFER_UPDATED if changed else effects.MANAGE_OFFER_CREATED
    return _told(claimed, effect, state.put(offer))


def _own(state: State, account: Account, number: int) -> Offer | None:
    if not number:
        return None
    found = state.offer(number)
    if found is None or found.seller != account.id:
        raise NotDone("NOT_FOUND")
    return found


def _may_offer(state: State, account: Account, offer: Offer) -> None:
    for text, side in ((offer.selling, "SELL"), (offer.buying, "BUY")):
        if text == NATIVE or balances.issuer(text) == account.id:
            continue
        if text not in account.lines:
            raise NotDone(f"{side}_NO_TRUST")
        if not account.lines[text].authorized:
            raise NotDone(f"{side}_NOT_AUTHORIZED")
    if balances.available(state, account, offer.selling) < offer.amount:
        raise NotDone("UNDERFUNDED")
    if balances.room(state, account, offer.buying) < -(-offer.amount * offer.n // offer.d):
        raise NotDone("LINE_FULL")


def _told(
    claimed: list[stellar_xdr.ClaimAtom], effect: stellar_xdr.ManageOfferEffect, offer: Offer | None
) -> stellar_xdr.ManageOfferSuccessResult:
    entry = None if offer is None else _entry(offer)
    return stellar_xdr.ManageOfferSuccessResult(claimed, stellar_xdr.ManageOfferSuccessResultOffer(effect, entry))


def _entry(offer: Offer) -> stellar_xdr.OfferEntry:
    return stellar_xdr.OfferEntry(
        seller_id=account_id(offer.seller),
        offer_id=stellar_xdr.Int64(offer.id),
        selling=balances.asset(offer.selling).to_xdr_object(),
        buying=balances.asset(offer.buying).to_xdr_object(),
        amount=stellar_xdr.Int64(offer.amount),
        price=stellar_xdr.Price(stellar_xdr.Int32(offer.n), stellar_xdr.Int32(offer.d)),
        flags=stellar_xdr.Uint32(0),
        ext=stellar_xdr.OfferEntryExt(0),
    )


# --- paths -------------------------------------------------------------------------------------------------------


def paths(state: State, *, start: str, end: str, amount: int, sending: bool) -> list[tuple[int, int, list[str]]]:
    """Ways from one asset to another: what is sent, what arrives, and what lies between; the best first.

    With `sending` the amount is what is sent, else what arrives.
    """
    found = list[tuple[int, int, list[str]]]()
    for route in _routes(state, start, end, []):
        steps = [start, *route, end]
        reached: int | None = amount
        pairs = list(pairwise(steps))
        for give, get in pairs if sending else reversed(pairs):
            reached = reached and _through(state, give, get, reached, sending=sending)
        if reached:
            found.append((amount, reached, route) if sending else (reached, amount, route))
    return sorted(found, key=lambda each: (each[0], -each[1]))


def _through(state: State, give: str, get: str, amount: int, *, sending: bool) -> int | None:
    if give == get:
        return amount
    if sending:
        trades = exact_in(state, give=give, get=get, amount=amount, taker=None)
        return sum(trade.sold for trade in trades) if sum(trade.bought for trade in trades) == amount else None
    trades = exact_out(state, give=give, get=get, amount=amount, taker=None)
    return sum(trade.bought for trade in trades) if sum(trade.sold for trade in trades) == amount else None


def _routes(state: State, start: str, end: str, between: list[str]) -> list[list[str]]:
    if start == end and not between:
        return [[]]
    found = list[list[str]]()
    for through in sorted({offer.selling for offer in state.offers(buying=start)} - {start, *between}):
        if through == end:
            found.append(between)
        elif len(between) < _HOPS_SOUGHT - 1:
            found += _routes(state, through, end, [*between, through])
    return found
