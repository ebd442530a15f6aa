"""Routes of what money there is."""

import msgspec
from litestar import get

from billfold.kernel.assets import Asset
from billfold.kernel.principal import Principal
from billfold.ledger import errors as ledger_errors
from billfold.platform import web
from billfold.platform.web import Answer, Call, Route
from billfold.wallets import Wallets, contracts
from billfold.wallets.rest import examples
from billfold.wallets.rest.answers import AssetList
from billfold.wallets.rest.bodies import NewAsset

_TAG = "Assets"


@get(
    "/assets",
    opt=web.operation(
        summary="List assets",
        tag=_TAG,
        scope=contracts.ASSETS_READ,
        description="Every asset that there is, by code.",
        answers={"items": [examples.ASSET]},
    ),
)
async def list_assets(principal: Principal, wallets: Wallets) -> AssetList:
    return AssetList(items=await wallets.assets.all(principal=principal))


handlers = [list_assets]


def routes(wallets: Wallets) -> list[Route]:
    """What adds assets."""

    async def add(call: Call) -> Answer:
        asset = Asset(**msgspec.structs.asdict(call.command))
        return Answer(await wallets.assets.add(principal=call.principal, asset=asset))

    return [
        Route(
            method="POST",
            path="/assets",
            handler=add,
            command=NewAsset,
            answer=Asset,
            status=201,
            operation=web.Operation(
                summary="Add an asset",
                tag=_TAG,
                scope=contracts.ASSETS_WRITE,
                also=(contracts.OPERATOR,),
                description="For operators. An asset can't be changed or removed; adding the same again is no change.",
                errors=(ledger_errors.AssetExists,),
                sends=examples.ASSET,
                answers=examples.ASSET,
            ),
        )
    ]
