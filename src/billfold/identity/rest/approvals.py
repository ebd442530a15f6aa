"""Requests that wait for a second person, over HTTP."""

from typing import Annotated, Any

import msgspec
from litestar import get, post
from msgspec import Meta

from billfold.identity import Identity, errors
from billfold.identity.contracts import Approval, ApprovalStatus, Rejection
from billfold.kernel import ids, paging
from billfold.kernel.principal import Principal
from billfold.platform import web

_TAG = "Approvals"
EXAMPLE: dict[str, Any] = {
    "id": "019aa2c6-7a00-7000-8000-00000000f001",
    "kind": "movement",
    "status": "pending",
    "content": {
        "kind": "deposit",
        "to": "019aa2c6-7a00-7000-8000-00000000a001",
        "money": {"amount": "12.34", "asset": "USD"},
        "description": "Goodwill",
    },
    "resolved": [],
    "maker_id": "019aa2c6-7a00-7000-8000-00000000d001",
    "checker_id": None,
    "requested_at": "2026-11-21T09:30:00.123456Z",
    "expires_at": "2026-11-24T09:30:00.123456Z",
    "decided_at": None,
    "ended_at": None,
    "reason": None,
}
_DECIDED = EXAMPLE | {
    "checker_id": "019aa2c6-7a00-7000-8000-00000000d002",
    "decided_at": "2026-11-21T10:00:00Z",
    "ended_at": "2026-11-21T10:00:00Z",
}
_REFUSED = (errors.ApprovalUnknown, errors.ApprovalEnded, ids.InvalidId)
_NOT_YOU = (errors.OwnApproval, errors.ApprovalConcernsYou)


class ApprovalList(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests are wanted."""

    status: Annotated[ApprovalStatus, Meta(description="Only these.")] | None = None
    limit: web.Limit = paging.LIMIT_DEFAULT
    cursor: web.Cursor = None


@get(
    "/approvals",
    opt=web.operation(
        summary="List what waits for a second person",
        tag=_TAG,
        scope=web.Access.CALLER,
        everybody="approvals:read",
        description="What you have asked for, or with the scope `approvals:read` what anybody has; the newest first.",
        errors=(paging.InvalidCursor,),
        answers={"items": [EXAMPLE], "next": None},
    ),
)
async def list_approvals(parameters: ApprovalList, principal: Principal, identity: Identity) -> web.Page[Approval]:
    found = await identity.approvals.list(
        by=principal, status=parameters.status, limit=parameters.limit, cursor=parameters.cursor
    )
    return web.page(f"{web.PREFIX}/approvals", parameters, found)


@get(
    "/approvals/{approval_id:str}",
    opt=web.operation(
        summary="Show what waits for a second person",
        tag=_TAG,
        scope=web.Access.CALLER,
        everybody="approvals:read",
        description="Whoever has asked for it sees it, and whoever has the scope `approvals:read`.",
        errors=(errors.ApprovalUnknown, ids.InvalidId),
        answers=EXAMPLE,
    ),
)
async def show_approval(approval_id: str, principal: Principal, identity: Identity) -> Approval:
    return await identity.approvals.find(by=principal, approval_id=ids.parse(approval_id))


@post(
    "/approvals/{approval_id:str}/approve",
    status_code=200,
    opt=web.operation(
        summary="Approve a request",
        tag=_TAG,
        scope="approvals:write",
        everybody="approvals:write",
        description="It is carried out at once, as whoever has asked, who must still be allowed to. Nobody approves "
        "what they have asked for themselves, by whatever credentials, nor what concerns them. Again it carries out "
        "only what was not.",
        errors=(*_REFUSED, *_NOT_YOU),
        answers=_DECIDED | {"status": "executed"},
    ),
)
async def approve(approval_id: str, principal: Principal, identity: Identity) -> Approval:
    return await identity.approvals.approve(by=principal, approval_id=ids.parse(approval_id))


@post(
    "/approvals/{approval_id:str}/reject",
    status_code=200,
    opt=web.operation(
        summary="Reject a request",
        tag=_TAG,
        scope="approvals:write",
        everybody="approvals:write",
        description="It comes to nothing; whoever has asked for it sees why. Again it changes nothing.",
        errors=(*_REFUSED, *_NOT_YOU),
        sends={"reason": "No invoice for this."},
        answers=_DECIDED | {"status": "rejected", "reason": "No invoice for this."},
    ),
)
async def reject(approval_id: str, command: Rejection, principal: Principal, identity: Identity) -> Approval:
    return await identity.approvals.reject(by=principal, approval_id=ids.parse(approval_id), reason=command.reason)


@post(
    "/approvals/{approval_id:str}/cancel",
    status_code=200,
    opt=web.operation(
        summary="Take a request back",
        tag=_TAG,
        scope=web.Access.CALLER,
        description="Your own, as long as nobody has decided. Again it changes nothing.",
        errors=_REFUSED,
        answers=EXAMPLE | {"status": "cancelled", "ended_at": "2026-11-21T10:00:00Z"},
    ),
)
async def cancel(approval_id: str, principal: Principal, identity: Identity) -> Approval:
    return await identity.approvals.cancel(by=principal, approval_id=ids.parse(approval_id))


handlers = [list_approvals, show_approval, approve, reject, cancel]
