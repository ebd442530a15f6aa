"""What Billfold asks of a message broker. The adapters are in `brokers`; nobody else knows which one it is.

A broker is a live connection. When it is lost, everything that uses it ends with BrokerUnavailable; whoever works in a
loop connects anew, and says again what was not acknowledged. So every message may come more than once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

import msgspec

from billfold.kernel import errors
from billfold.platform.messaging.topics import Topic


class BrokerUnavailable(errors.Unavailable):
    """The message broker can't be reached now, or does not take messages."""

    code = "broker_unavailable"


class TopicFull(BrokerUnavailable):
    """A queue of the message broker takes no more before somebody takes from it."""

    code = "broker_topic_full"


class MessageTooLarge(BrokerUnavailable):
    """A message is larger than its topic in the message broker takes."""

    code = "broker_message_too_large"


class MessageUnreadable(BrokerUnavailable):
    """The message broker has messages that can't be read: damaged, or compressed in a way that is not known here."""

    code = "broker_message_unreadable"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What is published: a CloudEvent in structured JSON."""

    topic: Topic
    #: The event's type, by which subscribers choose.
    type: str
    #: Source, slash and id. A broker that remembers ids drops a message that it has stored in the last minutes.
    id: str
    #: Messages with the same key stay in order.
    key: str
    body: bytes
    headers: Mapping[str, str] = {}


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message as a broker delivers it."""

    #: As Message.type; empty where its sender has not said.
    type: str
    headers: Mapping[str, str]
    body: bytes
    #: Where it lay in the broker (a subject, a partition, a queue), and its number there; 0 where nothing is numbered.
    subject: str
    sequence: int
    #: How often it has come by now. Where the broker does not count single messages it is how often a batch that began
    #: with it or before it has come without any of it being settled.
    deliveries: int
    #: By what its adapter settles it.
    receipt: object = None

    @property
    def position(self) -> str:
        """Where to find it, for people."""
        return f"{self.subject} #{self.sequence}"


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """Who reads what. Its place in the topic is kept by the broker under its name."""

    #: Small letters and hyphens.
    name: str
    topic: Topic
    #: Full types, or beginnings that end with a dot, such as `transfer.`; all types when empty.
    types: tuple[str, ...] = ()
    #: Whether messages with the same key are delivered in order. Then one process consumes at a time, which the caller
    #: sees to; otherwise any number of them share the messages.
    ordered: bool = True


class Bookmark(msgspec.Struct, kw_only=True):
    """How far a reader of `Broker.tailing` is. Given to a new connection, it goes on there."""

    start: Literal["beginning", "new"]
    #: The number of the next message, by the part of the topic. The adapter's.
    following: dict[str, int] = msgspec.field(default_factory=dict)


class Backlog(msgspec.Struct, frozen=True):
    """Messages that a subscription has not been given yet, and those given and not settled, where they are counted."""

    waiting: int
    in_hand: int = 0


class Consumption(Protocol):
    """The messages that a subscription has in hand. They stay ours while the block of `Broker.consuming` lasts."""

    async def fetch(self, limit: int, *, max_bytes: int, wait_s: float) -> Sequence[Delivery]:
        """Up to `limit` messages as soon as there is one; none after `wait_s`.

        Raises:
            BrokerUnavailable: the connection is lost.
        """
        ...

    async def settle(self, deliveries: Sequence[Delivery]) -> None:
        """They are done: the broker is told so, and not to deliver them again. What it forgets in a crash comes again.

        Raises:
            BrokerUnavailable: they may come again.
        """
        ...


class Broker(Protocol):
    """A live connection, used for one thing after the other."""

    @property
    def body_max_bytes(self) -> int:
        """The largest body that the broker takes."""
        ...

    async def ensure(self, topic: Topic) -> None:
        """Make `topic` where it is missing.

        Raises:
            BrokerUnavailable: the broker does not answer, or refuses.
        """
        ...

    async def publish(self, messages: Sequence[Message], *, perhaps_repeated: bool = True) -> None:
        """Publish to one topic, in order. When this returns, all of them are stored durably.

        `perhaps_repeated` is False only when none of them can have been published before, and nobody else publishes
        them now.

        Raises:
            MessageTooLarge: at least one of them is, or all together; some of them may have been stored.
            TopicFull: and other topics may take what is theirs. Otherwise as with BrokerUnavailable.
            BrokerUnavailable: some of them may have been stored: publish the same again, with the same ids.
        """
        ...

    def consuming(self, subscription: Subscription) -> AbstractAsyncContextManager[Consumption]:
        """Take messages until the block ends.

        When it ends because we stop or because something is not available, what is in hand and not settled is given
        back at once; after a bug it comes again later, which gives the next process time.

        Raises:
            BrokerUnavailable: the connection is lost.
        """
        ...

    def tailing(
        self, topic: Topic, *, types: tuple[str, ...] = (), bookmark: Bookmark
    ) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """Read along without a place of one's own in the broker: every reader gets everything.

        Raises:
            BrokerUnavailable: the connection is lost; `bookmark` says how far it came.
        """
        ...

    async def backlog(self, subscription: Subscription) -> Backlog | None:
        """How much waits for a subscription; None when nobody has ever consumed it.

        Raises:
            BrokerUnavailable: it can't be known now.
        """
        ...


class Messaging(Protocol):
    """Where a broker is and who we are there."""

    def connected(self, *, name: str) -> AbstractAsyncContextManager[Broker]:
        """A connection until the block ends; `name` is what the broker's monitoring shows.

        Raises:
            BrokerUnavailable: nothing answers there, or not to these credentials.
        """
        ...


def selects(types: tuple[str, ...], kind: str) -> bool:
    """Whether a subscription to `types` wants messages of this type."""
    return not types or any(kind == wanted or (wanted.endswith(".") and kind.startswith(wanted)) for wanted in types)
