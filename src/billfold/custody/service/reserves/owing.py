"""What is owed: every wallet's balance at one instant in a tree of sums, page by page, and nobody left out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol
from uuid import UUID

from billfold.custody import errors
from billfold.custody.domain import reserves as rules
from billfold.custody.domain import sum_trees
from billfold.custody.service.house import House
from billfold.custody.store import house as house_store
from billfold.custody.store import reserves as store
from billfold.custody.store.reserves import Chunk, Row, Tree
from billfold.kernel.assets import Asset
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database

#: Leaves below each top that is kept; a power of two. A proof reads so many, and one in so many more.
CHUNK = 1_024
#: Wallets whose balances are asked for at a time.
PAGE = 1_000


class WalletPages(Protocol):
    """How custody learns of all wallets that have ever held an asset, with their accounts in the ledger."""

    async def __call__(self, *, asset: str, after: UUID | None, limit: int) -> Sequence[tuple[UUID, UUID]]:
        """Wallet and account, in the order of wallets, from behind `after` on."""
        ...


async def no_wallets(*, asset: str, after: UUID | None, limit: int) -> Sequence[tuple[UUID, UUID]]:  # noqa: ARG001
    """As WalletPages, where there are none; a proof that leaves some out is not made."""
    return ()


class Owing:
    """Makes the trees of a snapshot."""

    def __init__(self, *, database: Database, ledger: Ledger, house: House, wallet_pages: WalletPages) -> None:
        self._database = database
        self._ledger = ledger
        self._house = house
        self._wallet_pages = wallet_pages

    async def take(self, row: Row) -> None:
        """Make those trees that are not made yet. What was begun before is begun again, and comes out the same.

        Raises:
            ReservesIncomplete, AssetUnknown, DatabaseUnavailable.
        """
        async with self._database.connection() as connection:
            made = {tree.asset for tree in await store.trees(connection, row.id)}
        for code in row.assets:
            if code not in made:
                await self._take(row, await self._ledger.asset(code=code))

    async def _take(self, row: Row, asset: Asset) -> None:
        async with self._database.transaction() as connection:
            await store.clear(connection, row.id, asset.code)
        below_zero, holders = await self._gather(row, asset.code)
        size = rules.leaves_of(holders)
        for first in range(0, size - holders, PAGE):
            numbers = range(first, min(first + PAGE, size - holders))
            await self._add(row, asset.code, [(rules.padding(row.secret, asset.code, one), 0) for one in numbers])
        chunks = [chunk async for chunk in self._chunks(row, asset.code)]
        top = sum_trees.top([chunk.node for chunk in chunks])
        await self._check_whole(row, asset.code, total=top.sum - below_zero)
        assert asset.chain is not None, "only assets of chains are asked for"
        tree = Tree(
            asset.code,
            asset.scale,
            asset.chain,
            asset.contract,
            size.bit_length() - 1,
            top.hash,
            top.sum,
            below_zero,
        )
        async with self._database.transaction() as connection:
            await store.add_tree(connection, row.id, tree, chunks)

    async def _gather(self, row: Row, asset: str) -> tuple[int, int]:
        """Keep a leaf for each wallet to which something is owed; what others owe, and how many leaves there are."""
        below_zero = holders = 0
        async for page in self._pages(asset):
            points = [(account, row.at) for _, account in page]
            balances = await self._ledger.balances_recorded(points=points)
            amounts = [(holder, point.posted) for (holder, _), point in zip(page, balances, strict=True)]
            below_zero -= sum(amount for _, amount in amounts if amount < 0)
            leaves = [(self._pseudonym(row, asset, holder), amount) for holder, amount in amounts if amount > 0]
            holders += len(leaves)
            await self._add(row, asset, leaves)
        return below_zero, holders

    async def _pages(self, asset: str) -> AsyncIterator[Sequence[tuple[UUID, UUID]]]:
        """All wallets; and whoever the money is owed to that has come for nobody known."""
        suspense = await self._house.account(kind="suspense", asset=asset)
        yield [(suspense, suspense)]
        after: UUID | None = None
        while page := await self._wallet_pages(asset=asset, after=after, limit=PAGE):
            yield page
            after = page[-1][0]

    @staticmethod
    def _pseudonym(row: Row, asset: str, holder: UUID) -> bytes:
        return rules.holder_of(rules.salt(row.secret, asset, holder), holder)

    async def _add(self, row: Row, asset: str, leaves: Sequence[tuple[bytes, int]]) -> None:
        if leaves:
            async with self._database.transaction() as connection:
                await store.add_leaves(connection, row.id, asset, leaves)

    async def _chunks(self, row: Row, asset: str) -> AsyncIterator[Chunk]:
        number, first = 0, b""
        while True:
            async with self._database.connection() as connection:
                # One more than a chunk: where the next begins.
                found = await store.leaves(connection, row.id, asset, first=first, limit=CHUNK + 1)
            here = found[:CHUNK]
            yield Chunk(number, here[0][0], sum_trees.top([sum_trees.leaf(*one) for one in here]))
            if len(found) <= CHUNK:
                return
            number, first = number + 1, found[CHUNK][0]

    async def _check_whole(self, row: Row, asset: str, *, total: int) -> None:
        """Pass if wallets, house and the world outside have nothing together: then no wallet was left out.

        Raises:
            ReservesIncomplete.
        """
        async with self._database.connection() as connection:
            house = [
                account
                for code, kind, account in await house_store.all_accounts(connection)
                if code == asset and kind != "suspense"
            ]
        others = [*house, await self._ledger.external_account(asset=asset)]
        balances = await self._ledger.balances_recorded(points=[(account, row.at) for account in others])
        missing = -total - sum(point.posted for point in balances)
        if missing:
            raise errors.ReservesIncomplete(f"The wallets have {missing} {asset} more in the ledger than in the tree.")
