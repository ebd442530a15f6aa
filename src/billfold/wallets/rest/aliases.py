"""Which wallets get what is sent to an alias. The aliases themselves are the identity context's routes."""

from litestar import get, put

from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.ledger import errors as ledger_errors
from billfold.platform import web
from billfold.wallets import Wallets, contracts, errors
from billfold.wallets.contracts import AliasWallets, NewAliasWallets
from billfold.wallets.rest import examples, refusals

_TAG = "Aliases"
_CHOSEN = {"wallet": examples.ADA, "by_asset": {}}


@get(
    "/aliases/{alias:str}/wallets",
    opt=web.operation(
        summary="Show the wallets of an alias",
        tag=_TAG,
        scope=contracts.READ,
        everybody=contracts.OPERATOR,
        description="Which of your wallets get what is sent to your alias.",
        errors=refusals.ALIAS,
        answers={"alias": "@ada"} | _CHOSEN,
    ),
)
async def show_wallets(alias: str, principal: Principal, wallets: Wallets) -> AliasWallets:
    return await wallets.aliases.show(principal=principal, alias=alias)


@put(
    "/aliases/{alias:str}/wallets",
    opt=web.operation(
        summary="Choose the wallets of an alias",
        tag=_TAG,
        scope=contracts.WRITE,
        everybody=contracts.OPERATOR,
        description="Money that is sent to your alias arrives in the wallet for its asset, else in `wallet`, else in "
        "your oldest open wallet. This replaces what you chose before.",
        errors=(*refusals.ALIAS, errors.WalletUnknown, ids.InvalidId, ledger_errors.AssetUnknown),
        sends=_CHOSEN,
        answers={"alias": "@ada"} | _CHOSEN,
    ),
)
async def choose_wallets(alias: str, command: NewAliasWallets, principal: Principal, wallets: Wallets) -> AliasWallets:
    return await wallets.aliases.choose(principal=principal, alias=alias, new=command)


handlers = [show_wallets, choose_wallets]
