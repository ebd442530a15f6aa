"""Gives wallets addresses. An address is a wallet's for ever; the one that is shown may be replaced by another."""

from __future__ import annotations

import io
from collections.abc import Sequence
from uuid import UUID

from billfold.chains.signing_port import Purpose
from billfold.custody import errors
from billfold.custody.contracts import DepositAddress
from billfold.custody.domain.matching import Place
from billfold.custody.service.elsewhere import Elsewhere
from billfold.custody.service.served import Served, Serving
from billfold.custody.store import addresses as store
from billfold.custody.store import elsewhere as elsewhere_store
from billfold.custody.store import house as house_store
from billfold.custody.store.addresses import Row
from billfold.kernel import ids
from billfold.kernel.clock import Clock
from billfold.platform.postgres.database import Database
from billfold.signer.contracts import ADDRESSES_MAX, SigningService

#: A wallet gets no more: each is watched for ever. Whoever changes the address each day reaches it after a year.
LISTED_MAX = 500
#: Of each chain: the omnibus that deposits are swept to, and for coins where change goes.
_HOT = 1
#: Coins don't say who sent them. So what comes back from the warm address has a hot address of its own, at this place.
REFILLED = 1
_CHANGE = 1
#: Modules of a QR code's quiet zone, as ISO/IEC 18004 wants it, and pixels of a module.
_QUIET = 4
_SCALE = 4


