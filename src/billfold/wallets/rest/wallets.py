"""Routes of the wallets themselves."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get
from msgspec import Meta

from billfold.identity import errors as identity_errors
from billfold.identity.contracts import Approval
from billfold.kernel import ids, money
from billfold.kernel.errors import BillfoldError
from billfold.kernel.principal import Principal
from billfold.ledger import errors as ledger_errors
from billfold.platform import web
from billfold.platform.web import Answer, Call, Route
from billfold.wallets import Wallets, contracts, errors
from billfold.wallets.contracts import CreditLimits, NewWallet, Wallet, WalletChange, WalletStatus
from billfold.wallets.rest import answers, examples, refusals
from billfold.wallets.rest.answers import Page

_TAG = "Wallets"


class WalletList(msgspec.Struct, frozen=True, kw_only=True):
    """Which wallets are wanted."""

    external_id: Annotated[str, Meta(max_length=contracts.EXTERNAL_ID_MAX)] | None = None
    status: WalletStatus | None = None
    cursor: answers.Cursor = None
    limit: answers.Limit = None


@get(
    "/wallets",
    opt=web.operation(
        summary="List wallets",
        tag=_TAG,
        scope=contracts.READ,
        everybody=contracts.EVERYBODY,
        description="Your wallets, the newest first; an operator's key sees everybody's.",
        errors=refusals.PAGE,
        answers={"items": [examples.WALLET], "next": None},
    ),
)
async def list_wallets(parameters: WalletList, principal: Principal, wallets: Wallets) -> Page[Wallet]:
    found = await wallets.registry.wallets(
        principal=principal,
        external_id=parameters.external_id,
        status=parameters.status,
        cursor=parameters.cursor,
        limit=parameters.limit,
    )
    return answers.page("/wallets", parameters, found)


@get(
    "/wallets/{wallet_id:str}",
    opt=web.operation(
        summary="Get a wallet",
        tag=_TAG,
        scope=contracts.READ,
        everybody=contracts.EVERYBODY,
        errors=refusals.WALLET,
        answers=examples.WALLET,
    ),
)
async def get_wallet(wallet_id: str, principal: Principal, wallets: Wallets) -> Wallet:
    return await wallets.registry.wallet(principal=principal, wallet_id=ids.parse(wallet_id))


handlers = [list_wallets, get_wallet]


def routes(wallets: Wallets) -> list[Route]:
    """What changes wallets."""

    async def create(call: Call) -> Answer:
        wallet, is_new = await wallets.registry.create(principal=call.principal, new=call.command)
        return Answer(wallet, replayed=not is_new)

    async def update(call: Call) -> Answer:
        wallet_id = ids.parse(call.path["wallet_id"])
        return Answer(await wallets.registry.update(principal=call.principal, wallet_id=wallet_id, change=call.command))

    return [
        Route(
            method="POST",
            path="/wallets",
            handler=create,
            command=NewWallet,
            answer=Wallet,
            status=201,
            operation=web.Operation(
                summary="Create a wallet",
                tag=_TAG,
                scope=contracts.WRITE,
                description="With an `external_id` of yours it is safe to repeat: the same content answers the same "
                "wallet, marked by `Idempotency-Replayed`.",
                errors=(errors.ExternalIdReused, errors.OwnerDeparted),
                sends={"name": "Ada's savings", "external_id": "customer-4711", "metadata": {"tier": "gold"}},
                answers=examples.WALLET | {"assets": [], "accounts": {}},
            ),
        ),
        Route(
            method="PATCH",
            path="/wallets/{wallet_id}",
            handler=update,
            command=WalletChange,
            answer=Wallet,
            operation=web.Operation(
                summary="Change a wallet",
                tag=_TAG,
                scope=contracts.WRITE,
                everybody=contracts.OPERATOR,
                description="What is left out stays as it is; `metadata` is replaced as a whole.",
                errors=(*refusals.WALLET, errors.WalletClosed),
                sends={"name": "Ada's travels", "metadata": {"tier": "gold"}},
                answers=examples.WALLET | {"name": "Ada's travels"},
            ),
        ),
        _limits_route(wallets),
        _status_route(
            "freeze",
            wallets.registry.freeze,
            summary="Freeze a wallet",
            description="Nothing enters or leaves it until an operator unfreezes it. A frozen wallet stays so.",
            refused=(errors.WalletClosed,),
            status="frozen",
        ),
        _status_route(
            "unfreeze",
            wallets.registry.unfreeze,
            also=(contracts.OPERATOR,),
            summary="Unfreeze a wallet",
            description="For operators. An open wallet stays so.",
            refused=(errors.WalletClosed,),
            status="open",
        ),
        _status_route(
            "close",
            wallets.registry.close,
            summary="Close a wallet",
            description="For ever, and only when nothing is left in it: the refusal says what is. "
            "A closed wallet stays so.",
            refused=(errors.WalletFrozen, errors.WalletNotEmpty),
            status="closed",
        ),
    ]


def _limits_route(wallets: Wallets) -> Route:
    async def limit(call: Call) -> Answer:
        wallet_id = ids.parse(call.path["wallet_id"])
        limits = call.command.credit_limits
        return Answer(await wallets.registry.limit(principal=call.principal, wallet_id=wallet_id, limits=limits))

    return Route(
        method="PUT",
        path="/wallets/{wallet_id}/credit-limits",
        handler=limit,
        command=CreditLimits,
        answer=Wallet,
        operation=web.Operation(
            summary="Set credit limits",
            tag=_TAG,
            scope=contracts.LIMITS_WRITE,
            also=(contracts.OPERATOR,),
            everybody=contracts.OPERATOR,
            description="For operators: how far the available balance of each asset may go below zero. Assets that are "
            "left out keep theirs.",
            errors=(
                *refusals.WALLET,
                errors.WalletClosed,
                errors.CreditLimitNegative,
                errors.CreditLimitRepeated,
                identity_errors.TooManyApprovals,
                ledger_errors.AssetUnknown,
                ledger_errors.InsufficientFunds,
                money.InvalidAmount,
                money.AmountTooPrecise,
                money.AmountTooLarge,
            ),
            defers=Approval,
            sends={"credit_limits": [{"amount": "500.00", "asset": "USD"}]},
            answers=examples.WALLET,
        ),
    )


def _status_route(
    verb: str,
    change: Callable[..., Awaitable[Wallet]],
    *,
    summary: str,
    description: str,
    refused: tuple[type[BillfoldError], ...],
    status: WalletStatus,
    also: tuple[str, ...] = (),
) -> Route:
    async def set_status(call: Call) -> Answer:
        wallet_id: UUID = ids.parse(call.path["wallet_id"])
        return Answer(await change(principal=call.principal, wallet_id=wallet_id))

    return Route(
        method="POST",
        path=f"/wallets/{{wallet_id}}/{verb}",
        handler=set_status,
        answer=Wallet,
        operation=web.Operation(
            summary=summary,
            tag=_TAG,
            scope=contracts.WRITE,
            also=also,
            everybody=contracts.OPERATOR,
            description=description,
            errors=(*refusals.WALLET, *refused),
            answers=examples.WALLET | {"status": status},
        ),
    )
