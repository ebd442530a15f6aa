"""Accounts of the house in the ledger: what chains hold for us, what is nobody's yet, what is our own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, Protocol
from uuid import UUID

from billfold.custody.store import house as store
from billfold.kernel import ids
from billfold.ledger import Ledger
from billfold.ledger.contracts import NewAccount
from billfold.platform.postgres.database import Connection, Database

#: What of the asset chains hold for us, with its sign turned round; money of nobody known; money of the house on
#: chains; what the house earns and pays; and what lies at its operator's warm address, with its sign turned round.
HouseKind = Literal["omnibus", "suspense", "liquidity", "fees", "warm"]
#: They go below zero: the omnibus always is; fees are paid before they are earned; what is taken back may have left.
_FLOOR: None = None


class WalletAccounts(Protocol):
    """How custody learns where wallets' money goes: an account of the ledger, opened if there is none yet."""

    async def __call__(
        self, connection: Connection, pairs: Collection[tuple[UUID, str]]
    ) -> Mapping[tuple[UUID, str], UUID]:
        """The accounts of these wallets and assets, by them."""
        ...


class House:
    """Opens each account at its first use. They never change, so they are remembered."""

    def __init__(self, *, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger
        self._known: dict[tuple[HouseKind, str], UUID] = {}

    async def account(self, *, kind: HouseKind, asset: str) -> UUID:
        """The house's account of this kind for an asset.

        Raises:
            AssetUnknown: there is no such asset.
            DatabaseUnavailable.
        """
        known = self._known.get((kind, asset))
        if known is not None:
            return known
        async with self._database.transaction() as connection:
            new = ids.new()
            if await store.add_account(connection, asset=asset, kind=kind, account_id=new):
                # For the ledger it is one more place on the chain that holds money for us.
                opened = NewAccount(id=new, asset=asset, kind="omnibus" if kind == "warm" else kind, floor=_FLOOR)
                await self._ledger.open_accounts(accounts=[opened], transaction=connection)
            found = (await store.accounts(connection, kind, [asset]))[asset]
        self._known[kind, asset] = found
        return found
