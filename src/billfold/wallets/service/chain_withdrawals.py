"""Money that leaves a wallet for a chain: who may, and what somebody has to approve. Custody sends it."""

from __future__ import annotations

from uuid import UUID

import msgspec

from billfold.custody import Custody
from billfold.custody import errors as custody_errors
from billfold.custody.contracts import NewWithdrawal, Withdrawal
from billfold.kernel import idempotency, looks, money, paging
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.ledger import errors as ledger_errors
from billfold.wallets import contracts, domain, errors
from billfold.wallets.contracts.chain_withdrawals import ChainWithdrawal, NewChainWithdrawal, SentOut
from billfold.wallets.service.holdings import Holdings
from billfold.wallets.service.orders import Orders
from billfold.wallets.service.resolution import Resolution
from billfold.wallets.service.supervision import CHAIN_WITHDRAWAL, Ask, Supervision


class ChainWithdrawals:
    """Decides who may; custody does it."""

    def __init__(
        self,
        *,
        custody: Custody | None,
        ledger: Ledger,
        resolution: Resolution,
        orders: Orders,
        holdings: Holdings,
        supervision: Supervision,
    ) -> None:
        self._given = custody
        self._ledger = ledger
        self._resolution = resolution
        self._orders = orders
        self._holdings = holdings
        self._supervision = supervision

    @property
    def _custody(self) -> Custody:
        assert self._given is not None, "whoever serves these routes has custody, be it of no chain"
        return self._given

    async def create(
        self, *, principal: Principal, new: NewChainWithdrawal, key: str, step_up: UUID | None = None
    ) -> SentOut:
        """Take a withdrawal and hold its money with all fees.

        Raises:
            MissingScope, WalletUnknown, WalletFrozen, WalletClosed, InsufficientFunds, IdempotencyKeyReused,
            AssetUnknown, InvalidAmount, AmountTooPrecise, AmountTooLarge, AmountNotPositive
            AssetNotOnChain, AddressInvalid, AddressIsOurs, DestinationRefused, AmountBelowMinimum
            FeesUnknown, FeeAboveMaximum, AddressesUnavailable, NodeUnavailable, NodeWrong
            Deferred, ApprovalEnded, TooManyApprovals: it takes a second person.
            StepUpRequired, SecondFactorMissing: it takes a factor of the caller's; `step_up` names their approval.
        """
        principal.require(contracts.ORDER_SCOPES["withdrawal"])
        units, scale = domain.positive_units(new.money, await self._orders.assets([new.money.asset]))
        max_fee = None if new.max_fee is msgspec.UNSET else money.parse(new.max_fee, scale, pointer="/max_fee")
        side = await self._resolution.side(principal, new.wallet, new.money.asset)
        if side is None or not (side.mine or principal.is_operator):
            raise errors.WalletUnknown
        ours = _key(principal, key, "chain withdrawal", new)
        confirmed = False
        if principal.user_id is not None:
            ask = Ask(kind=CHAIN_WITHDRAWAL, content=new, key=ours, key_text=key, step_up=step_up)
            is_new = not await self._known(side.wallet, new)
            leaving = {new.money.asset: units}
            confirmed = await self._supervision.sent_out(principal, side, leaving, ask, is_new=is_new)
        if side.unopened is not None:
            raise ledger_errors.InsufficientFunds
        wanted = NewWithdrawal(
            wallet_id=UUID(side.wallet),
            owner_id=principal.owner_id,
            account_id=side.account,
            asset=new.money.asset,
            amount=units,
            address=new.to,
            memo=new.memo,
            speed=new.speed,
            max_fee=max_fee,
            confirmed=confirmed,
        )
        try:
            requested = await self._custody.withdrawals.request(new=wanted, key=ours)
        except ledger_errors.LedgerError as error:
            raise errors.in_wallet_words(error) from error
        return SentOut(withdrawal=await self._view(requested.withdrawal), replayed=requested.replayed)

    async def withdrawal(self, *, principal: Principal, withdrawal_id: UUID) -> ChainWithdrawal:
        """One from a wallet of the caller's.

        Raises:
            MissingScope, WithdrawalUnknown
        """
        principal.require(contracts.TRANSFERS_READ)
        return await self._view(await self._found(principal, withdrawal_id, anybodys=principal.sees_everybody))

    async def page(
        self, *, principal: Principal, wallet_id: UUID, cursor: str | None = None, limit: int | None = None
    ) -> paging.Page[ChainWithdrawal]:
        """Those of a wallet, the newest first.

        Raises:
            MissingScope, WalletUnknown, InvalidCursor, InvalidLimit
        """
        principal.require(contracts.TRANSFERS_READ)
        await self._holdings.check_wallet(principal, wallet_id)
        found = await self._custody.withdrawals.page(wallet_id=wallet_id, cursor=cursor, limit=limit)
        return paging.Page([await self._view(one) for one in found.items], found.next_cursor)

    async def cancel(self, *, principal: Principal, withdrawal_id: UUID) -> ChainWithdrawal:
        """Give the money back while that is possible. Again is no change.

        Raises:
            MissingScope, WithdrawalUnknown, WithdrawalTooLate
        """
        principal.require(contracts.ORDER_SCOPES["withdrawal"])
        await self._found(principal, withdrawal_id, anybodys=principal.is_operator)
        return await self._view(await self._custody.withdrawals.cancel(withdrawal_id=withdrawal_id))

    async def bump(self, *, principal: Principal, withdrawal_id: UUID, key: str) -> ChainWithdrawal:
        """Offer more for its place in a block; what that costs is held besides.

        Raises:
            MissingScope, WithdrawalUnknown, WithdrawalTooLate, InsufficientFunds, WalletFrozen, WalletClosed,
            FeesUnknown, NodeUnavailable, NodeWrong
        """
        principal.require(contracts.ORDER_SCOPES["withdrawal"])
        await self._found(principal, withdrawal_id, anybodys=principal.is_operator)
        ours = _key(principal, key, "bump a chain withdrawal", str(withdrawal_id))
        try:
            bumped = await self._custody.withdrawals.bump(withdrawal_id=withdrawal_id, key=ours)
        except ledger_errors.LedgerError as error:
            raise errors.in_wallet_words(error) from error
        return await self._view(bumped)

    async def _known(self, wallet: str, new: NewChainWithdrawal) -> bool:
        asset = await self._ledger.asset(code=new.money.asset)
        if asset.chain is None or asset.chain not in self._custody.withdrawals.chains:
            raise custody_errors.AssetNotOnChain(pointer="/money/asset")
        return await self._custody.withdrawals.knows(
            wallet_id=UUID(wallet), chain=asset.chain, address=new.to, memo=new.memo
        )

    async def _found(self, principal: Principal, withdrawal_id: UUID, *, anybodys: bool) -> Withdrawal:
        found = await self._custody.withdrawals.withdrawal(withdrawal_id=withdrawal_id)
        if found.wallet_id is None:
            # It sends a deposit back that is nobody's; whoever looks after these sees it with the deposit.
            raise custody_errors.WithdrawalUnknown
        side = await self._resolution.side(principal, str(found.wallet_id), found.asset)
        mine = side is not None and side.mine
        if not (mine or anybodys):
            raise custody_errors.WithdrawalUnknown
        looks.saw(own=mine)
        return found

    async def _view(self, one: Withdrawal) -> ChainWithdrawal:
        asset = await self._ledger.asset(code=one.asset)
        # A token's network fee is the house's, so nothing of it is shown.
        return ChainWithdrawal(
            id=one.id,
            wallet=str(one.wallet_id),
            chain=one.chain,
            money=_money(one.amount, asset.scale, one.asset),
            service_fee=_money(one.service_fee, asset.scale, one.asset),
            network_fee=_money(one.network_fee, asset.scale, one.asset),
            fee_paid=None if one.fee_paid is None else _money(one.fee_paid, asset.scale, one.asset),
            to=one.address,
            memo=one.memo,
            speed=one.speed,
            status=one.status,
            chain_tx=one.chain_tx,
            height=one.height,
            waits_until=one.waits_until,
            reason=one.reason,
            cancelling=one.cancelling,
            created_at=one.created_at,
            changed_at=one.changed_at,
        )


def _money(units: int, scale: int, asset: str) -> Money:
    return Money(money.format(units, scale), asset)


def _key(principal: Principal, text: str, operation: str, content: msgspec.Struct | str) -> idempotency.Key:
    return idempotency.key(owner=principal.owner_id, text=text, operation=operation, content=domain.content_of(content))
