"""Holds: money of a wallet that is set aside, and then leaves, in parts or wholly, or goes back."""

from __future__ import annotations

from uuid import UUID

from billfold.custody import Custody
from billfold.identity.contracts import may_be_alias
from billfold.kernel import clock, idempotency, ids, looks, paging
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.ledger import contracts as ledger
from billfold.ledger import errors as ledger_errors
from billfold.wallets import contracts, domain, errors
from billfold.wallets.contracts import Hold, HoldChange, HoldStatus, NewHold, Settlement
from billfold.wallets.domain import Side
from billfold.wallets.service import orders
from billfold.wallets.service.aliases import Aliases
from billfold.wallets.service.holdings import Holdings
from billfold.wallets.service.movements import Movements
from billfold.wallets.service.orders import Orders
from billfold.wallets.service.resolution import Resolution
from billfold.wallets.service.supervision import (
    HOLD,
    RELEASE,
    SETTLEMENT,
    Ask,
    HoldRelease,
    HoldSettlement,
    Supervision,
)


class Holds:
    """Use cases about money that is set aside."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        resolution: Resolution,
        orders: Orders,
        aliases: Aliases,
        movements: Movements,
        holdings: Holdings,
        supervision: Supervision,
        custody: Custody | None = None,
    ) -> None:
        """`custody` has holds of its own on wallets, which nobody else ends."""
        self._custody = custody
        self._ledger = ledger
        self._supervision = supervision
        self._resolution = resolution
        self._orders = orders
        self._aliases = aliases
        self._movements = movements
        self._holdings = holdings

    async def place(self, *, principal: Principal, new: NewHold, key: str) -> HoldChange:
        """Set money of a wallet aside.

        Raises:
            MissingScope, WalletUnknown, WalletFrozen, WalletClosed, InsufficientFunds, ExpiryInPast, InvalidInstant,
            AssetUnknown, InvalidAmount, AmountTooPrecise, AmountTooLarge, AmountNotPositive, IdempotencyKeyReused
            Deferred, ApprovalEnded, TooManyApprovals: it takes a second person.
        """
        principal.require(contracts.HOLDS_WRITE)
        units, _ = domain.positive_units(new.money, await self._orders.assets([new.money.asset]))
        expires_at = None if new.expires_at is None else clock.parse(new.expires_at, pointer="/expires_at")
        ids.parse(new.wallet, pointer="/wallet")
        side = await self._resolution.side(principal, new.wallet, new.money.asset)
        if side is None or not (side.mine or principal.is_operator):
            raise errors.WalletUnknown(pointer="/wallet")
        hold = ledger.NewHold(
            account=side.account,
            amount=units,
            asset=new.money.asset,
            expires_at=expires_at,
            reference=new.reference,
            description=new.description,
        )
        ours = _key(principal, key, "hold", new)
        if principal.user_id is not None:
            await self._supervision.hold(principal, side, Ask(kind=HOLD, content=new, key=ours, key_text=key))
        try:
            if side.unopened is None:
                change = await self._ledger.place_hold(key=ours, hold=hold)
            else:
                refusal = await self._ledger.refusal_of_hold(hold=hold, unopened=orders.unopened(side))
                change = await self._ledger.refuse(key=ours, refusal=refusal)
        except ledger_errors.LedgerError as error:
            raise errors.in_wallet_words(error) from error
        return await self._seen(principal, change)

    async def hold(self, *, principal: Principal, hold_id: UUID) -> Hold:
        """A hold in one of the caller's wallets.

        Raises:
            MissingScope, HoldUnknown
        """
        principal.require(contracts.HOLDS_READ)
        found = await self._ledger.hold(hold_id=hold_id)
        side = await self._side(principal, found, any_wallet=principal.sees_everybody)
        looks.saw(own=side.mine)
        return await self._view(found, side)

    async def holds(
        self,
        *,
        principal: Principal,
        wallet: str | None = None,
        status: HoldStatus | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> paging.Page[Hold]:
        """Holds in the caller's wallets, the newest first.

        Raises:
            MissingScope, WalletUnknown, WalletNeeded, InvalidId, InvalidCursor, InvalidLimit
        """
        principal.require(contracts.HOLDS_READ)
        size = paging.check_limit(limit)
        after = None if cursor is None else paging.decode(cursor, UUID)
        if principal.sees_everybody and wallet is None:
            found = await self._ledger.holds_of_all(status=status, after=after, limit=size + 1)
            accounts = await self._resolution.holders(principal, {hold.account for hold in found})
        else:
            accounts = await self._holdings.readable(principal, wallet=wallet, asset=None)
            found = await self._ledger.holds(account_ids=list(accounts), status=status, after=after, limit=size + 1)
        items = [await self._view(hold, accounts[hold.account]) for hold in found[:size]]
        return paging.Page(items, paging.encode(items[-1].id) if len(found) > size else None)

    async def settle(
        self,
        *,
        principal: Principal,
        hold_id: UUID,
        settlement: Settlement,
        key: str,
        step_up: UUID | None = None,
    ) -> HoldChange:
        """Move held money, `settlement.money` or all that is left, to a wallet or outside.

        Raises:
            MissingScope, HoldUnknown, HoldEnded, HoldOfWithdrawal, SettlementExceedsHold,
            WalletUnknown, WalletFrozen, WalletClosed, SameWallet, AssetMismatch, AliasUnknown, AliasHasNoWallet,
            PayeeMismatch, PayeeNotAsked, IdempotencyKeyReused,
            and whatever is wrong with the amount or the text of an alias.
            Deferred, ApprovalEnded, TooManyApprovals: it takes a second person.
            StepUpRequired, SecondFactorMissing: it takes a factor of the caller's.
        """
        principal.require(contracts.HOLDS_WRITE)
        # A hold is no way around the scope for what its money does in the end.
        principal.require(
            contracts.ORDER_SCOPES["withdrawal" if settlement.target == contracts.OUTSIDE else "transfer"]
        )
        found = await self._ledger.hold(hold_id=hold_id)
        source = await self._side(principal, found, any_wallet=principal.is_operator)
        await self._check_free(found)
        amount = None
        if settlement.money is not None:
            amount, _ = domain.positive_units(settlement.money, await self._orders.assets([settlement.money.asset]))
            if settlement.money.asset != found.asset:
                raise ledger_errors.AssetMismatch(pointer="/money/asset")
        ours = _key(principal, key, "settle", str(hold_id), settlement)
        target = await self._target(principal, settlement, found.asset, ours)
        if principal.user_id is not None:
            leaving = {found.asset: found.remaining if amount is None else amount}
            content = HoldSettlement(hold_id=hold_id, settlement=settlement)
            ask = Ask(kind=SETTLEMENT, content=content, key=ours, key_text=key, step_up=step_up)
            await self._supervision.settlement(principal, source, target.wallet, leaving, ask)
        release_rest = settlement.release_rest
        try:
            if target.unopened is not None and not await self._ledger.answered(keys=[ours]):
                refusal = await self._ledger.refusal_of_settlement(
                    hold_id=hold_id, unopened=orders.unopened(target), amount=amount, release_rest=release_rest
                )
                if refusal is not None:
                    return await self._seen(principal, await self._ledger.refuse(key=ours, refusal=refusal))
                target = (await self._resolution.open_sides(principal, [target]))[target.account]
            change = await self._ledger.settle_hold(
                key=ours, hold_id=hold_id, credit_account=target.account, amount=amount, release_rest=release_rest
            )
        except ledger_errors.LedgerError as error:
            raise errors.in_wallet_words(error) from error
        return await self._seen(principal, change)

    async def release(self, *, principal: Principal, hold_id: UUID, key: str) -> HoldChange:
        """Give what is left of a hold back.

        Raises:
            MissingScope, HoldUnknown, HoldEnded, HoldOfWithdrawal, IdempotencyKeyReused
            Deferred, ApprovalEnded, TooManyApprovals: it takes a second person.
        """
        principal.require(contracts.HOLDS_WRITE)
        held = await self._ledger.hold(hold_id=hold_id)
        side = await self._side(principal, held, any_wallet=principal.is_operator)
        await self._check_free(held)
        ours = _key(principal, key, "release", str(hold_id))
        if principal.user_id is not None:
            content = HoldRelease(hold_id=hold_id)
            await self._supervision.hold(principal, side, Ask(kind=RELEASE, content=content, key=ours, key_text=key))
        try:
            change = await self._ledger.release_hold(key=ours, hold_id=hold_id)
        except ledger_errors.LedgerError as error:
            raise errors.in_wallet_words(error) from error
        return await self._seen(principal, change)

    async def _check_free(self, hold: ledger.Hold) -> None:
        """Go on only if the hold is no withdrawal's: who ended that could spend the money a second time."""
        if self._custody is not None and await self._custody.withdrawals.has_hold(hold=hold):
            raise errors.HoldOfWithdrawal

    async def _target(self, principal: Principal, settlement: Settlement, asset: str, key: idempotency.Key) -> Side:
        target = settlement.target
        if settlement.payee is not None and not may_be_alias(target):
            raise errors.PayeeNotAsked(pointer="/payee")
        if target == contracts.OUTSIDE:
            if not await self._ledger.answered(keys=[key]):
                self._orders.check_crossing(principal, await self._ledger.asset(code=asset))
            return await self._resolution.outside(asset)
        if may_be_alias(target):
            if await self._ledger.answered(keys=[key]):
                return orders.UNKNOWN_TARGET  # The ledger repeats its answer, wherever the alias leads by now.
            target = await self._aliases.target(principal, target, asset, payee=settlement.payee)
        ids.parse(target, pointer="/to")
        side = await self._resolution.side(principal, target, asset)
        if side is None:
            raise errors.WalletUnknown(pointer="/to")
        return side

    async def _side(self, principal: Principal, hold: ledger.Hold, *, any_wallet: bool) -> Side:
        """The wallet that a hold is in; one of the caller's, unless it may be `any_wallet`.

        Raises:
            HoldUnknown: it is not the caller's.
        """
        side = (await self._resolution.holders(principal, [hold.account])).get(hold.account)
        if side is None or not (side.mine or any_wallet):
            raise ledger_errors.HoldUnknown
        return side

    async def _view(self, hold: ledger.Hold, side: Side) -> Hold:
        asset = await self._ledger.asset(code=hold.asset)
        return domain.hold(hold, wallet=side.wallet, scale=asset.scale)

    async def _seen(self, principal: Principal, change: ledger.HoldChange) -> HoldChange:
        side = await self._side(principal, change.hold, any_wallet=principal.is_operator)
        hold = await self._view(change.hold, side)
        transfer = None if change.transfer is None else await self._movements.seen(principal, change.transfer)
        return HoldChange(hold=hold, transfer=transfer, replayed=change.replayed)


def _key(principal: Principal, text: str, operation: str, *content: object) -> idempotency.Key:
    return idempotency.key(
        owner=principal.owner_id, text=text, operation=operation, content=domain.content_of(*content)
    )
