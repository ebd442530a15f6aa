"""Which accounts a caller may read: those of one of their wallets, or of all. Some read everybody's."""

from __future__ import annotations

from uuid import UUID

from billfold.kernel import ids, looks
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.ledger import errors as ledger_errors
from billfold.platform.postgres.database import Database
from billfold.wallets import contracts, errors
from billfold.wallets.domain import Side
from billfold.wallets.service.recent import Recent
from billfold.wallets.store import accounts as store

#: Some 20 MB in a process that has seen so many.
WALLETS_REMEMBERED = 100_000


class Holdings:
    """Finds what may be read. Ownership is part of each statement."""

    def __init__(self, *, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger
        #: Whether an owner who has asked for a wallet owns it, which never changes.
        self._seen: Recent[tuple[UUID, UUID], bool] = Recent(WALLETS_REMEMBERED)

    async def check_wallet(self, principal: Principal, wallet_id: UUID) -> None:
        """Go on only if the caller may see the wallet. Once the database has said so, it is remembered.

        Raises:
            WalletUnknown
        """
        asked = (principal.owner_id, wallet_id)
        mine = self._seen.get(asked)
        if mine is None or not (mine or principal.sees_everybody):
            mine = (await self._found(principal, wallet_id)).owner_id == principal.owner_id
            self._seen.put(asked, value=mine)
        looks.saw(own=mine)

    async def of_wallet(self, principal: Principal, wallet_id: UUID, *, asset: str | None) -> dict[str, UUID]:
        """The accounts of one of the caller's wallets by their asset, or only that of `asset` if it has one.

        Raises:
            WalletUnknown, AssetUnknown
        """
        found = await self._found(principal, wallet_id)
        looks.saw(own=found.owner_id == principal.owner_id)
        if asset is None:
            return found.accounts
        await self.check_asset(asset)
        return {asset: found.accounts[asset]} if asset in found.accounts else {}

    async def _found(self, principal: Principal, wallet_id: UUID) -> store.OfWallet:
        owner = None if principal.sees_everybody else principal.owner_id
        async with self._database.connection() as connection:
            found = await store.of_wallet(connection, wallet_id, owner=owner)
        if found is None:
            raise errors.WalletUnknown
        return found

    async def check_asset(self, code: str) -> None:
        """Go on only if there is such an asset.

        Raises:
            AssetUnknown: it says which parameter named it.
        """
        try:
            await self._ledger.asset(code=code)
        except ledger_errors.AssetUnknown:
            raise ledger_errors.AssetUnknown.named(code, pointer="asset") from None

    async def one_of_wallet(
        self, principal: Principal, wallet_id: UUID, *, asset: str | None
    ) -> tuple[str, UUID | None]:
        """The asset that is meant, `asset` or the only one in the wallet, and its account if there is one yet.

        Raises:
            WalletUnknown, AssetUnknown
            AssetNeeded: no asset is named, and there is not exactly one.
        """
        accounts = await self.of_wallet(principal, wallet_id, asset=asset)
        if asset is not None:
            return asset, accounts.get(asset)
        if len(accounts) != 1:
            held = f": the wallet has {', '.join(accounts)}" if accounts else "; nothing has been in this wallet yet"
            raise errors.AssetNeeded(f"Say which asset{held}.", pointer="asset")
        return next(iter(accounts.items()))

    async def readable(self, principal: Principal, *, wallet: str | None, asset: str | None) -> dict[UUID, Side]:
        """The accounts of `wallet`, or of every wallet of the caller.

        Raises:
            InvalidId, WalletUnknown, AssetUnknown
            WalletNeeded: these are too many.
        """
        if wallet is not None:
            wallet_id = ids.parse(wallet, pointer="wallet")
            found = await self.of_wallet(principal, wallet_id, asset=asset)
            return {account: Side(account, str(wallet_id), code, mine=True) for code, account in found.items()}
        async with self._database.connection() as connection:
            kept = await store.of_owner(
                connection,
                owner=principal.owner_id,
                asset=asset,
                limit=contracts.ACCOUNTS_LISTED_MAX + 1,
            )
        if len(kept) > contracts.ACCOUNTS_LISTED_MAX:
            raise errors.WalletNeeded(pointer="wallet")
        return {one.account_id: Side(one.account_id, str(one.wallet_id), one.asset, one.mine) for one in kept}
