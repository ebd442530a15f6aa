"""Why the notifications context turns a request or a message down.

BillfoldError
├── NotFound
│   └── Gone           EventsForgotten
├── Conflict           SlowReader
├── Denied
│   └── Unauthenticated  NotAuthenticated
├── Invalid            PositionUnknown, TopicUnknown, AfterTooLate, MessageInvalid, MessageUnknown
├── TooOften           TooManyStreams, TooManyMessages
└── Unavailable        StreamsFull, StreamFailed, ServerStopping
"""

from __future__ import annotations

from billfold.kernel import errors


class EventsForgotten(errors.Gone):
    """The events right behind this position are not kept any more; begin anew, and read the state from the API."""

    code = "events_forgotten"


class PositionUnknown(errors.Invalid):
    """There is no such position in your events yet; go on behind one that you were given."""

    code = "position_unknown"


class TopicUnknown(errors.Invalid):
    """There is no such topic: there are balances, transactions, requests, wallets and security."""

    code = "topic_unknown"


class MessageInvalid(errors.Invalid):
    """The message is not one JSON object with the fields that its type has."""

    code = "message_unreadable"


class MessageUnknown(errors.Invalid):
    """There are no messages of this type: send authenticate, subscribe, unsubscribe or ping."""

    code = "message_type_unknown"


class NotAuthenticated(errors.Unauthenticated):
    """Say who you are first: {"type": "authenticate", "token": "…"}, within ten seconds."""

    code = "not_authenticated"


class AfterTooLate(errors.Invalid):
    """`after` belongs into the first subscribe of a connection."""

    code = "after_too_late"


class SlowReader(errors.Conflict):
    """You have read more slowly than things have happened; connect again and go on where you were."""

    code = "slow_reader"
    retryable = True


class TooManyStreams(errors.TooOften):
    """You have as many streams open as one may have; close one of them."""

    code = "too_many_streams"
    wait_s = 5


class TooManyMessages(errors.TooOften):
    """You have sent more messages than one may send in that time."""

    code = "too_many_messages"
    wait_s = 10


class StreamsFull(errors.Unavailable):
    """This server has as many streams open as it takes; try again in a moment, or read the list of events."""

    code = "streams_full"


class StreamFailed(errors.Unavailable):
    """This server can't tell what happens now; connect again in a moment, and go on where you were."""

    code = "stream_failed"


class ServerStopping(errors.Unavailable):
    """This server is stopping; connect again, and go on where you were."""

    code = "server_stopping"
