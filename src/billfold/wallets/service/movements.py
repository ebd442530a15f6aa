"""Money that moves, one request at a time: transfers, deposits, withdrawals and reversals. Many at once are in `bulk`.

The order of steps is always the same: what the order says by itself, then whose wallets it names, then the ledger,
which alone decides about money, and answers a repeated request as it answered the first.
"""

from __future__ import annotations

from uuid import UUID

from billfold.kernel import idempotency, looks
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.ledger import contracts as ledger
from billfold.ledger import errors as ledger_errors
from billfold.wallets import contracts, domain, errors
from billfold.wallets.contracts import Moved, Order, Transfer
from billfold.wallets.domain import Draft, Side
from billfold.wallets.service import orders
from billfold.wallets.service.orders import Orders
from billfold.wallets.service.resolution import Resolution
from billfold.wallets.service.supervision import MOVEMENT, REVERSAL, Ask, Reversal, Supervision, asks_nobody


class Movements:
    """Use cases that move money between wallets, and in and out of them."""

    def __init__(self, *, ledger: Ledger, resolution: Resolution, orders: Orders, supervision: Supervision) -> None:
        self._ledger = ledger
        self._supervision = supervision
        self._resolution = resolution
        self._orders = orders

    async def move(self, *, principal: Principal, order: Order, key: str, step_up: UUID | None = None) -> Moved:
        """Post one transfer, deposit or withdrawal.

        Raises:
            MissingScope, WalletUnknown, WalletFrozen, WalletClosed, InsufficientFunds, IdempotencyKeyReused,
            AliasUnknown, AliasHasNoWallet, PayeeMismatch, and whatever `Orders.drafted` finds wrong with the order.
            Deferred, ApprovalEnded, TooManyApprovals: it takes a second person.
            StepUpRequired, SecondFactorMissing: it takes a factor of the caller's; `step_up` names their approval.
        """
        draft, ours, sides = await self._prepared(principal, order, key, step_up)
        all_sides = [sides]
        posting = await self._ledger.post(
            key=ours, transfers=await self._orders.transfers(principal, [draft], all_sides, [ours])
        )
        if draft.by_alias and posting.replayed:
            all_sides = await self._orders.sides_then(principal, [draft], all_sides, posting.results)
        moved = orders.outcome(posting.results[0], draft, all_sides[0], principal=principal, replayed=posting.replayed)
        if isinstance(moved, Moved):
            return moved
        raise moved

    async def check(self, *, principal: Principal, order: Order, key: str, step_up: UUID | None = None) -> None:
        """Pass if nothing but the ledger could refuse to move this now.

        Raises: as `move`, without what only the ledger knows.
        """
        await self._prepared(principal, order, key, step_up)

    async def _prepared(
        self, principal: Principal, order: Order, key: str, step_up: UUID | None
    ) -> tuple[Draft, idempotency.Key, tuple[Side, Side]]:
        """All that comes before the ledger is asked."""
        principal.require(contracts.ORDER_SCOPES[order.kind])
        draft = self._orders.drafted(principal, order, await self._orders.assets([order.money.asset]))
        ours = orders.key(principal, key, order)
        if draft.by_alias:
            draft = await self._orders.resolved(principal, draft, ours)
        (sides,) = await self._orders.sides(principal, [draft])
        if not draft.unresolved:
            _check_known(sides, order)
        if principal.user_id is not None and not asks_nobody(order, sides[0]):
            ask = Ask(kind=MOVEMENT, content=order, key=ours, key_text=key, step_up=step_up)
            await self._supervision.orders(principal, [draft], [sides], ask)
        return draft, ours, sides

    async def transfer(self, *, principal: Principal, transfer_id: UUID) -> Transfer:
        """A transfer from or to a wallet of the caller's.

        Raises:
            MissingScope, TransferUnknown
        """
        principal.require(contracts.TRANSFERS_READ)
        return await self.seen(principal, await self._ledger.transfer(transfer_id=transfer_id))

    async def reverse(
        self,
        *,
        principal: Principal,
        transfer_id: UUID,
        money: Money | None,
        key: str,
        step_up: UUID | None = None,
    ) -> Moved:
        """Send a transfer back, or a part of it. Only whoever got the money can, or an operator.

        Raises:
            MissingScope, TransferUnknown, ReversalNotAllowed, AssetMismatch, TransferNotReversible,
            ReversalExceedsTransfer, and whatever refuses a transfer.
            Deferred, ApprovalEnded, TooManyApprovals: it takes a second person.
            StepUpRequired, SecondFactorMissing: it takes a factor of the caller's; `step_up` names their approval.
        """
        principal.require(contracts.ORDER_SCOPES["transfer"])
        original = await self._ledger.transfer(transfer_id=transfer_id)
        content = Reversal(transfer_id=transfer_id, money=money)
        await self._check_may_reverse(principal, original, await self.seen(principal, original))
        amount = None
        if money is not None:
            amount, _ = domain.positive_units(money, await self._orders.assets([money.asset]))
            if money.asset != original.asset:
                raise ledger_errors.AssetMismatch(pointer="/money/asset")
        ours = idempotency.key(
            owner=principal.owner_id,
            text=key,
            operation="reverse",
            content=domain.content_of(str(transfer_id), money),
        )
        if principal.user_id is not None:
            ask = Ask(kind=REVERSAL, content=content, key=ours, key_text=key, step_up=step_up)
            await self._ask_for_reversal(principal, original, amount, ask)
        try:
            posting = await self._ledger.reverse(key=ours, transfer_id=transfer_id, amount=amount)
            reversal = posting.single()
        except ledger_errors.LedgerError as error:
            raise errors.in_wallet_words(error) from error
        return Moved(await self.seen(principal, reversal), posting.replayed)

    async def _ask_for_reversal(
        self, principal: Principal, original: ledger.Transfer, amount: int | None, ask: Ask
    ) -> None:
        holders = await self._resolution.holders(principal, (original.debit_account, original.credit_account))
        await self._supervision.reversal(
            principal,
            holders.get(original.debit_account),
            holders.get(original.credit_account),
            {original.asset: original.amount if amount is None else amount},
            ask,
        )

    async def _check_may_reverse(self, principal: Principal, original: ledger.Transfer, seen: Transfer) -> None:
        """Money is given back by whoever got it.

        What went outside comes back as a deposit does, and what came from there goes back as a withdrawal does: a
        reversal is no way around their scopes.
        """
        if await self._is_of_a_chain(original):
            raise errors.ReversalNotAllowed("What has come or gone on a chain can't be sent back here: withdraw it.")
        if principal.is_operator:
            return
        # Whoever sees everybody's transfers has no part in most of them.
        ours = original.debit_account if seen.target == contracts.OUTSIDE else original.credit_account
        holder = (await self._resolution.holders(principal, [ours])).get(ours)
        if holder is None or not holder.mine:
            raise errors.ReversalNotAllowed
        if seen.target == contracts.OUTSIDE:
            principal.require(contracts.ORDER_SCOPES["deposit"])
        if seen.source == contracts.OUTSIDE:
            principal.require(contracts.ORDER_SCOPES["withdrawal"])

    async def _is_of_a_chain(self, original: ledger.Transfer) -> bool:
        """Whether it says what a chain did, which no entry of ours undoes."""
        sides = await self._ledger.accounts(ids=[original.debit_account, original.credit_account])
        return any(side.kind in {"omnibus", "suspense"} for side in sides)

    async def seen(self, principal: Principal, posted: ledger.Transfer) -> Transfer:
        """The transfer in the words of wallets, for those who hold a side of it.

        Raises:
            TransferUnknown: the caller does not.
        """
        holders = await self._resolution.holders(principal, (posted.debit_account, posted.credit_account))
        if not principal.sees_everybody and not any(side.mine for side in holders.values()):
            raise ledger_errors.TransferUnknown
        # Whoever sees everybody's things is shown the balances of both sides.
        looks.saw(own=all(side.mine for side in holders.values()))
        outside = await self._resolution.outside(posted.asset)
        asset = await self._ledger.asset(code=posted.asset)
        return domain.transfer(
            posted,
            holders.get(posted.debit_account, outside),
            holders.get(posted.credit_account, outside),
            scale=asset.scale,
            all_seen=principal.sees_everybody,
        )


def _check_known(sides: tuple[Side, Side], order: Order) -> None:
    """Go on only if both wallets are there, and the caller may touch them in this way.

    Raises:
        WalletUnknown
    """
    if sides[0] is orders.UNKNOWN_SOURCE:
        raise errors.WalletUnknown(pointer="/from" if order.kind == "transfer" else None)
    if sides[1] is orders.UNKNOWN_TARGET:
        raise errors.WalletUnknown(pointer="/to" if order.kind == "transfer" else None)
