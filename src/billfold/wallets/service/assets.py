"""What money there is: everybody may know, an operator may add."""

from __future__ import annotations

from billfold.kernel.assets import Asset
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.wallets import contracts


class Assets:
    """Use cases about assets."""

    def __init__(self, *, ledger: Ledger) -> None:
        self._ledger = ledger

    async def all(self, *, principal: Principal) -> list[Asset]:
        """Every asset, by code.

        Raises:
            MissingScope
        """
        principal.require(contracts.ASSETS_READ)
        return list((await self._ledger.assets()).values())

    async def add(self, *, principal: Principal, asset: Asset) -> Asset:
        """Add an asset; the same one again is no change.

        Raises:
            MissingScope: only an operator can.
            AssetExists: the code stands for another one.
        """
        principal.require(contracts.ASSETS_WRITE)
        principal.require(contracts.OPERATOR)
        await self._ledger.add_asset(asset=asset)
        return asset
