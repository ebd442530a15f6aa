"""Many orders at once: bulk requests, and confirmed transactions from a queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from billfold.kernel import idempotency
from billfold.kernel.errors import BillfoldError
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.ledger import contracts as ledger
from billfold.ledger import errors as ledger_errors
from billfold.wallets import contracts, domain, errors
from billfold.wallets.contracts import ConfirmedTransaction, Moved, Order, Transfer
from billfold.wallets.domain import Draft
from billfold.wallets.service import orders
from billfold.wallets.service.orders import Orders
from billfold.wallets.service.supervision import BULK, Ask, Many, Part, Supervision

_QUEUE_ID = UUID("a6f1f7c2-3b0e-5d53-9a51-2f7f0f6f1d11")
#: Owns the idempotency keys of confirmed transactions. May move anybody's money: who writes to the queue is trusted.
_QUEUE: Final = Principal(
    credential_id=_QUEUE_ID,
    owner_id=_QUEUE_ID,
    scopes=frozenset([contracts.OPERATOR, *contracts.ORDER_SCOPES.values()]),
)


class Bulk:
    """Use cases that move money in one go. Each order's answer stands at its place."""

    def __init__(self, *, ledger: Ledger, orders: Orders, supervision: Supervision) -> None:
        self._ledger = ledger
        self._supervision = supervision
        self._orders = orders

    async def move(
        self,
        *,
        principal: Principal,
        orders: Sequence[Order],
        atomic: bool,
        key: str,
        step_up: UUID | None = None,
    ) -> list[Moved | BillfoldError]:
        """Post up to BULK_MAX orders.

        They are one request with one `key`: an order that is wrong by itself refuses all of it, and if `atomic` so does
        any refusal. But orders with keys of their own are separate requests, which fail each alone, and need no other.

        Raises:
            MissingScope, ItemKeysMixed, ItemKeysAtomic, IdempotencyKeyReused, whatever `Orders.drafted` finds wrong
            with an order of one request, and whatever refuses an order of an atomic one.
            Deferred, ApprovalEnded, TooManyApprovals: it takes a second person, for all of it.
            StepUpRequired, SecondFactorMissing: it takes a factor of the caller's, for all of it.
        """
        for kind in {order.kind for order in orders}:
            principal.require(contracts.ORDER_SCOPES[kind])
        keys = [order.idempotency_key for order in orders if order.idempotency_key is not None]
        if not keys:
            return await self._post_as_one(principal, orders, atomic=atomic, key=key, step_up=step_up)
        if len(keys) < len(orders):
            raise errors.ItemKeysMixed(pointer="/items")
        if atomic:
            raise errors.ItemKeysAtomic(pointer="/atomic")
        ask = None
        if principal.user_id is not None:
            # Separate requests that come together are approved together.
            ask = _ask(orders, _key(principal, orders, atomic=False, key=key), key, step_up, atomic=False)
        return await self._post_each(principal, list(zip(orders, keys, strict=True)), named=True, ask=ask)

    async def apply_confirmed(self, *, transactions: Sequence[ConfirmedTransaction]) -> list[Transfer | BillfoldError]:
        """Credit and debit wallets for what has happened elsewhere, each exactly once by its sender's id.

        What can't be applied stands as its error and touches no other. An error that is `retryable` says nothing about
        the transaction: apply it again.
        """
        requests: list[tuple[Order | BillfoldError, str]] = []
        for confirmed in transactions:
            try:
                requests.append((domain.order_of(confirmed), domain.sender_key(confirmed)))
            except BillfoldError as error:
                requests.append((error, ""))
        outcomes = await self._post_each(_QUEUE, requests, named=False)
        return [found.transfer if isinstance(found, Moved) else found for found in outcomes]

    async def void_confirmed(self, *, transaction: ConfirmedTransaction) -> UUID | BillfoldError:
        """Refuse this attempt at a confirmed transaction for ever, unless it has an answer by now; say what it has.

        That is a transfer's id, or the error that refused it: Voided, now or before, or another one.
        """
        try:
            key = orders.key(_QUEUE, domain.sender_key(transaction), domain.order_of(transaction))
            (result,) = (await self._ledger.void(key=key)).results
        except BillfoldError as error:
            return error
        return result if isinstance(result, BillfoldError) else result.id

    async def _post_as_one(
        self, principal: Principal, wanted: Sequence[Order], *, atomic: bool, key: str, step_up: UUID | None
    ) -> list[Moved | BillfoldError]:
        assets = await self._orders.assets({order.money.asset for order in wanted})
        drafts = []
        for place, order in enumerate(wanted):
            try:
                drafts.append(self._orders.drafted(principal, order, assets))
            except BillfoldError as error:
                raise _at(error, place) from None
        ours = _key(principal, wanted, atomic=atomic, key=key)
        by_alias = any(draft.by_alias for draft in drafts)
        if by_alias:
            drafts = await self._resolved(principal, drafts, ours)
        all_sides = await self._orders.sides(principal, drafts)
        if principal.user_id is not None:
            ask = _ask(wanted, ours, key, step_up, atomic=atomic)
            await self._supervision.orders(principal, drafts, all_sides, ask)
        transfers = await self._orders.transfers(principal, drafts, all_sides, [ours] * len(drafts), atomic=atomic)
        posting = await self._ledger.post(key=ours, transfers=transfers, atomic=atomic)
        replayed = posting.replayed
        if by_alias and replayed:
            all_sides = await self._orders.sides_then(principal, drafts, all_sides, posting.results)
        outcomes = [
            orders.outcome(result, draft, sides, principal=principal, replayed=replayed)
            for result, draft, sides in zip(posting.results, drafts, all_sides, strict=True)
        ]
        if atomic:
            _raise_refusal(outcomes)
        return outcomes

    async def _resolved(self, principal: Principal, drafts: Sequence[Draft], key: idempotency.Key) -> list[Draft]:
        """The drafts of one request. An alias that leads nowhere is wrong by itself, and refuses all of it."""
        found = []
        for place, draft in enumerate(await self._orders.all_resolved(principal, drafts, [key] * len(drafts))):
            if isinstance(draft, BillfoldError):
                raise _at(draft, place)
            found.append(draft)
        return found

    async def _post_each(
        self,
        principal: Principal,
        wanted: Sequence[tuple[Order | BillfoldError, str]],
        *,
        named: bool,
        ask: Ask | None = None,
    ) -> list[Moved | BillfoldError]:
        """Post separate requests; those that are wrong by themselves are answered without the ledger.

        `named` is whether whoever asked knows them as items. With `ask`, a person may have to ask another one about
        those that are right, before any of them is posted.
        """
        assets = await self._orders.assets({order.money.asset for order, _ in wanted if isinstance(order, Order)})
        answers: list[Moved | BillfoldError | None] = []
        drafts: list[Draft] = []
        keys: list[idempotency.Key] = []
        for place, (order, text) in enumerate(wanted):
            try:
                if isinstance(order, BillfoldError):
                    raise order
                draft = self._orders.drafted(principal, order, assets)
                keys.append(orders.key(principal, text, order))
            except BillfoldError as error:
                answers.append(_at(error, place) if named else error)
            else:
                drafts.append(draft)
                answers.append(None)
        if any(draft.by_alias for draft in drafts):
            drafts, keys = await self._resolved_each(principal, drafts, keys, answers, named=named)
        if ask is not None:
            right = [order for (order, _), answer in zip(wanted, answers, strict=True) if answer is None]
            ask = msgspec.structs.replace(ask, part=_part(principal, ask, right, keys))
        posted = iter(await self._post_drafts(principal, drafts, keys, ask))
        return [next(posted) if answer is None else answer for answer in answers]

    async def _resolved_each(
        self,
        principal: Principal,
        drafts: Sequence[Draft],
        keys: Sequence[idempotency.Key],
        answers: list[Moved | BillfoldError | None],
        *,
        named: bool,
    ) -> tuple[list[Draft], list[idempotency.Key]]:
        """The drafts whose aliases lead somewhere, with their keys. Why others don't goes into `answers`."""
        places = [place for place, answer in enumerate(answers) if answer is None]
        found = await self._orders.all_resolved(principal, drafts, keys)
        kept: list[Draft] = []
        keys_kept: list[idempotency.Key] = []
        for place, draft, key in zip(places, found, keys, strict=True):
            if isinstance(draft, BillfoldError):
                answers[place] = _at(draft, place) if named else draft
            else:
                kept.append(draft)
                keys_kept.append(key)
        return kept, keys_kept

    async def _post_drafts(
        self, principal: Principal, drafts: Sequence[Draft], keys: Sequence[idempotency.Key], ask: Ask | None
    ) -> list[Moved | BillfoldError]:
        all_sides = await self._orders.sides(principal, drafts)
        if ask is not None:
            await self._supervision.orders(principal, drafts, all_sides, ask)
        transfers = await self._orders.transfers(principal, drafts, all_sides, keys)
        postings = await self._ledger.post_many(requests=list(zip(keys, transfers, strict=True)))
        if any(draft.by_alias for draft in drafts):
            then = [
                posting.results[0] if isinstance(posting, ledger.Posting) and posting.replayed else None
                for posting in postings
            ]
            all_sides = await self._orders.sides_then(principal, drafts, all_sides, then)
        return [
            orders.outcome(
                posting if isinstance(posting, BillfoldError) else posting.results[0],
                draft,
                sides,
                principal=principal,
                replayed=not isinstance(posting, BillfoldError) and posting.replayed,
            )
            for posting, draft, sides in zip(postings, drafts, all_sides, strict=True)
        ]


