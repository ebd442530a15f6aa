"""The list of events."""

from typing import Annotated

import msgspec
from litestar import get
from msgspec import Meta

from billfold.kernel import clock, paging
from billfold.kernel.principal import MissingScope, Principal
from billfold.notifications import Notifications, errors
from billfold.notifications.contracts import EventFilter, FeedEvent, Order
from billfold.notifications.rest import asking
from billfold.notifications.rest.asking import After, TopicList
from billfold.platform import web

EXAMPLE = {
    "position": 42,
    "specversion": "1.0",
    "id": "019aa2c6-7a00-7000-8000-00000000b001",
    "source": "/billfold/ledger",
    "type": "transfer.posted.v1",
    "subject": "019aa2c6-7a00-7000-8000-00000000b001",
    "time": "2026-01-31T12:00:00.000000Z",
    "datacontenttype": "application/json",
    "data": {
        "id": "019aa2c6-7a00-7000-8000-00000000b001",
        "kind": "transfer",
        "money": {"amount": "12.34", "asset": "USD"},
        "reference": "invoice 7",
        "description": "",
        "metadata": {},
        "effective_at": "2026-01-31T12:00:00.000000Z",
        "recorded_at": "2026-01-31T12:00:00.000000Z",
        "entries": [
            {
                "wallet": "019aa2c6-7a00-7000-8000-00000000a001",
                "direction": "out",
                "balance": "87.66",
                "version": 2,
                "counterparty": "019aa2c6-7a00-7000-8000-00000000a002",
            }
        ],
    },
}


class EventList(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are wanted."""

    type: (
        Annotated[
            str,
            Meta(
                description="Only of these types, separated by commas; one that ends with a dot is the beginning of "
                "several.",
                examples=["transfer.posted.v1,hold."],
                max_length=2_000,
            ),
        ]
        | None
    ) = None
    topics: TopicList = None
    subject: Annotated[str, Meta(description="Only about this.", max_length=1_024)] | None = None
    since: (
        Annotated[clock.Text, Meta(description="Happened at this instant or later.", examples=["2026-01-01"])] | None
    ) = None
    until: Annotated[clock.Text, Meta(description="Happened before this instant.", examples=["2026-02-01"])] | None = (
        None
    )
    after: After = None
    order: Annotated[Order, Meta(description="`oldest` first is how they are replayed.")] = "newest"
    cursor: web.Cursor = None
    limit: Annotated[int, Meta(description="How many at most, 1 to 100; by default 25.", examples=[25])] | None = None

    def filter(self) -> EventFilter:
        """The question in the words of the contract."""
        return EventFilter(
            types=asking.listed(self.type),
            topics=None if self.topics is None else asking.topics(asking.listed(self.topics), pointer="topics"),
            subject=self.subject,
            since=None if self.since is None else clock.parse(self.since, pointer="since"),
            until=None if self.until is None else clock.parse(self.until, pointer="until"),
            after=self.after,
        )


@get(
    "/events",
    opt=web.operation(
        summary="List events",
        tag="Events",
        scope=web.Access.CALLER,
        description="What has happened to your things in the last 30 days, as far as your credentials may see it. "
        "Events have positions that count 1, 2, 3 …: with `order=oldest` and `after` you read on where you were.",
        errors=(
            paging.InvalidCursor,
            paging.InvalidLimit,
            clock.InvalidInstant,
            MissingScope,
            errors.TopicUnknown,
            errors.PositionUnknown,
            errors.EventsForgotten,
        ),
        answers={"items": [EXAMPLE], "next": None},
    ),
)
async def list_events(parameters: EventList, principal: Principal, notifications: Notifications) -> web.Page[FeedEvent]:
    found = await notifications.feed.page(
        principal=principal,
        wanted=parameters.filter(),
        order=parameters.order,
        cursor=parameters.cursor,
        limit=parameters.limit,
    )
    return web.page(f"{web.PREFIX}/events", parameters, found)


handlers = [list_events]
