"""Routes of the tree: signed heads, that one begins another, and the keys that they are checked with."""

from typing import Annotated

import msgspec
from litestar import get
from msgspec import Meta

from billfold.audit import Audit, errors
from billfold.audit.contracts import Consistency, SignedHead
from billfold.audit.rest.kept import TAG, kept
from billfold.audit.rest.records import OwnList
from billfold.kernel import paging
from billfold.platform import web

_HEADS = "/audit/heads"
_NOTE = "billfold/audit\n4712\nJmBxGG1Wvb…=\n2026-01-31T12:00:10.000000Z\n\n\u2014 billfold/audit 1y4hFm9q…=\n"
#: Sizes are below.
_SIZE_MAX = 2**63 - 1
_Size = Annotated[int, Meta(ge=0, le=_SIZE_MAX, description="The size of a head.", examples=[2048])]


class Two(msgspec.Struct, frozen=True, kw_only=True):
    """Two heads."""

    first: _Size
    second: _Size


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """What heads are checked with."""

    keys: Annotated[list[str], Meta(description="Public keys, one line each, the newest first.")]


@get(
    _HEADS,
    opt=web.operation(
        summary="List signed heads",
        tag=TAG,
        scope=web.Access.CALLER,
        description="The newest first. A head tells how much was recorded when, and nothing of what. Keep one, and you "
        "can tell later that nothing before it was changed.",
        errors=(paging.InvalidCursor, paging.InvalidLimit, errors.AuditNotKept),
        answers={"items": [{"size": 4712, "sealed_at": "2026-01-31T12:00:10Z", "note": _NOTE}], "next": None},
    ),
)
async def list_heads(parameters: OwnList, audit: Audit | None) -> web.Page[SignedHead]:
    found = await kept(audit).reading.heads(limit=parameters.limit, cursor=parameters.cursor)
    return web.page(web.PREFIX + _HEADS, parameters, found)


@get(
    "/audit/consistency",
    opt=web.operation(
        summary="Prove that a head begins another",
        tag=TAG,
        scope=web.Access.CALLER,
        description="By RFC 6962: nothing that the first head covers was changed, removed or put in between before the "
        "second.",
        errors=(errors.HeadUnknown, errors.AuditNotKept),
        answers={"first": _NOTE, "second": _NOTE, "proof": ["RIOIi9dvQZW0sDTtIx3WuJlLtuZBhaQmqjVjY1TIcXo="]},
    ),
)
async def prove_consistency(parameters: Two, audit: Audit | None) -> Consistency:
    return await kept(audit).reading.consistency(first=parameters.first, second=parameters.second)


@get(
    "/audit/keys",
    opt=web.operation(
        summary="List the keys that sign heads",
        tag=TAG,
        scope=web.Access.CALLER,
        description="Keep them where you keep heads: whoever could change both would be believed.",
        errors=(errors.AuditNotKept,),
        answers={"keys": ["billfold/audit+d72e2116+AVfn…"]},
    ),
)
async def list_keys(audit: Audit | None) -> Keys:
    return Keys(keys=await kept(audit).sealing.public_keys())


handlers = [list_heads, prove_consistency, list_keys]
