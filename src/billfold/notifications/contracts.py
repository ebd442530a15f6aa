"""What callers give the notifications context and get from it."""

from datetime import datetime
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

#: What somebody can listen to. An event may belong to several.
Topic = Literal["balances", "transactions", "requests", "wallets", "security"]
TOPICS: tuple[Topic, ...] = get_args(Topic)
Order = Literal["newest", "oldest"]


class FeedEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A CloudEvent as its owner may see it."""

    position: Annotated[
        int, Meta(description="Its number among all events of its owner: 1, 2, 3 … Go on behind it by `after`.")
    ]
    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: Annotated[str, Meta(examples=["transfer.posted.v1"])]
    subject: str
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    data: Annotated[msgspec.Raw, Meta(description="A JSON object; docs/reference/live.md has its fields.")]


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are wanted; every given field narrows."""

    #: Full types, or beginnings that end with a dot, such as `transfer.`.
    types: tuple[str, ...] = ()
    topics: tuple[Topic, ...] | None = None
    subject: str | None = None
    #: Happened at this instant or later.
    since: datetime | None = None
    #: Happened before this instant.
    until: datetime | None = None
    #: Only behind this position; None is from the oldest that is kept.
    after: int | None = None


class Place(msgspec.Struct, frozen=True):
    """Where an owner's feed ends, and what of its beginning is not kept any more."""

    position: int
    forgotten: int