def _key(principal: Principal, wanted: Sequence[Order], *, atomic: bool, key: str) -> idempotency.Key:
    """The key of many orders that are one request."""
    return idempotency.key(
        owner=principal.owner_id,
        text=key,
        operation="bulk atomic" if atomic else "bulk",
        content=domain.content_of_all(wanted),
    )


def _ask(wanted: Sequence[Order], ours: idempotency.Key, key: str, step_up: UUID | None, *, atomic: bool) -> Ask:
    return Ask(
        kind=BULK,
        content=Many(items=wanted, atomic=atomic),
        key=ours,
        key_text=key,
        step_up=step_up,
        scopes=frozenset(contracts.ORDER_SCOPES[kind] for kind in {order.kind for order in wanted}),
    )


def _part(
    principal: Principal, ask: Ask, right: Sequence[Order | BillfoldError], keys: Sequence[idempotency.Key]
) -> Part:
    """Those of separate orders that are right by themselves. It may be more of them when the request is repeated."""
    if len(right) == len(ask.content.items):
        return Part(content=ask.content, key=ask.key, posted_under=keys)
    orders = [order for order in right if isinstance(order, Order)]
    key = _key(principal, orders, atomic=False, key=ask.key_text)
    return Part(content=Many(items=orders, atomic=False), key=key, posted_under=keys)


def _raise_refusal(outcomes: Sequence[Moved | BillfoldError]) -> None:
    """Raise what refused an atomic request, if anything did, with its place. The others only went along with it."""
    for place, outcome in enumerate(outcomes):
        if isinstance(outcome, BillfoldError) and not isinstance(outcome, ledger_errors.GroupRefused):
            raise _at(outcome, place)


def _at(error: BillfoldError, place: int) -> BillfoldError:
    """The error with its pointer into the whole request."""
    field = "/idempotency_key" if isinstance(error, idempotency.InvalidIdempotencyKey) else error.pointer or ""
    error.pointer = f"/items/{place}{field}"
    return error
