"""What a person can't do alone with money, and asks another person for. Programs ask nobody: their keys are systems.

Before another person is asked, whoever withdraws much shows by a factor that it is them (`withdrawals`).

    a manual posting      money of others that a person moves, holds or releases by the scope operator, and whatever a
                          person deposits
    a large withdrawal    of a person, from their own wallets too
    a refund              of what has arrived on a chain for nobody known
    credit limits         see `registry`

Nothing is kept back meanwhile: when it is approved, the ledger decides whether the money is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from billfold.identity import Approvals
from billfold.identity.contracts import Demand
from billfold.kernel import idempotency
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Connection, Database
from billfold.wallets import contracts
from billfold.wallets.contracts import OUTSIDE, Order, Settlement
from billfold.wallets.contracts.chain_withdrawals import NewChainWithdrawal
from billfold.wallets.domain import Draft, Side
from billfold.wallets.service.allowance import Allowance
from billfold.wallets.service.withdrawals import Withdrawals
from billfold.wallets.store import wallets as store

#: Kinds of requests that may wait, with what they consist of.
MOVEMENT = "movement"
BULK = "bulk"
REVERSAL = "reversal"
SETTLEMENT = "settlement"
HOLD = "hold"
RELEASE = "release"
LIMITS = "limits"
CHAIN_WITHDRAWAL = "chain_withdrawal"
DEPOSIT_REFUND = "deposit_refund"
#: What of them takes money out of the house, as whoever approves it reads it.
_NAMES = {MOVEMENT: "withdrawal", BULK: "withdrawals", REVERSAL: "reversal", SETTLEMENT: "hold settlement"}
_DEPOSIT = contracts.ORDER_SCOPES["deposit"]
_WITHDRAWAL = contracts.ORDER_SCOPES["withdrawal"]
_TRANSFER = contracts.ORDER_SCOPES["transfer"]


class Many(msgspec.Struct, frozen=True, kw_only=True):
    """Orders that come together."""

    items: Sequence[Order]
    atomic: bool


class Reversal(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer to send back, or a part of it."""

    transfer_id: UUID
    money: Money | None


class HoldSettlement(msgspec.Struct, frozen=True, kw_only=True):
    """A hold to settle."""

    hold_id: UUID
    settlement: Settlement


class HoldRelease(msgspec.Struct, frozen=True, kw_only=True):
    """A hold to release."""

    hold_id: UUID


class WalletLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Credit limits to set."""

    wallet: UUID
    credit_limits: Sequence[Money]


class DepositRefund(msgspec.Struct, frozen=True, kw_only=True):
    """A deposit of nobody known, and where it is to be sent."""

    deposit_id: UUID
    #: All of it; the network fee is taken from that.
    money: Money
    to: str
    memo: str | None
    reason: str


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Those of many separate orders that are right by themselves, which alone are posted."""

    content: Any
    #: With another part it is another request.
    key: idempotency.Key
    #: The keys of each, which the ledger knows.
    posted_under: Sequence[idempotency.Key]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request, as another person would be asked for it."""

    kind: str
    content: Any
    key: idempotency.Key
    key_text: str
    #: What the caller themselves has approved by a factor.
    step_up: UUID | None = None
    #: What all of it takes, whatever of it has to be approved.
    scopes: frozenset[str] = frozenset()
    #: What of it is posted, if that is decided order by order.
    part: Part | None = None


class Supervision:
    """Lets a person go on alone, or has them wait for another one."""

    def __init__(
        self,
        *,
        approvals: Approvals | None,
        allowance: Allowance,
        withdrawals: Withdrawals,
        database: Database,
    ) -> None:
        self._approvals = approvals
        self._withdrawals = withdrawals
        #: What a person withdraws in a day without another one.
        self._allowance = allowance
        self._database = database

    async def orders(
        self, principal: Principal, drafts: Sequence[Draft], sides: Sequence[tuple[Side, Side]], ask: Ask
    ) -> None:
        """Go on only if a person may give these orders alone, or another one has approved them.

        Raises:
            Deferred, ApprovalEnded, TooManyApprovals, IdempotencyKeyReused.
            StepUpRequired, SecondFactorMissing.
        """
        needs: set[str] = set()
        leaving: Counter[str] = Counter()
        left: Counter[str] = Counter()
        for draft, (debit, credit) in zip(drafts, sides, strict=True):
            order, scope = draft.order, contracts.ORDER_SCOPES[draft.order.kind]
            ours = credit if order.source is None else debit
            if draft.unresolved and order.kind == "withdrawal":
                left[order.money.asset] += draft.units
            if not ours.wallet:
                continue  # There is no such wallet for the caller, and the ledger refuses it.
            if not ours.mine:
                needs |= {scope, contracts.OPERATOR}
            elif order.kind == "deposit":
                needs.add(scope)
            if order.kind == "withdrawal":
                leaving[order.money.asset] += draft.units
        if leaving:
            leaving += left  # What has an answer already was approved with the rest.
        await self._check_leaving(principal, leaving, ask)
        if await self._is_large(principal, leaving, ask, alone=not needs):
            needs.add(_WITHDRAWAL)
        wallets = {side.wallet for pair in sides for side in pair}
        resolved = frozenset(map(_words, filter(_by_alias, drafts)))
        await self._demand(principal, ask, needs=needs, wallets=wallets, resolved=resolved)

    async def reversal(
        self, principal: Principal, debit: Side | None, credit: Side | None, leaving: Mapping[str, int], ask: Ask
    ) -> None:
        """The same for sending a transfer back. `debit` and `credit` are its sides, None for the world outside.

        Raises: as `orders`.
        """
        needs: set[str] = set()
        if debit is None:
            await self._check_leaving(principal, leaving, ask)
        ours = debit if credit is None else credit
        if ours is None or not ours.mine:
            needs |= {_TRANSFER, contracts.OPERATOR}
        elif credit is None:
            needs |= {_TRANSFER, _DEPOSIT}
        elif debit is None and await self._is_large(principal, leaving, ask):
            needs |= {_TRANSFER, _WITHDRAWAL}
        await self._demand(principal, ask, needs=needs, wallets=[side.wallet for side in (debit, credit) if side])

    async def settlement(
        self, principal: Principal, source: Side, target: str, leaving: Mapping[str, int], ask: Ask
    ) -> None:
        """The same for settling a hold.

        Raises: as `orders`.
        """
        scopes = {contracts.HOLDS_WRITE, _WITHDRAWAL if target == OUTSIDE else _TRANSFER}
        needs: set[str] = set()
        if target == OUTSIDE:
            await self._check_leaving(principal, leaving, ask)
        if not source.mine:
            needs = scopes | {contracts.OPERATOR}
        elif target == OUTSIDE and await self._is_large(principal, leaving, ask):
            needs = scopes
        named = ask.content.settlement.target
        resolved = frozenset({f"{named} → {target}"} if target and target not in (named, OUTSIDE) else ())
        await self._demand(principal, ask, needs=needs, wallets=[source.wallet, target], resolved=resolved)

    async def sent_out(
        self, principal: Principal, source: Side, leaving: Mapping[str, int], ask: Ask, *, is_new: bool
    ) -> bool:
        """The same for money that leaves for a chain; it says whether the caller has approved the address by a factor.

        That is demanded for one that `is_new`, too, of whoever has a factor; of others it has to wait.

        Raises: as `orders`.
        """
        confirmed = await self._withdrawals.check_sent_out(
            principal, leaving=leaving, content=ask.content, key=ask.key, proof=ask.step_up, is_new=is_new
        )
        needs: set[str] = set()
        if not source.mine:
            needs = {_WITHDRAWAL, contracts.OPERATOR}
        elif await self._is_large(principal, leaving, ask):
            needs = {_WITHDRAWAL}
        await self._demand(principal, ask, needs=needs, wallets=[source.wallet])
        return confirmed

    async def refund(self, principal: Principal, leaving: Mapping[str, int], refund: DepositRefund, ask: Ask) -> None:
        """Have a person wait for another one who sends away what is nobody's, after a factor of their own.

        Raises: as `orders`.
        """
        shown = NewChainWithdrawal(
            wallet=f"deposit {refund.deposit_id}", money=refund.money, to=refund.to, memo=refund.memo
        )
        await self._withdrawals.check_sent_out(
            principal, leaving=leaving, content=shown, key=ask.key, proof=ask.step_up, is_new=True
        )
        await self._demand(principal, ask, needs={_WITHDRAWAL, contracts.OPERATOR}, wallets=())

    async def hold(self, principal: Principal, side: Side, ask: Ask) -> None:
        """The same for placing or releasing a hold: of others' money both are postings by hand.

        Raises:
            Deferred, ApprovalEnded, TooManyApprovals, IdempotencyKeyReused.
        """
        needs = set() if side.mine else {contracts.HOLDS_WRITE, contracts.OPERATOR}
        await self._demand(principal, ask, needs=needs, wallets=[side.wallet])

    async def limits(self, principal: Principal, wallet_id: UUID, ask: Ask) -> None:
        """Have a person wait for another one, who sets the limits by approving. It never goes on.

        Raises: as `orders`.
        """
        needs = {contracts.LIMITS_WRITE, contracts.OPERATOR}
        await self._demand(principal, ask, needs=needs, wallets=[str(wallet_id)])

    async def conclude(self, connection: Connection, approval_id: UUID) -> bool:
        """Whether what was approved is to be done now, in this database transaction; see `Approvals.conclude`."""
        assert self._approvals is not None, "somebody has approved"
        return await self._approvals.conclude(connection, approval_id)

    async def _check_leaving(self, principal: Principal, leaving: Mapping[str, int], ask: Ask) -> None:
        """Go on only if the caller themselves has approved it by a factor, where that takes one."""
        part = _part(ask)
        await self._withdrawals.check(
            principal,
            leaving=leaving,
            operation=_NAMES[ask.kind],
            content=part.content,
            key=part.key,
            posted_under=part.posted_under,
            proof=ask.step_up,
        )

    async def _demand(
        self,
        principal: Principal,
        ask: Ask,
        *,
        needs: Collection[str],
        wallets: Iterable[str],
        resolved: frozenset[str] = frozenset(),
    ) -> None:
        if not needs:
            return
        assert self._approvals is not None, "where people are, there are approvals"
        assert principal.user_id is not None, "programs ask nobody"
        if set(needs) <= {_DEPOSIT, _TRANSFER} and await self._approvals.is_program(principal.user_id):
            return
        async with self._database.connection() as connection:
            owners = await store.owners(connection, [UUID(wallet) for wallet in wallets if wallet not in ("", OUTSIDE)])
        demand = Demand(
            kind=ask.kind,
            content=msgspec.to_builtins(ask.content),
            needs=frozenset(needs) | ask.scopes,
            concerns=frozenset(owners) - {principal.owner_id},
            resolved=resolved,
            key=ask.key,
            key_text=ask.key_text,
        )
        await self._approvals.demand(principal=principal, demand=demand)

    async def _is_large(
        self, principal: Principal, leaving: Mapping[str, int], ask: Ask, *, alone: bool = True
    ) -> bool:
        """Whether so much takes another person. What they see for another reason counts for no later request."""
        if not alone:
            return await self._allowance.exceeds(leaving)
        assert principal.user_id is not None, "programs ask nobody"
        part = _part(ask)
        return not await self._allowance.covers(
            principal.user_id, leaving, key=part.key, posted_under=part.posted_under
        )


def asks_nobody(order: Order, source: Side) -> bool:
    """Whether `Supervision.orders` lets it through in any case, which most requests can know for nothing."""
    return order.kind == "transfer" and source.mine


def _part(ask: Ask) -> Part:
    """What of a request is posted."""
    return ask.part or Part(content=ask.content, key=ask.key, posted_under=[ask.key])


def _by_alias(draft: Draft) -> bool:
    return draft.by_alias and not draft.unresolved


def _words(draft: Draft) -> str:
    """Where the money of an order goes whose caller has named an alias."""
    order = draft.order
    sides = f"{order.source or OUTSIDE} → {order.target or OUTSIDE}"
    return f"{order.kind} {sides} {draft.money.amount} {draft.money.asset}"
