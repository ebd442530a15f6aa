"""From a wallet and an asset to the ledger account, and back. Accounts are opened here, at their first use.

That is when money arrives, or a credit limit is set. Asking where it would arrive opens nothing.

Who owns a wallet and which account holds its asset never change, so both are remembered, per owner who asked. What can
change (frozen, closed) is not looked at here: the ledger checks it under the account's row lock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.ledger import contracts as ledger
from billfold.platform.postgres.database import Connection, Database
from billfold.wallets import contracts
from billfold.wallets.domain import Side
from billfold.wallets.service.recent import Recent
from billfold.wallets.store import accounts as store
from billfold.wallets.store import wallets as wallet_store

#: About 300 bytes each: 40 MB when full.
SIDES_REMEMBERED = 131_072
#: No owner has this id; for questions where it does not matter who asks.
_NOBODY = UUID(int=0)

#: A wallet as it was named, and an asset's code.
Named = tuple[str, str]
#: A wallet's id, and an asset's code.
Pair = tuple[UUID, str]


class Resolution:
    """Finds accounts for wallets, and wallets for accounts."""

    def __init__(self, *, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger
        self._sides: Recent[tuple[str, str, str], Side] = Recent(SIDES_REMEMBERED)
        #: The side remembered for (owner in hexadecimal, wallet, asset), if it is.
        self.recall = self._sides.get
        self._holders: Recent[tuple[str, UUID], Side] = Recent(SIDES_REMEMBERED)
        self._outside: dict[str, Side] = {}

    async def outside(self, asset: str) -> Side:
        """The world outside in `asset`."""
        side = self._outside.get(asset)
        if side is None:
            account = await self._ledger.external_account(asset=asset)
            side = self._outside[asset] = Side(account, contracts.OUTSIDE, asset, mine=False)
        return side

    async def side(self, principal: Principal, wallet: str, asset: str) -> Side | None:
        """Where `wallet` keeps or would keep `asset`; None if there is no such wallet. It may be anybody's.

        Raises:
            InvalidId: `wallet` is no id.
        """
        named = (wallet, asset)
        known = self.recall((principal.owner_id.hex, *named))
        return known or (await self.look_up(principal, {named})).get(named)

    async def look_up(self, principal: Principal, named: Collection[Named]) -> dict[Named, Side]:
        """Where each wallet keeps the asset named with it, by one statement; unknown wallets are left out.

        A wallet that has no such account yet is answered with one that is not there.

        Raises:
            InvalidId: a name is no id.
        """
        pairs = {(wallet, asset): (ids.parse(wallet), asset) for wallet, asset in named}
        wanted = list(set(pairs.values()))
        async with self._database.connection() as connection:
            rows = await store.find(
                connection,
                owner=principal.owner_id,
                wallet_ids=[wallet_id for wallet_id, _ in wanted],
                assets=[asset for _, asset in wanted],
            )
        found = {}
        for row in rows:
            wallet = str(row.wallet_id)
            if row.account_id is None:
                side = Side(ids.new(), wallet, row.asset, row.mine, row.status)
            else:
                side = Side(row.account_id, wallet, row.asset, row.mine)
                self._sides.put((principal.owner_id.hex, wallet, row.asset), side)
            found[row.wallet_id, row.asset] = side
        return {name: found[pair] for name, pair in pairs.items() if pair in found}

    async def open_sides(self, principal: Principal, sides: Collection[Side]) -> dict[UUID, Side]:
        """Open accounts for unopened sides, by one database transaction, and answer each by the id it had before."""
        accounts = await self.open({(UUID(side.wallet), side.asset) for side in sides})
        opened = {}
        for side in sides:
            account = accounts[UUID(side.wallet), side.asset]
            opened[side.account] = known = Side(account, side.wallet, side.asset, side.mine)
            self._sides.put((principal.owner_id.hex, side.wallet, side.asset), known)
        return opened

    async def open(self, pairs: Collection[Pair], *, transaction: Connection | None = None) -> dict[Pair, UUID]:
        """Open an account for each wallet and asset that has none yet, and answer them all.

        An account starts with its wallet's status, which is locked meanwhile, so that none slips through a freeze.
        """
        if transaction is not None:
            return await self._open(transaction, sorted(pairs))
        async with self._database.transaction() as connection:
            return await self._open(connection, sorted(pairs))

    async def _open(self, connection: Connection, pairs: list[Pair]) -> dict[Pair, UUID]:
        wallet_ids = [wallet_id for wallet_id, _ in pairs]
        assets = [asset for _, asset in pairs]
        status = await wallet_store.lock_shared(connection, wallet_ids)
        new = {ids.new(): pair for pair in pairs}
        added = await store.insert(connection, wallet_ids=wallet_ids, assets=assets, account_ids=list(new))
        await self._ledger.open_accounts(
            accounts=[ledger.NewAccount(id=account, asset=new[account][1]) for account in added],
            transaction=connection,
        )
        barred: dict[contracts.WalletStatus, list[UUID]] = {}
        for account in added:
            barred.setdefault(status[new[account][0]], []).append(account)
        barred.pop("open", None)
        for kind, accounts in barred.items():
            await self._ledger.set_status(account_ids=accounts, status=kind, transaction=connection)
        rows = await store.find(connection, owner=_NOBODY, wallet_ids=wallet_ids, assets=assets)
        return {(row.wallet_id, row.asset): row.account_id for row in rows if row.account_id is not None}

    async def holders(self, principal: Principal, account_ids: Iterable[UUID]) -> dict[UUID, Side]:
        """Whose wallets these accounts belong to; those of the world outside are left out."""
        owner = principal.owner_id.hex
        found: dict[UUID, Side] = {}
        missing = []
        for account in set(account_ids):
            side = self._holders.get((owner, account))
            if side is None:
                missing.append(account)
            else:
                found[account] = side
        if missing:
            async with self._database.connection() as connection:
                rows = await store.by_id(connection, owner=principal.owner_id, account_ids=missing)
            for row in rows:
                found[row.account_id] = side = Side(row.account_id, str(row.wallet_id), row.asset, row.mine)
                self._holders.put((owner, row.account_id), side)
        return found
