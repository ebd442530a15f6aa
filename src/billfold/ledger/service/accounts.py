"""The part of the facade that keeps accounts and assets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from billfold.kernel.assets import Asset
from billfold.ledger import errors
from billfold.ledger.contracts import Account, AccountStatus, NewAccount
from billfold.ledger.service.assets import Assets
from billfold.ledger.store import accounts as account_store
from billfold.platform.postgres.database import Connection, Database


class Accounts:
    """Accounts and assets. What changes accounts may be part of the caller's database transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.assets_known = Assets(database)

    async def open_accounts(self, *, accounts: Sequence[NewAccount], transaction: Connection | None = None) -> None:
        """Open accounts; one whose id exists is left as it is.

        Raises:
            AssetUnknown: there is no such asset.
        """
        for account in accounts:
            await self.assets_known.get(account.asset)
        async with self._within(transaction) as connection:
            await account_store.open_accounts(connection, accounts)

    async def set_status(
        self, *, account_ids: Sequence[UUID], status: AccountStatus, transaction: Connection | None = None
    ) -> None:
        """Freeze, unfreeze or close accounts. Whoever posts after this sees it: it is the same row lock.

        Raises:
            AccountUnknown: one of them does not exist.
            AccountClosed: one of them is closed, which is for ever.
            AccountNotEmpty: one that is to be closed still has money or holds.
        """
        async with self._within(transaction) as connection:
            locked = await account_store.lock(connection, account_ids)
            if len(locked) != len(set(account_ids)):
                raise errors.AccountUnknown
            if status != "closed" and any(account.status == "closed" for account in locked):
                raise errors.AccountClosed
            if status == "closed" and any(account.posted or account.held for account in locked):
                raise errors.AccountNotEmpty
            await account_store.set_status(connection, account_ids, status)

    async def set_floor(self, *, account_id: UUID, floor: int | None, transaction: Connection | None = None) -> None:
        """Change the lowest allowed available balance; None is no limit.

        Raises:
            AccountUnknown: there is no such account.
            InsufficientFunds: what is available is already below the new floor.
        """
        async with self._within(transaction) as connection:
            locked = await account_store.lock(connection, [account_id])
            if not locked:
                raise errors.AccountUnknown
            if floor is not None and locked[0].available < floor:
                raise errors.InsufficientFunds
            await account_store.set_floor(connection, account_id, floor)

    async def accounts(self, *, ids: Sequence[UUID], transaction: Connection | None = None) -> list[Account]:
        """These accounts as they are now, where they exist, in the order of `ids`."""
        async with self._reading(transaction) as connection:
            found = {account.id: account for account in await account_store.accounts(connection, ids)}
        return [found[account_id] for account_id in ids if account_id in found]

    async def external_account(self, *, asset: str) -> UUID:
        """The outside world's account of an asset.

        Raises:
            AssetUnknown: there is no such asset.
        """
        return await self.assets_known.external_account(asset)

    async def assets(self) -> dict[str, Asset]:
        """Every asset by its code."""
        return await self.assets_known.all()

    async def asset(self, *, code: str) -> Asset:
        """One asset, from memory when it has been seen before: assets never change.

        Raises:
            AssetUnknown: there is no such asset.
        """
        return await self.assets_known.get(code)

    async def add_asset(self, *, asset: Asset) -> None:
        """Add an asset and its external account; the same one again is no change.

        Raises:
            AssetExists: the code stands for another one.
        """
        await self.assets_known.add(asset)

    @asynccontextmanager
    async def _within(self, transaction: Connection | None) -> AsyncIterator[Connection]:
        """The caller's database transaction, or one of our own."""
        if transaction is not None:
            yield transaction
        else:
            async with self._database.transaction() as connection:
                yield connection

    @asynccontextmanager
    async def _reading(self, transaction: Connection | None) -> AsyncIterator[Connection]:
        """The caller's database transaction, or any connection."""
        if transaction is not None:
            yield transaction
        else:
            async with self._database.connection() as connection:
                yield connection
