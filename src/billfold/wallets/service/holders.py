"""Whose accounts those are that events name: for whoever tells owners what concerns them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from billfold.platform.postgres.database import Connection, Database
from billfold.wallets.contracts import AccountHolder
from billfold.wallets.service.recent import Recent
from billfold.wallets.service.resolution import Resolution
from billfold.wallets.store import accounts as store
from billfold.wallets.store import wallets as wallet_store

#: About 300 bytes each.
REMEMBERED = 65_536


class Holders:
    """Who holds an account never changes, so it is remembered."""

    def __init__(self, *, database: Database, resolution: Resolution) -> None:
        self._database = database
        self._resolution = resolution
        self._known: Recent[UUID, AccountHolder] = Recent(REMEMBERED)

    async def of_accounts(self, account_ids: Collection[UUID]) -> dict[UUID, AccountHolder]:
        """The holders of these accounts; those of the world outside and of the house have none."""
        found = {one: known for one in account_ids if (known := self._known.get(one)) is not None}
        unknown = [one for one in account_ids if one not in found]
        if unknown:
            async with self._database.connection() as connection:
                looked_up = await store.holders(connection, unknown)
            for account_id, holder in looked_up.items():
                self._known.put(account_id, holder)
            found |= looked_up
        return found

    async def of_wallets(self, wallet_ids: Collection[UUID]) -> dict[UUID, AccountHolder]:
        """Who has these wallets, as holders of no asset in particular."""
        found = {one: known for one in wallet_ids if (known := self._known.get(one)) is not None}
        unknown = [one for one in wallet_ids if one not in found]
        if unknown:
            async with self._database.connection() as connection:
                owners = await wallet_store.owner_of_each(connection, unknown)
            for wallet_id, owner_id in owners.items():
                found[wallet_id] = AccountHolder(owner_id, str(wallet_id), "")
                self._known.put(wallet_id, found[wallet_id])
        return found

    async def page(self, *, asset: str, after: UUID | None, limit: int) -> Sequence[tuple[UUID, UUID]]:
        """All wallets that have ever held an asset, with their accounts for it, from behind the wallet `after` on."""
        async with self._database.connection() as connection:
            return await store.of_asset(connection, asset=asset, after=after, limit=limit)

    async def open_accounts(
        self, connection: Connection, pairs: Collection[tuple[UUID, str]]
    ) -> dict[tuple[UUID, str], UUID]:
        """The accounts of these wallets and assets; those that are missing are opened in the caller's transaction.

        Of a wallet that there is not there is none.
        """
        return await self._resolution.open(pairs, transaction=connection)
