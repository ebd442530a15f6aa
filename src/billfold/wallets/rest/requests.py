"""Routes of what was accepted to be carried out later."""

from typing import Annotated, Any

import msgspec
from litestar import Response, get, post
from msgspec import Meta

from billfold.kernel import idempotency, ids
from billfold.kernel.principal import Principal
from billfold.ledger import errors as ledger_errors
from billfold.platform import web
from billfold.wallets import Wallets, contracts, errors
from billfold.wallets.contracts import MoneyRequest, RequestStatus
from billfold.wallets.rest import answers, examples, later, refusals
from billfold.wallets.rest.answers import Page

_TAG = "Requests"
_ONE = (ids.InvalidId, errors.RequestUnknown)


class RequestList(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests are wanted."""

    status: Annotated[RequestStatus, Meta(description="Only those of this status.")] | None = None
    cursor: answers.Cursor = None
    limit: answers.Limit = None


@get(
    later.PATH,
    opt=web.operation(
        summary="List requests",
        tag=_TAG,
        scope=contracts.TRANSFERS_READ,
        description="Transfers, deposits and withdrawals of yours that were sent with `Prefer: respond-async`; the "
        "newest first.",
        errors=refusals.PAGE,
        answers={"items": [examples.REQUEST], "next": None},
    ),
)
async def list_requests(parameters: RequestList, principal: Principal, wallets: Wallets) -> Page[MoneyRequest]:
    found = await wallets.requests.page(
        principal=principal, status=parameters.status, cursor=parameters.cursor, limit=parameters.limit
    )
    return answers.page(later.PATH, parameters, found)


@get(
    f"{later.PATH}/{{request_id:str}}",
    opt=web.operation(
        summary="Get a request",
        tag=_TAG,
        scope=contracts.TRANSFERS_READ,
        description="What has become of it. With `Prefer: wait=N` the answer comes when it has ended, or after N "
        "seconds.",
        headers={"History-Source": "Where it was read: `postgresql`, or `cql` for the copy of what has ended."},
        errors=_ONE,
        answers=examples.REQUEST,
    ),
)
async def get_request(
    request_id: str, principal: Principal, preferences: web.Preferences, wallets: Wallets
) -> Response[MoneyRequest]:
    wait_s = preferences.wait_s
    found = await wallets.requests.request(principal=principal, request_id=ids.parse(request_id), wait_s=wait_s or 0)
    headers: dict[str, Any] = {"History-Source": found.source}
    if wait_s is not None:
        headers["Preference-Applied"] = f"wait={wait_s}"
    return Response(found.request, headers=headers)


@post(
    f"{later.PATH}/{{request_id:str}}/cancel",
    status_code=200,
    opt=web.operation(
        summary="Cancel a request",
        tag=_TAG,
        scope=contracts.ORDER_SCOPES["transfer"],
        instead=(contracts.ORDER_SCOPES["deposit"], contracts.ORDER_SCOPES["withdrawal"]),
        description="Take back what was not carried out yet. Once that is answered, nothing is ever moved by it. "
        "It takes the scope that the request itself took: that of transfers, deposits or withdrawals.",
        errors=(
            *_ONE,
            errors.RequestEnded,
            idempotency.IdempotencyKeyInUse,
            ledger_errors.OutcomeUnknown,
            ledger_errors.Overloaded,
        ),
        answers=examples.ACCEPTED | {"status": "cancelled", "ended_at": examples.AT},
    ),
)
async def cancel(request_id: str, principal: Principal, wallets: Wallets) -> MoneyRequest:
    return await wallets.requests.cancel(principal=principal, request_id=ids.parse(request_id))


handlers = [list_requests, get_request, cancel]
