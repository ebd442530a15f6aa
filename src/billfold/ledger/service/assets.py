"""The assets, read once and kept: they never change, they only become more."""

from __future__ import annotations

from uuid import UUID

from billfold.kernel import ids
from billfold.kernel.assets import Asset
from billfold.kernel.clock import SystemClock
from billfold.ledger import errors, events
from billfold.ledger.store import accounts as store
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection, Database


class Assets:
    """Assets and their external accounts by code. An unknown code is looked up once more before it is refused."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._clock = SystemClock()
        self._known: dict[str, tuple[Asset, UUID]] = {}

    async def all(self) -> dict[str, Asset]:
        """Every asset by its code."""
        async with self._database.connection() as connection:
            self._known = await store.assets(connection)
        return {code: asset for code, (asset, _) in self._known.items()}

    async def get(self, code: str, *, connection: Connection | None = None) -> Asset:
        """The asset. Whoever has a connection gives it: to wait for a second one could be to wait for oneself.

        Raises:
            AssetUnknown: there is none of this code.
        """
        return (await self._find(code, connection))[0]

    def known(self, code: str) -> Asset | None:
        """The asset if it has been read already: for paths that can't wait."""
        found = self._known.get(code)
        return found[0] if found else None

    async def external_account(self, code: str) -> UUID:
        """The account of the outside world.

        Raises:
            AssetUnknown: there is no such asset.
        """
        return (await self._find(code))[1]

    async def add(self, asset: Asset) -> None:
        """Add an asset; the same one again is no change.

        Raises:
            AssetExists: the code stands for another one.
        """
        async with self._database.transaction() as connection:
            await store.add_asset(connection, asset, ids.new())
            await outbox.append_fact(
                connection,
                "asset.added.v1",
                source=events.SOURCE,
                subject=asset.code,
                time=self._clock.now(),
                data=asset,
            )
        if await self.get(asset.code) != asset:
            raise errors.AssetExists

    async def _find(self, code: str, connection: Connection | None = None) -> tuple[Asset, UUID]:
        found = self._known.get(code)
        if found is None:
            if connection is None:
                await self.all()
            else:
                self._known = await store.assets(connection)
            found = self._known.get(code)
        if found is None:
            raise errors.AssetUnknown.named(code)
        return found
