"""Routes of events that a consumer has refused. No context owns them, and all of them are for operators."""

from typing import Annotated, Any

import msgspec
from litestar import get, post
from msgspec import Meta

from billfold.kernel import ids, paging
from billfold.kernel.clock import SystemClock
from billfold.kernel.principal import Principal
from billfold.platform import web
from billfold.platform.messaging import working_off
from billfold.platform.messaging.refused import RefusedEvent, RefusedEventContent, Status
from billfold.platform.messaging.working_off import SCOPE, WorkingOff
from billfold.platform.postgres.database import Database

_TAG = "Dead letters"
_PATH = "/admin/refused-events"
_LISTED: dict[str, Any] = {
    "id": "019aa2c6-7a00-7000-8000-00000000e002",
    "consumer": "feed",
    "status": "open",
    "reason": "event_failed",
    "detail": "The consumer failed: KeyError: 'money'",
    "type": "wallet.frozen.v1",
    "source": "/billfold/wallets",
    "event_id": "019aa2c6-7a00-7000-8000-00000000f001",
    "position": "billfold.events.wallet.frozen.v1 #4711",
    "deliveries": 1,
    "retries": 0,
    "refused_at": "2026-01-31T12:00:00.123456Z",
    "headers": {},
    "size": 29,
}
_EXAMPLE = _LISTED | {"content": "eyJzcGVjdmVyc2lvbiI6IjEuMCIs4oCmfQ=="}
_UNKNOWN = (ids.InvalidId, working_off.RefusedEventUnknown)
_DECIDED = (*_UNKNOWN, working_off.RefusedEventClosed)


class RefusedEventList(msgspec.Struct, frozen=True, kw_only=True):
    """Which refused events are wanted."""

    consumer: Annotated[str, Meta(max_length=100, description="Only those of this consumer.")] | None = None
    status: Annotated[Status, Meta(description="Only those; without it, all.")] | None = None
    cursor: web.Cursor = None
    limit: web.Limit = paging.LIMIT_DEFAULT


@get(
    _PATH,
    opt=web.operation(
        summary="List refused events",
        tag=_TAG,
        scope=SCOPE,
        everybody=SCOPE,
        description="Events that one of Billfold's consumers could not apply, the newest first, without contents.",
        errors=(paging.InvalidCursor, paging.InvalidLimit),
        answers={"items": [_LISTED], "next": None},
    ),
)
async def list_refused_events(
    parameters: RefusedEventList, principal: Principal, refused_events: WorkingOff
) -> web.Page[RefusedEvent]:
    found = await refused_events.page(
        principal=principal,
        consumer=parameters.consumer,
        status=parameters.status,
        cursor=parameters.cursor,
        limit=parameters.limit,
    )
    return web.page(web.PREFIX + _PATH, parameters, found)


@get(
    _PATH + "/{refused_event_id:str}",
    opt=web.operation(
        summary="Get a refused event",
        tag=_TAG,
        scope=SCOPE,
        everybody=SCOPE,
        description="With its content, byte for byte as it came.",
        errors=_UNKNOWN,
        answers=_EXAMPLE,
    ),
)
async def get_refused_event(
    refused_event_id: str, principal: Principal, refused_events: WorkingOff
) -> RefusedEventContent:
    return await refused_events.get(principal=principal, refused_event_id=ids.parse(refused_event_id))


@post(
    _PATH + "/{refused_event_id:str}/retry",
    status_code=202,
    opt=web.operation(
        summary="Retry a refused event",
        tag=_TAG,
        scope=SCOPE,
        everybody=SCOPE,
        description="Has its consumer try it once more, within seconds where that runs: it is `retrying` until the "
        "consumer has applied it, or has refused it again with a reason. However often it is retried, it is applied at "
        "most once. One whose try has ended its process stays `retrying` and can be retried, or discarded.",
        errors=_DECIDED,
        answers=_EXAMPLE | {"status": "retrying"},
    ),
)
async def retry_refused_event(
    refused_event_id: str, principal: Principal, refused_events: WorkingOff
) -> RefusedEventContent:
    return await refused_events.retry(principal=principal, refused_event_id=ids.parse(refused_event_id))


@post(
    _PATH + "/{refused_event_id:str}/discard",
    status_code=200,
    opt=web.operation(
        summary="Discard a refused event",
        tag=_TAG,
        scope=SCOPE,
        everybody=SCOPE,
        description="Leaves it as it is for good: its consumer never tries it again. It stays to be read.",
        errors=_DECIDED,
        answers=_EXAMPLE | {"status": "discarded"},
    ),
)
async def discard_refused_event(
    refused_event_id: str, principal: Principal, refused_events: WorkingOff
) -> RefusedEventContent:
    return await refused_events.discard(principal=principal, refused_event_id=ids.parse(refused_event_id))


def part(database: Database) -> web.Part:
    """What they add to the API."""
    return web.Part(
        handlers=[list_refused_events, get_refused_event, retry_refused_event, discard_refused_event],
        dependencies={"refused_events": WorkingOff(database=database, clock=SystemClock())},
    )
