"""The wallets themselves: creating, finding, renaming, credit limits, freezing and closing.

Every change is one database transaction in which the wallet's row is locked first: the change, what it means for the
wallet's accounts in the ledger, and its event.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from billfold.kernel import idempotency, ids, looks, money, paging
from billfold.kernel.clock import Clock
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.ledger import errors as ledger_errors
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection, Database
from billfold.wallets import contracts, domain, errors, events
from billfold.wallets.contracts import NewWallet, Wallet, WalletChange, WalletStatus
from billfold.wallets.service.resolution import Resolution
from billfold.wallets.service.supervision import LIMITS, Ask, Supervision, WalletLimits
from billfold.wallets.store import accounts as account_store
from billfold.wallets.store import departures
from billfold.wallets.store import wallets as store
from billfold.wallets.store.wallets import WalletQuery


class Registry:
    """Use cases about wallets, not about the money in them."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        resolution: Resolution,
        clock: Clock,
        supervision: Supervision,
    ) -> None:
        self._supervision = supervision
        self._database = database
        self._ledger = ledger
        self._resolution = resolution
        self._clock = clock

    async def create(self, *, principal: Principal, new: NewWallet) -> tuple[Wallet, bool]:
        """A new wallet of the caller's, or the one that was created so before; and whether it is new.

        Raises:
            MissingScope
            ExternalIdReused: the one with this external_id was created with other content.
            OwnerDeparted: the account was closed meanwhile.
        """
        principal.require(contracts.WRITE)
        owner = principal.owner_id
        wallet_id = ids.new()
        digest = domain.created_with(new)
        async with self._database.transaction() as connection:
            if not await departures.may_create(connection, owner):
                raise errors.OwnerDeparted
            added = await store.insert(
                connection,
                wallet_id=wallet_id,
                owner=owner,
                new=new,
                created_with=digest,
                now=self._clock.now(),
            )
            if not added:
                assert new.external_id is not None, "nothing else can be in the way"
                wallet_id, before = await store.created_with(connection, owner=owner, external_id=new.external_id)
                if before != digest:
                    raise errors.ExternalIdReused(pointer="/external_id")
            wallet = await self._get(connection, principal, wallet_id)
            if added:
                await self._tell(connection, events.CREATED, wallet)
        return wallet, added

    async def wallet(self, *, principal: Principal, wallet_id: UUID) -> Wallet:
        """One of the caller's wallets.

        Raises:
            MissingScope, WalletUnknown
        """
        principal.require(contracts.READ)
        async with self._database.connection() as connection:
            found = await self._get(connection, principal, wallet_id)
        looks.saw(own=found.owner_id == str(principal.owner_id))
        return found

    async def wallets(
        self,
        *,
        principal: Principal,
        external_id: str | None = None,
        status: WalletStatus | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> paging.Page[Wallet]:
        """The caller's wallets, the newest first.

        Raises:
            MissingScope, InvalidCursor, InvalidLimit
        """
        principal.require(contracts.READ)
        size = paging.check_limit(limit)
        query = WalletQuery(
            owner=None if principal.sees_everybody else principal.owner_id,
            external_id=external_id,
            status=status,
            before=None if cursor is None else paging.decode(cursor, UUID),
        )
        async with self._database.connection() as connection:
            found = await store.page(connection, query, limit=size + 1)
        return paging.cut(found, size, place=lambda wallet: wallet.id)

    async def update(self, *, principal: Principal, wallet_id: UUID, change: WalletChange) -> Wallet:
        """Change what is given.

        Raises:
            MissingScope, WalletUnknown
            WalletClosed: it can't be changed any more.
        """
        principal.require(contracts.WRITE)
        async with self._locked(principal, wallet_id) as (connection, before):
            if before.status == "closed":
                raise errors.WalletClosed
            await store.change(connection, wallet_id, change)
            wallet = await self._get(connection, principal, wallet_id)
            if wallet != before:
                await self._tell(connection, events.UPDATED, wallet, before=before)
        return wallet

    async def limit(self, *, principal: Principal, wallet_id: UUID, limits: Sequence[Money]) -> Wallet:
        """Say how far a wallet may go below zero, in each of these assets. That is an operator's to say.

        Raises:
            MissingScope, WalletUnknown
            WalletClosed: it can't be changed any more.
            CreditLimitNegative, CreditLimitRepeated, AssetUnknown, InvalidAmount, AmountTooPrecise, AmountTooLarge: a
                limit is wrong.
            InsufficientFunds: more than the new limit has been used already.
            Deferred, TooManyApprovals: a person needs another one.
        """
        principal.require(contracts.LIMITS_WRITE)
        principal.require(contracts.OPERATOR)
        if principal.user_id is not None:
            await self._floors(limits)
            async with self._locked(principal, wallet_id) as (_, before):
                if before.status == "closed":
                    raise errors.WalletClosed
            content = WalletLimits(wallet=wallet_id, credit_limits=limits)
            key = idempotency.key_of_content(
                owner=principal.owner_id, operation=LIMITS, content=domain.content_of(str(wallet_id), limits)
            )
            await self._supervision.limits(
                principal, wallet_id, Ask(kind=LIMITS, content=content, key=key, key_text="")
            )
        return await self.set_limits(principal=principal, wallet_id=wallet_id, limits=limits)

    async def set_limits(
        self, *, principal: Principal, wallet_id: UUID, limits: Sequence[Money], approval_id: UUID | None = None
    ) -> Wallet:
        """Set them, if nobody has to be asked any more; what was approved once is set once.

        Raises: as `limit`.
        """
        floors = await self._floors(limits)
        async with self._locked(principal, wallet_id) as (connection, before):
            if approval_id is not None and not await self._supervision.conclude(connection, approval_id):
                return before
            if before.status == "closed":
                raise errors.WalletClosed
            await self._set_floors(connection, wallet_id, floors)
            wallet = await self._get(connection, principal, wallet_id)
            await self._tell(connection, events.UPDATED, wallet, credit_limits=limits)
        return wallet

    async def _set_floors(self, connection: Connection, wallet_id: UUID, floors: Mapping[str, int]) -> None:
        accounts = await self._resolution.open({(wallet_id, asset) for asset in floors}, transaction=connection)
        by_account = {accounts[wallet_id, asset]: floor for asset, floor in floors.items()}
        # In the order in which postings lock accounts, so that neither can wait for the other in a circle.
        for account_id in sorted(by_account):
            await self._ledger.set_floor(account_id=account_id, floor=by_account[account_id], transaction=connection)

    async def freeze(self, *, principal: Principal, wallet_id: UUID) -> Wallet:
        """Let nothing enter or leave the wallet. A frozen one stays so.

        Raises:
            MissingScope, WalletUnknown, WalletClosed
        """
        principal.require(contracts.WRITE)
        return await self._set_status(principal, wallet_id, "frozen", events.FROZEN)

    async def freeze_for_house(self, connection: Connection, wallet_id: UUID) -> None:
        """Freeze an open wallet in the caller's database transaction: a chain has taken back what it was credited."""
        wallet = await store.get(connection, wallet_id, owner=None, lock=True)
        if wallet is not None and wallet.status == "open":
            await self._put_status(connection, wallet, "frozen", events.FROZEN)

    async def unfreeze(self, *, principal: Principal, wallet_id: UUID) -> Wallet:
        """Open a frozen wallet again, which only an operator can. An open one stays so.

        Raises:
            MissingScope, WalletUnknown, WalletClosed
        """
        principal.require(contracts.WRITE)
        principal.require(contracts.OPERATOR)
        return await self._set_status(principal, wallet_id, "open", events.UNFROZEN)

    async def close(self, *, principal: Principal, wallet_id: UUID) -> Wallet:
        """Close an empty wallet for ever. A closed one stays so.

        Raises:
            MissingScope, WalletUnknown
            WalletFrozen: it has to be unfrozen first.
            WalletNotEmpty: money or holds are left; its detail says where.
        """
        principal.require(contracts.WRITE)
        try:
            return await self._set_status(principal, wallet_id, "closed", events.CLOSED)
        except ledger_errors.AccountNotEmpty:
            raise errors.WalletNotEmpty(await self._what_is_left(wallet_id)) from None

    async def _set_status(
        self, principal: Principal, wallet_id: UUID, status: WalletStatus, kind: events.WalletEventType
    ) -> Wallet:
        async with self._locked(principal, wallet_id) as (connection, before):
            if before.status == status:
                return before
            if before.status == "closed":
                raise errors.WalletClosed
            if before.status == "frozen" and status == "closed":
                raise errors.WalletFrozen("The wallet is frozen: it has to be unfrozen before it can be closed.")
            return await self._put_status(connection, before, status, kind)

    async def _put_status(
        self, connection: Connection, before: Wallet, status: WalletStatus, kind: events.WalletEventType
    ) -> Wallet:
        wallet_id = UUID(before.id)
        await store.set_status(connection, wallet_id, status)
        # The ledger checks the status under the same row lock: whoever posts after this sees it.
        await self._ledger.set_status(
            account_ids=await _accounts(connection, wallet_id), status=status, transaction=connection
        )
        wallet = await store.get(connection, wallet_id, owner=None)
        assert wallet is not None, "wallets are never deleted"
        await self._tell(connection, kind, wallet, before=before)
        return wallet

    async def _what_is_left(self, wallet_id: UUID) -> str:
        async with self._database.connection() as connection:
            accounts = await _accounts(connection, wallet_id)
        found = await self._ledger.accounts(ids=accounts)
        return domain.what_is_left(found, await self._ledger.assets())

    async def _floors(self, limits: Sequence[Money]) -> dict[str, int]:
        _check_assets_differ(limits)
        return {limit.asset: await self._floor(limit, place) for place, limit in enumerate(limits)}

    async def _floor(self, limit: Money, place: int) -> int:
        pointer = f"/credit_limits/{place}"
        try:
            asset = await self._ledger.asset(code=limit.asset)
        except ledger_errors.AssetUnknown:
            raise ledger_errors.AssetUnknown.named(limit.asset, pointer=f"{pointer}/asset") from None
        units = money.parse(limit.amount, asset.scale, pointer=f"{pointer}/amount")
        if units < 0:
            raise errors.CreditLimitNegative(pointer=f"{pointer}/amount")
        return -units

    @asynccontextmanager
    async def _locked(self, principal: Principal, wallet_id: UUID) -> AsyncIterator[tuple[Connection, Wallet]]:
        """The wallet, unchanging but by us until the block ends, which commits."""
        async with self._database.transaction() as connection:
            yield connection, await self._get(connection, principal, wallet_id, lock=True)

    async def _get(
        self, connection: Connection, principal: Principal, wallet_id: UUID, *, lock: bool = False
    ) -> Wallet:
        # Whoever locks a wallet is about to change it; others are only looked at.
        anybodys = principal.is_operator if lock else principal.sees_everybody
        owner = None if anybodys else principal.owner_id
        found = await store.get(connection, wallet_id, owner=owner, lock=lock)
        if found is None:
            raise errors.WalletUnknown
        return found

    async def _tell(
        self,
        connection: Connection,
        kind: events.WalletEventType,
        wallet: Wallet,
        *,
        credit_limits: Sequence[Money] = (),
        before: Wallet | None = None,
    ) -> None:
        event = events.wallet_event(
            event_id=str(ids.new()),
            kind=kind,
            wallet=wallet,
            time=self._clock.now(),
            credit_limits=list(credit_limits),
        )
        await outbox.append(connection, event, before=before)


async def _accounts(connection: Connection, wallet_id: UUID) -> list[UUID]:
    found = await account_store.of_wallet(connection, wallet_id)
    return [] if found is None else list(found.accounts.values())


def _check_assets_differ(limits: Sequence[Money]) -> None:
    """Of two limits for one asset nobody could say which holds, and the event would tell both."""
    named: set[str] = set()
    for place, limit in enumerate(limits):
        if limit.asset in named:
            raise errors.CreditLimitRepeated(pointer=f"/credit_limits/{place}/asset")
        named.add(limit.asset)
