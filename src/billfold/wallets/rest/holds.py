"""Routes of money that is set aside."""

from typing import Annotated

import msgspec
from litestar import get
from msgspec import Meta

from billfold.identity.contracts import Approval
from billfold.kernel import clock, ids
from billfold.kernel.principal import Principal
from billfold.ledger import errors as ledger_errors
from billfold.platform import web
from billfold.platform.web import Answer, Call, Route
from billfold.wallets import Wallets, contracts, errors
from billfold.wallets.contracts import Hold, HoldStatus, NewHold, Settlement
from billfold.wallets.rest import answers, examples, refusals
from billfold.wallets.rest.answers import HoldResult, Page

_TAG = "Holds"


class HoldList(msgspec.Struct, frozen=True, kw_only=True):
    """Which holds are wanted."""

    wallet: Annotated[str, Meta(description="Only of this wallet.")] | None = None
    status: HoldStatus | None = None
    cursor: answers.Cursor = None
    limit: answers.Limit = None


@get(
    "/holds",
    opt=web.operation(
        summary="List holds",
        tag=_TAG,
        scope=contracts.HOLDS_READ,
        everybody=contracts.EVERYBODY,
        description="Holds in your wallets, the newest first.",
        errors=(*refusals.WALLET, *refusals.PAGE, errors.WalletNeeded),
        answers={"items": [examples.HOLD], "next": None},
    ),
)
async def list_holds(parameters: HoldList, principal: Principal, wallets: Wallets) -> Page[Hold]:
    found = await wallets.holds.holds(
        principal=principal,
        wallet=parameters.wallet,
        status=parameters.status,
        cursor=parameters.cursor,
        limit=parameters.limit,
    )
    return answers.page("/holds", parameters, found)


@get(
    "/holds/{hold_id:str}",
    opt=web.operation(
        summary="Get a hold",
        tag=_TAG,
        scope=contracts.HOLDS_READ,
        everybody=contracts.EVERYBODY,
        errors=(ids.InvalidId, ledger_errors.HoldUnknown),
        answers=examples.HOLD,
    ),
)
async def get_hold(hold_id: str, principal: Principal, wallets: Wallets) -> Hold:
    return await wallets.holds.hold(principal=principal, hold_id=ids.parse(hold_id))


handlers = [list_holds, get_hold]


def routes(wallets: Wallets) -> list[Route]:
    """What places and ends holds."""
    return [_place(wallets), _settle(wallets), _release(wallets)]


def _place(wallets: Wallets) -> Route:
    async def place(call: Call) -> Answer:
        change = await wallets.holds.place(principal=call.principal, new=call.command, key=call.key)
        return Answer(change.hold, replayed=change.replayed)

    return Route(
        method="POST",
        path="/holds",
        handler=place,
        command=NewHold,
        answer=Hold,
        idempotent=True,
        status=201,
        operation=web.Operation(
            summary="Place a hold",
            tag=_TAG,
            scope=contracts.HOLDS_WRITE,
            everybody=contracts.OPERATOR,
            description="Set money of a wallet aside, so that nothing else can spend it, until it is settled or "
            "released or its time is over.",
            errors=(
                *refusals.WALLET,
                *refusals.AMOUNT,
                *refusals.POSTING,
                *refusals.SUPERVISED,
                clock.InvalidInstant,
                ledger_errors.ExpiryInPast,
            ),
            defers=Approval,
            sends={"wallet": examples.ADA, "money": examples.MONEY, "expires_at": "2027-02-28T00:00:00Z"},
            answers=examples.HOLD,
        ),
    )


def _settle(wallets: Wallets) -> Route:
    async def settle(call: Call) -> Answer:
        change = await wallets.holds.settle(
            principal=call.principal,
            hold_id=ids.parse(call.path["hold_id"]),
            settlement=call.command,
            key=call.key,
            step_up=call.step_up,
        )
        return Answer(HoldResult(hold=change.hold, transfer=change.transfer), replayed=change.replayed)

    return Route(
        method="POST",
        path="/holds/{hold_id}/settle",
        handler=settle,
        command=Settlement,
        answer=HoldResult,
        idempotent=True,
        stepped_up=True,
        operation=web.Operation(
            summary="Settle a hold",
            tag=_TAG,
            scope=contracts.HOLDS_WRITE,
            everybody=contracts.OPERATOR,
            description='Move held money to a wallet, an alias or "outside": `money` of it, or all that is left. A '
            "part leaves the rest held, unless `release_rest` gives it back. It needs the scope for transfers too, or "
            "for withdrawals.",
            errors=(
                *refusals.WALLET,
                *refusals.PAYEE,
                *refusals.AMOUNT,
                *refusals.POSTING,
                *refusals.STEPPED_UP,
                *refusals.SUPERVISED,
                errors.SameWallet,
                ledger_errors.AssetMismatch,
                ledger_errors.HoldUnknown,
                ledger_errors.HoldEnded,
                errors.HoldOfWithdrawal,
                *refusals.CROSSING,
                ledger_errors.SettlementExceedsHold,
            ),
            defers=Approval,
            sends={"to": examples.BOB, "money": examples.MONEY},
            answers={
                "hold": examples.HOLD
                | {"status": "settled", "settled": "12.34", "remaining": "0.00", "ended_at": examples.AT},
                "transfer": examples.TRANSFER | {"kind": "settlement", "description": "", "metadata": {}},
            },
        ),
    )


def _release(wallets: Wallets) -> Route:
    async def release(call: Call) -> Answer:
        change = await wallets.holds.release(
            principal=call.principal, hold_id=ids.parse(call.path["hold_id"]), key=call.key
        )
        return Answer(change.hold, replayed=change.replayed)

    return Route(
        method="POST",
        path="/holds/{hold_id}/release",
        handler=release,
        answer=Hold,
        idempotent=True,
        operation=web.Operation(
            summary="Release a hold",
            tag=_TAG,
            scope=contracts.HOLDS_WRITE,
            everybody=contracts.OPERATOR,
            description="Give what is left of it back, also of one whose time is over and that nobody has marked yet.",
            errors=(
                *refusals.SUPERVISED,
                ids.InvalidId,
                ledger_errors.HoldUnknown,
                ledger_errors.HoldEnded,
                errors.HoldOfWithdrawal,
                ledger_errors.OutcomeUnknown,
                ledger_errors.Overloaded,
            ),
            defers=Approval,
            answers=examples.HOLD | {"status": "released", "remaining": "0.00", "ended_at": examples.AT},
        ),
    )
