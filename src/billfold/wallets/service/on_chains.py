"""Money on chains, as its owner sees it: addresses to show, what has arrived, and why something has not."""

from __future__ import annotations

from uuid import UUID

from billfold.custody import Custody
from billfold.custody import errors as custody_errors
from billfold.custody.contracts import Deposit, DepositAddress, Explanation, HolderProof, Sender
from billfold.kernel import idempotency, money, paging
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.ledger import errors as ledger_errors
from billfold.ledger.errors import LedgerError
from billfold.platform.postgres.database import Database
from billfold.wallets import contracts, domain, errors
from billfold.wallets.service.holdings import Holdings
from billfold.wallets.service.supervision import DEPOSIT_REFUND, Ask, DepositRefund, Supervision
from billfold.wallets.store import wallets as store


class OnChains:
    """Decides who may; custody does it."""

    def __init__(
        self,
        *,
        custody: Custody | None,
        ledger: Ledger,
        holdings: Holdings,
        supervision: Supervision,
        database: Database,
    ) -> None:
        self._given = custody
        self._ledger = ledger
        self._holdings = holdings
        self._supervision = supervision
        self._database = database

    @property
    def _custody(self) -> Custody:
        assert self._given is not None, "whoever serves these routes has custody, be it of no chain"
        return self._given

    async def addresses(self, *, principal: Principal, wallet_id: UUID) -> list[DepositAddress]:
        """Every address of a wallet, those that are shown first.

        Raises:
            MissingScope, WalletUnknown
        """
        principal.require(contracts.READ)
        await self._holdings.check_wallet(principal, wallet_id)
        return await self._custody.addresses.of_wallet(wallet_id=wallet_id)

    async def issue(self, *, principal: Principal, wallet_id: UUID, chain: str, another: bool) -> DepositAddress:
        """The address that a wallet shows on a chain, made at the first time; or `another`, to show from now on.

        Raises:
            MissingScope, WalletUnknown, WalletClosed
            ChainUnknown, AddressesUnavailable
            TooManyAddresses: the wallet has had so many that it gets no more.
        """
        principal.require(contracts.WRITE)
        await self._check_open(principal, wallet_id)
        if another:
            return await self._custody.addresses.rotate(chain=chain, wallet_id=wallet_id)
        return (await self._custody.addresses.issue(chain=chain, wallet_ids=[wallet_id]))[0]

    async def drawn(self, *, principal: Principal, wallet_id: UUID, chain: str) -> bytes:
        """The address that a wallet shows on a chain as a QR code, in SVG.

        Raises:
            MissingScope, WalletUnknown
            AddressUnknown: it has none there.
        """
        for address in await self.addresses(principal=principal, wallet_id=wallet_id):
            if address.chain == chain and address.current:
                return self._custody.addresses.drawn(address)
        raise errors.AddressUnknown

    async def deposits(
        self, *, principal: Principal, wallet_id: UUID, cursor: str | None = None, limit: int | None = None
    ) -> paging.Page[Deposit]:
        """What has arrived for a wallet, the newest first.

        Raises:
            MissingScope, WalletUnknown, InvalidCursor, InvalidLimit
        """
        principal.require(contracts.TRANSFERS_READ)
        await self._holdings.check_wallet(principal, wallet_id)
        return await self._custody.deposits.page(wallet_id=wallet_id, cursor=cursor, limit=limit)

    async def deposit(self, *, principal: Principal, deposit_id: UUID) -> Deposit:
        """One of the caller's deposits.

        Raises:
            MissingScope, DepositUnknown
        """
        principal.require(contracts.TRANSFERS_READ)
        found = await self._custody.deposits.deposit(deposit_id=deposit_id)
        if not principal.sees_everybody:
            own = set() if found.wallet_id is None else await self._own(principal, {found.wallet_id})
            if not own:
                raise custody_errors.DepositUnknown
        return found

    async def explain(self, *, principal: Principal, chain_tx: str) -> Explanation:
        """Why the money of a transaction is where it is, as far as it concerns the caller.

        Raises:
            MissingScope
        """
        principal.require(contracts.TRANSFERS_READ)
        own = None if principal.sees_everybody else lambda wallets: self._own(principal, wallets)
        return await self._custody.explaining.explain(chain_tx=chain_tx, own=own)

    async def unmatched(
        self, *, principal: Principal, cursor: str | None = None, limit: int | None = None
    ) -> paging.Page[Deposit]:
        """What has arrived for nobody known, the newest first.

        Raises:
            MissingScope, InvalidCursor, InvalidLimit
        """
        principal.require(contracts.OPERATOR)
        return await self._custody.unmatched.page(cursor=cursor, limit=limit)

    async def assign(self, *, principal: Principal, deposit_id: UUID, wallet_id: UUID, reason: str) -> Deposit:
        """Give what has arrived for nobody known to a wallet; again is no change.

        Raises:
            MissingScope, WalletUnknown, WalletClosed, DepositUnknown, DepositNotUnmatched
        """
        principal.require(contracts.OPERATOR)
        principal.require(contracts.ORDER_SCOPES["deposit"])
        await self._check_open(principal, wallet_id)
        try:
            return await self._custody.unmatched.assign(
                deposit_id=deposit_id, wallet_id=wallet_id, claimed_by=principal.owner_id, reason=reason
            )
        except LedgerError as error:
            raise errors.in_wallet_words(error) from error

    async def refund(
        self,
        *,
        principal: Principal,
        deposit_id: UUID,
        to: str,
        memo: str | None,
        reason: str,
        key: str,
        step_up: UUID | None = None,
    ) -> tuple[Deposit, bool]:
        """Send what has arrived for nobody known to an address, less the network fee; whether `key` had done so before.

        Raises:
            MissingScope, DepositUnknown, DepositNotUnmatched, DepositNotReleasable, IdempotencyKeyReused
            WithdrawalsStopped
            AddressInvalid, AddressIsOurs, DestinationRefused, AmountBelowMinimum
            FeesUnknown, AddressesUnavailable, NodeUnavailable, NodeWrong
            Deferred, ApprovalEnded, TooManyApprovals: a person asks another one.
            StepUpRequired: it takes a factor of the caller's; `step_up` names their approval.
        """
        principal.require(contracts.OPERATOR)
        principal.require(contracts.ORDER_SCOPES["withdrawal"])
        deposit = await self._custody.deposits.deposit(deposit_id=deposit_id)
        refund = DepositRefund(deposit_id=deposit_id, money=deposit.money, to=to, memo=memo, reason=reason)
        content = domain.content_of(refund)
        ours = idempotency.key(owner=principal.owner_id, text=key, operation="refund a deposit", content=content)
        if principal.user_id is not None:
            scale = (await self._ledger.asset(code=deposit.money.asset)).scale
            leaving = {deposit.money.asset: money.parse(deposit.money.amount, scale)}
            ask = Ask(kind=DEPOSIT_REFUND, content=refund, key=ours, key_text=key, step_up=step_up)
            await self._supervision.refund(principal, leaving, refund, ask)
        sender = Sender(address=to, memo=memo, asked_by=principal.owner_id, reason=reason)
        try:
            again = await self._custody.withdrawals.refund(deposit_id=deposit_id, sender=sender, key=ours)
        except ledger_errors.LedgerError as error:
            raise errors.in_wallet_words(error) from error
        return await self._custody.deposits.deposit(deposit_id=deposit_id), again

    async def bump_refund(self, *, principal: Principal, deposit_id: UUID, key: str) -> Deposit:
        """Offer more for the place in a block of what sends a deposit back, at the house's cost.

        Raises:
            MissingScope, DepositUnknown, DepositNotRefunded, WithdrawalTooLate
            FeesUnknown, NodeUnavailable, NodeWrong
        """
        principal.require(contracts.OPERATOR)
        principal.require(contracts.ORDER_SCOPES["withdrawal"])
        await self._custody.deposits.deposit(deposit_id=deposit_id)
        content = str(deposit_id).encode()
        ours = idempotency.key(owner=principal.owner_id, text=key, operation="bump a refund", content=content)
        await self._custody.withdrawals.bump_refund(deposit_id=deposit_id, key=ours)
        return await self._custody.deposits.deposit(deposit_id=deposit_id)

    async def reserve_proof(self, *, principal: Principal, wallet_id: UUID, snapshot_id: UUID | None) -> HolderProof:
        """That what is owed to a wallet was counted in a proof of reserves; in the newest if none is named.

        Raises:
            MissingScope, WalletUnknown, ReservesUnknown
        """
        principal.require(contracts.READ)
        await self._holdings.check_wallet(principal, wallet_id)
        return await self._custody.reserves.proof(wallet_id=wallet_id, snapshot_id=snapshot_id)

    async def _check_open(self, principal: Principal, wallet_id: UUID) -> None:
        owner = None if principal.is_operator else principal.owner_id
        async with self._database.connection() as connection:
            wallet = await store.get(connection, wallet_id, owner=owner)
        if wallet is None:
            raise errors.WalletUnknown
        if wallet.status == "closed":
            raise errors.WalletClosed

    async def _own(self, principal: Principal, wallets: set[UUID]) -> set[UUID]:
        async with self._database.connection() as connection:
            return await store.owned(connection, owner=principal.owner_id, wallet_ids=wallets)
