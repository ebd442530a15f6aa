"""A fact that happened, as CloudEvents 1.0 tells it (github.com/cloudevents/spec)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True):
    """One CloudEvent with a JSON payload.

    `id` never repeats within `source`; `key` orders: events with the same key are delivered in commit order.
    """

    id: str
    #: Past tense and versioned: `transfer.posted.v1`. Fields of the payload are only ever added within a version.
    type: str
    #: The context that tells it, such as `/billfold/ledger`.
    source: str
    #: What it is about, such as the transfer's id.
    subject: str
    time: datetime
    #: What orders it, such as the wallet's or account's id.
    key: str
    #: Whatever msgspec writes as a JSON object, or the JSON itself.
    data: dict[str, Any] | msgspec.Struct | msgspec.Raw
    #: W3C's `traceparent` of what it happened for, if that is recorded.
    traceparent: str | None = None