class Addresses:
    """Of all chains that are served."""

    def __init__(
        self,
        *,
        serving: Serving,
        database: Database,
        signer: SigningService | None,
        elsewhere: Elsewhere,
        clock: Clock,
    ) -> None:
        self._serving = serving
        self._database = database
        self._signer = signer
        self._elsewhere = elsewhere
        self._clock = clock
        self._trees: dict[str, UUID] = {}

    async def issue(self, *, chain: str, wallet_ids: Sequence[UUID]) -> list[DepositAddress]:
        """The address that each wallet shows on a chain; those that have none get one now.

        Raises:
            ChainUnknown
            AddressesUnavailable: the signer is away, or nothing was imported.
            AddressesUsedUp: they were imported, and there is none left.
            DatabaseUnavailable.
        """
        served = self._serving.get(chain)
        async with self._database.connection() as connection:
            shown = await store.shown(connection, chain, wallet_ids)
        missing = [wallet_id for wallet_id in dict.fromkeys(wallet_ids) if wallet_id not in shown]
        for first in range(0, len(missing), ADDRESSES_MAX):
            part = missing[first : first + ADDRESSES_MAX]
            shown |= await self._give(served, part)
        return [_told(served, shown[wallet_id]) for wallet_id in wallet_ids]

    async def rotate(self, *, chain: str, wallet_id: UUID) -> DepositAddress:
        """A new address to show. What arrives at the old ones is the wallet's all the same.

        Raises:
            TooManyAddresses: the wallet has had so many that it gets no more.
            ChainUnknown, AddressesUnavailable, DatabaseUnavailable.
        """
        served = self._serving.get(chain)
        async with self._database.connection() as connection:
            if len(await store.of_wallet(connection, wallet_id, limit=LISTED_MAX)) >= LISTED_MAX:
                raise errors.TooManyAddresses
        return _told(served, (await self._give(served, [wallet_id], replace=True))[wallet_id])

    async def of_wallet(self, *, wallet_id: UUID) -> list[DepositAddress]:
        """All of a wallet, those that are shown first; up to LISTED_MAX."""
        async with self._database.connection() as connection:
            rows = await store.of_wallet(connection, wallet_id, limit=LISTED_MAX)
        by_name = {served.name: served for served in self._serving.all}
        return [_told(by_name[row.chain], row) for row in rows if row.chain in by_name]

    async def of_house(self, *, chain: str, purpose: Purpose, count: int = 1) -> list[str]:
        """The first `count` addresses of the house for this purpose.

        Raises: as `issue`.
        """
        served = self._serving.get(chain)
        async with self._database.connection() as connection:
            known = await store.of_house(connection, chain, purpose)
        if any(place not in known for place in range(count)):
            derived = await self._derived(served, purpose, first=0, count=count)
            async with self._database.transaction() as connection:
                await store.add_of_house(connection, chain, purpose, derived, first=0, now=self._clock.now())
            known = dict(enumerate(derived))
        return [known[place] for place in range(count)]

    def drawn(self, address: DepositAddress) -> bytes:
        """The address as a QR code, in SVG, on a ground of its own: on a dark page nobody could read it else."""
        import segno  # noqa: PLC0415 - most processes never draw one.

        code = io.BytesIO()
        segno.make(address.uri, error="m", micro=False).save(
            code, kind="svg", scale=_SCALE, border=_QUIET, light="#fff", xmldecl=False, svgns=True, title=address.uri
        )
        return code.getvalue()

    async def _give(self, served: Served, wallets: Sequence[UUID], *, replace: bool = False) -> dict[UUID, Row]:
        await self._set_up(served)
        async with self._database.transaction() as connection:
            first = await house_store.take_places(connection, chain=served.name, purpose="deposit", count=len(wallets))
            if served.outside is not None and not served.showing.SHARED:
                # Where a list ends nobody takes places that it may have later.
                await self._elsewhere.addresses(connection, served, "deposit", first=first, count=len(wallets))
        numbers = range(first, first + len(wallets))
        places = await self._places(served, numbers)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            if replace:
                await store.replace(connection, served.name, wallets[0], now=now)
            await store.add(connection, served.name, places=places, numbers=numbers, wallets=wallets, now=now)
            return await store.shown(connection, served.name, wallets)

    async def _places(self, served: Served, numbers: range) -> list[Place]:
        if served.showing.SHARED:
            (shared,) = await self.of_house(chain=served.name, purpose="hot")
            return [(shared, served.showing.memo(number)) for number in numbers]
        derived = await self._derived(served, "deposit", first=numbers.start, count=len(numbers))
        return [(address, "") for address in derived]

    async def set_up(self, *, chain: str) -> None:
        """See to it that the house has its own addresses, which withdrawals are paid from.

        Raises: as `issue`.
        """
        await self._set_up(self._serving.get(chain))

    async def _set_up(self, served: Served) -> None:
        """The house's own addresses are known before the first deposit can be swept to one."""
        own = served.chain.model == "coins" and served.withdrawing.treasury.warm is not None and served.outside is None
        await self.of_house(chain=served.name, purpose="hot", count=REFILLED + 1 if own else _HOT)
        if served.chain.model == "coins" and (served.outside is None or await self._elsewhere.derives(served)):
            await self.of_house(chain=served.name, purpose="change", count=_CHANGE)

    async def _derived(self, served: Served, purpose: Purpose, *, first: int, count: int) -> Sequence[str]:
        if served.outside is not None:
            async with self._database.connection() as connection:
                return await self._elsewhere.addresses(connection, served, purpose, first=first, count=count)
        tree_id = await self.tree(chain=served.name)
        assert self._signer is not None, "it has made the tree"
        return await self._signer.addresses(tree_id=tree_id, purpose=purpose, first=first, count=count)

    async def tree(self, *, chain: str) -> UUID:
        """The signer's tree of keys for a chain, made at its first use.

        Raises: as `issue`.
        """
        known = self._trees.get(chain)
        if known is not None:
            return known
        served = self._serving.get(chain)
        if self._signer is None:
            raise errors.AddressesUnavailable("There is no signer that could make addresses.")
        async with self._database.transaction() as connection:
            if await elsewhere_store.has_import(connection, chain):
                raise errors.AddressesUnavailable(f"The addresses of {chain} were imported: its keys are elsewhere.")
            tree_id, network = await house_store.tree(
                connection,
                chain=chain,
                network=served.chain.network,
                tree_id=ids.new(),
                now=self._clock.now(),
            )
        if network != served.chain.network:
            raise errors.AddressesUnavailable(f"The addresses of {chain} are of the network {network}.")
        await self._signer.create(tree_id=tree_id, chain=chain, network=served.chain.network)
        self._trees[chain] = tree_id
        return tree_id


def _told(served: Served, row: Row) -> DepositAddress:
    memo = row.memo or None
    return DepositAddress(
        chain=row.chain,
        network=served.chain.network,
        address=row.address,
        memo=None if memo is None else memo.partition(":")[2],
        muxed=None if memo is None else served.showing.muxed(row.address, memo),
        uri=served.showing.uri(row.address, memo=memo, network=served.chain.network),
        current=row.replaced_at is None,
        created_at=row.created_at,
    )
