"""Messages for queues that are full: they wait beside the outbox, so that what goes to other topics need not wait.

Of each topic they leave in the order in which they came, and before anything later of that topic: what comes while some
wait is put beside them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import msgspec
import structlog

from billfold.platform.messaging import outbox
from billfold.platform.messaging.port import Message, TopicFull
from billfold.platform.messaging.topics import Topic
from billfold.platform.postgres.database import Connection

#: Of messages that wait so many are published between two looks at the outbox, one after the other, in some tens of
#: milliseconds.
MESSAGES_MAX = 32
#: How long a queue that was full is left alone.
FULL_PAUSE_S = 1.0

log = structlog.get_logger(__name__)


class _Queue(msgspec.Struct):
    """A topic of which messages wait."""

    topic: Topic
    #: When it is tried next.
    due: float = 0.0


class Withheld:
    """The topics of which messages wait, as the relay that leads knows it."""

    def __init__(self, topics: Iterable[Topic]) -> None:
        # Whoever led before may have left some of each: it is looked once.
        self._queues = {topic.name: _Queue(topic) for topic in topics if topic.queue}

    def has(self, topic: Topic) -> bool:
        """Whether messages of it wait, so that later ones have to wait too."""
        return topic.name in self._queues

    async def keep(self, connection: Connection, topic: Topic, messages: Sequence[Message]) -> None:
        """Let these wait."""
        await outbox.withhold(connection, topic, messages)
        if topic.name not in self._queues:
            log.warning("a queue is full, and what is for it waits in the database", topic=topic.address)
            self._queues[topic.name] = _Queue(topic, due=_now() + FULL_PAUSE_S)

    async def next(self, connection: Connection) -> tuple[Topic, list[tuple[int, bytes]]] | None:
        """The first messages of a topic that may take some now, with their positions; None if there is none."""
        for queue in [*self._queues.values()]:
            if queue.due > _now():
                continue
            waiting = await outbox.withheld(connection, queue.topic, MESSAGES_MAX)
            if waiting:
                return queue.topic, waiting
            del self._queues[queue.topic.name]
        return None

    def refused(self, topic: Topic, full: TopicFull) -> None:
        """It is still full."""
        log.debug("a queue is still full", topic=topic.address, reason=full.detail)
        self._queues[topic.name].due = _now() + FULL_PAUSE_S


def _now() -> float:
    return asyncio.get_running_loop().time()
