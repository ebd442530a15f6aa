"""Routes of reconciliation, for operators."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import get, post
from msgspec import Meta

from billfold.custody import Custody, contracts, errors
from billfold.custody.contracts import Reconciled, Report
from billfold.kernel import forms, money, paging
from billfold.platform import web

_TAG = "Chains"
_REASON_MAX = 500
_EXAMPLE = {
    "id": "019aa2c6-7d2e-7c3f-8a51-2f4f6b0c9d11",
    "chain": "ethereum",
    "asset": "ETH",
    "outcome": "clean",
    "reason": "",
    "height": 23_900_000,
    "block": "0x6bd42cd1a4bf8f3a2e1d0c9b8a796857463524130f1e2d3c4b5a697887960504",
    "chain_holds": "12.500000000000000000",
    "places": {"hot": "12.000000000000000000", "deposit": "0.500000000000000000"},
    "ledger_owes": "12.400000000000000000",
    "explained": [
        {
            "name": "deposits_unconfirmed",
            "amount": "0.100000000000000000",
            "on_its_way": "0.000000000000000000",
            "count": 1,
            "ids": ["019aa2c6-1a2b-7c3f-8a51-2f4f6b0c9d12"],
        }
    ],
    "difference": "0.000000000000000000",
    "stopped": False,
    "asked": 14,
    "made_at": "2026-01-31T12:00:00.000000Z",
}
_Asset = Annotated[
    str, Meta(description="Its code.", examples=["ETH"], min_length=1, max_length=20, pattern=forms.NO_NUL)
]
_Chain = Annotated[
    str, Meta(description="Its id.", examples=["ethereum"], min_length=1, max_length=20, pattern=forms.NO_NUL)
]


class Reconcile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which chain is to be reconciled."""

    chain: _Chain
    since: (
        Annotated[
            datetime,
            Meta(
                tz=True, description="That of an earlier answer: what was asked for since then is not asked for again."
            ),
        ]
        | None
    ) = None


class Resume(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which withdrawals are to go on, and why."""

    asset: _Asset
    difference: Annotated[
        str,
        Meta(
            description="That of the report that you have looked at.",
            examples=["-0.200000000000000000"],
            min_length=1,
            max_length=money.TEXT_MAX,
        ),
    ]
    reason: Annotated[
        str,
        Meta(
            description="For the audit.",
            examples=["ticket 4711"],
            min_length=1,
            max_length=_REASON_MAX,
            pattern=forms.NO_NUL,
        ),
    ]


class ReportsAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Which reports."""

    chain: _Chain | None = None
    asset: _Asset | None = None
    cursor: web.Cursor = None
    limit: web.Limit = paging.LIMIT_DEFAULT


@post(
    "/custody/reconciliations",
    status_code=200,
    opt=web.operation(
        summary="Reconcile a chain",
        tag=_TAG,
        scope=contracts.READ,
        also=(contracts.OPERATOR,),
        description="For operators: compare what a chain holds at our addresses with what the ledger owes and all that "
        "is on its way, now, for each asset. One call asks the chain for a bounded number of addresses; while "
        "`remaining` is not 0, call again with the `since` of the answer. `outcome` is `clean`, `break` (nobody can "
        "explain `difference`), or `unsettled` with a `reason`: it can't be said now.",
        errors=(errors.ChainUnknown, errors.ReconciliationBusy),
        sends={"chain": "ethereum"},
        answers={"items": [_EXAMPLE], "since": "2026-01-31T12:00:00.000000Z", "remaining": 0},
    ),
)
async def reconcile(command: Reconcile, custody: Custody) -> Reconciled:
    return await custody.reconciling.run(chain=command.chain, since=command.since)


@get(
    "/custody/reconciliations",
    opt=web.operation(
        summary="List reconciliations",
        tag=_TAG,
        scope=contracts.READ,
        also=(contracts.OPERATOR,),
        description="For operators: what was found, of each asset by itself, the newest first. Old ones are forgotten.",
        errors=(paging.InvalidCursor, paging.InvalidLimit),
        answers={"items": [_EXAMPLE], "next": None},
    ),
)
async def list_reconciliations(parameters: ReportsAsked, custody: Custody) -> web.Page[Report]:
    found = await custody.reconciling.page(
        chain=parameters.chain, asset=parameters.asset, cursor=parameters.cursor, limit=parameters.limit
    )
    return web.page("/custody/reconciliations", parameters, found)


@post(
    "/custody/reconciliations/resume",
    status_code=200,
    opt=web.operation(
        summary="Resume withdrawals",
        tag=_TAG,
        scope=contracts.WITHDRAW,
        also=(contracts.OPERATOR,),
        description="For operators: let withdrawals of an asset go on although its chain and the ledger differ, as "
        "long as they differ by `difference`. If they differ otherwise by now it is refused with `difference_changed`. "
        "The answer is the last report.",
        errors=(
            errors.WithdrawalsNotStopped,
            errors.DifferenceChanged,
            money.InvalidAmount,
            money.AmountTooPrecise,
            money.AmountTooLarge,
        ),
        sends={"asset": "ETH", "difference": "-0.200000000000000000", "reason": "ticket 4711"},
        answers=_EXAMPLE,
    ),
)
async def resume(command: Resume, custody: Custody) -> Report:
    return await custody.reconciling.resume(asset=command.asset, difference=command.difference, reason=command.reason)


handlers = [reconcile, list_reconciliations, resume]
