"""The stream of events: Server-Sent Events as the HTML standard has them (9.2)."""

from typing import Any

import msgspec
from litestar import Request, get

from billfold.kernel.errors import BillfoldError
from billfold.kernel.principal import MissingScope, Principal
from billfold.notifications import Notifications, errors
from billfold.notifications.contracts import FeedEvent
from billfold.notifications.rest import asking
from billfold.notifications.rest.asking import After, TopicList
from billfold.notifications.rest.events import EXAMPLE
from billfold.platform import web
from billfold.platform.web import Again, Write

#: Proxies hang up on connections that are silent for a minute.
HEARTBEAT_S = 15.0
#: After this a browser connects again by itself.
RETRY_MS = 2_000
_HEARTBEAT = b":\n\n"

_encode = msgspec.json.Encoder().encode


class StreamQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What of what happens is wanted."""

    topics: TopicList = None
    after: After = None


@get(
    "/stream",
    media_type=web.EVENT_STREAM,
    opt=web.operation(
        summary="Follow events",
        tag="Events",
        scope=web.Access.CALLER,
        description="What happens to your things, as Server-Sent Events, as far as your credentials may see it. Each "
        "has its position as its id: connect again with `Last-Event-ID` (browsers do by themselves), and nothing is "
        "missing and nothing comes twice. Without it, and without `after`, it begins now.",
        errors=(
            MissingScope,
            errors.TopicUnknown,
            errors.PositionUnknown,
            errors.EventsForgotten,
            errors.TooManyStreams,
            errors.StreamsFull,
            errors.StreamFailed,
            errors.ServerStopping,
        ),
        media_types=(web.EVENT_STREAM,),
        answers=f"id: 42\ndata: {_encode(EXAMPLE).decode()}\n\n",
    ),
)
async def follow_events(
    parameters: StreamQuestion,
    principal: Principal,
    again: Again,
    request: Request[Any, Any, Any],
    notifications: Notifications,
) -> web.Streamed:
    wanted = None if parameters.topics is None else asking.topics(asking.listed(parameters.topics), pointer="topics")
    # A browser that connects again still has the address with the old `after`.
    after = _last_event_id(request.headers.get("last-event-id"))
    after = parameters.after if after is None else after

    async def write(send: Write) -> None:
        async with notifications.live.listening(principal, again) as stream:
            await stream.hear(wanted, after=after)
            await send(_ready(stream.position))
            try:
                while True:
                    events = await stream.next(wait_s=HEARTBEAT_S)
                    await send(b"".join(map(_frame, events)) or _HEARTBEAT)
            except BillfoldError as error:
                await send(_end(error))

    return web.Streamed(write, media_type=web.EVENT_STREAM)


def _last_event_id(text: str | None) -> int | None:
    """Raises: PositionUnknown."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):  # noqa: PLR2004 - what a bigint has room for.
        raise errors.PositionUnknown(pointer="Last-Event-ID")
    return int(text)


def _ready(position: int) -> bytes:
    """The first thing that is sent, so that whoever hears nothing else knows where to go on."""
    return b'retry: %d\nid: %d\nevent: ready\ndata: {"position":%d}\n\n' % (RETRY_MS, position, position)


def _frame(event: FeedEvent) -> bytes:
    # JSON has no line breaks of its own.
    return b"id: %d\ndata: %b\n\n" % (event.position, _encode(event))


def _end(error: BillfoldError) -> bytes:
    said = _encode({"code": error.code, "detail": error.detail, "retryable": error.retryable})
    return b"event: end\ndata: %b\n\n" % said


handlers = [follow_events]
