"""A member of a Kafka consumer group: records in hand, and how far the group is.

Kafka keeps one number for each partition, the first record that is not settled, and counts no deliveries. So how often
that record has been handed out stands beside it, in the note that Kafka keeps with a committed offset.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.structs import OffsetAndMetadata

from billfold.platform.messaging.port import Delivery, Subscription, selects

#: A member that nobody hears of for so long is dead, and its partitions go to others.
SESSION_TIMEOUT_S = 10
HEARTBEAT_S = 3
#: Whoever handles a batch for long is alive all the same; their heart beats.
HANDLING_MAX_S = 24 * 60 * 60
#: What is fetched ahead, of all partitions and of each.
AHEAD_MAX_BYTES = 8 * 1024 * 1024
COMMIT_TIMEOUT_S = 10.0
#: What a sender has aborted was never said. The end of a topic is then before the first transaction that is open.
ISOLATION = "read_committed"

#: The group has given our partitions to others meanwhile, or is about to: they will meet what we have settled again.
_NOT_OURS = (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

#: How far the group is in these partitions; -1 where it has not settled anything.
Committed = Callable[[Sequence[TopicPartition]], Awaitable[Mapping[TopicPartition, OffsetAndMetadata]]]

log = structlog.get_logger(__name__)


class _Part:
    """A partition that is ours."""

    def __init__(self, tries: int) -> None:
        #: How often what comes first was handed out, this time included.
        self.tries = tries
        self.next = 0
        #: How often each record that is not settled was handed out, in order.
        self.in_hand: dict[int, int] = {}

    @property
    def settled(self) -> tuple[int, str]:
        """What is to be committed: the first record that is not settled, and how often it was handed out."""
        for offset, deliveries in self.in_hand.items():
            return offset, str(deliveries)
        return self.next, ""


class GroupHand(ConsumerRebalanceListener):  # type: ignore[misc]
    """As port.Consumption."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        subscription: Subscription,
        committed: Committed,
        translated: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._consumer = consumer
        self._committed = committed
        self._subscription = subscription
        self._translated = translated
        self._parts: dict[TopicPartition, _Part] = {}
        #: What the client has given and we have not handed out: it won't give it again.
        self._given: dict[TopicPartition, list[ConsumerRecord]] = {}
        #: How far there was nothing for us in partitions of which nothing was handed out.
        self._nothing_until: dict[TopicPartition, int] = {}
        #: Counts the assignments: what was handed out under an earlier one is not ours to settle.
        self._era = 0

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """What is in hand comes to somebody else, or to us again: with each assignment all of it is given anew."""
        del revoked
        self._parts.clear()
        self._given = {}
        self._nothing_until.clear()
        self._era += 1

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """They are looked at when something comes from them."""

    async def fetch(self, limit: int, *, max_bytes: int, wait_s: float) -> list[Delivery]:
        """As Consumption.fetch. What is fetched ahead is bounded by AHEAD_MAX_BYTES."""
        del max_bytes
        with self._translated():
            if not self._given:
                self._given = await self._consumer.getmany(timeout_ms=int(wait_s * 1000), max_records=limit)
            if not self._given:
                await self._pass_by()
            new = {part: found[0].offset for part, found in self._given.items() if part not in self._parts}
            await self._take_over(new)
        records, self._given = self._given, {}
        taken = [delivery for part, found in records.items() for delivery in self._handed_out(part, found)]
        if not taken:
            await self.settle([])
        return taken

    async def settle(self, deliveries: Sequence[Delivery]) -> None:
        """As Consumption.settle. Of what is not ours any more nothing is said."""
        for delivery in deliveries:
            assert isinstance(delivery.receipt, tuple), "it came from here"
            part, offset, era = delivery.receipt
            if era == self._era:
                self._parts[part].in_hand.pop(offset, None)
        with self._translated():
            await self._commit({part: state.settled for part, state in self._parts.items() if state.next})

    async def _take_over(self, first: Mapping[TopicPartition, int]) -> None:
        """Note that these first records of partitions are handed out once more, before they are."""
        if not first:
            return
        era, known = self._era, await self._committed([*first])
        if era != self._era:
            return
        notes = {}
        for part, offset in first.items():
            self._parts[part] = _Part(tries=_tries(known[part]) + 1)
            notes[part] = (offset, str(self._parts[part].tries))
        await self._commit(notes)

    async def _pass_by(self) -> None:
        """Note how far there is nothing more for us: ends of transactions, and what was aborted, have offsets, too.

        The client gives none of them, and counted as waiting they would wait for ever.
        """
        era, reading = self._era, [part for part in self._consumer.assignment() if self._has_read(part)]
        try:
            at = {part: await self._consumer.position(part) for part in reading}
        except _NOT_OURS:
            return
        new = [part for part in at if part not in self._parts and self._nothing_until.get(part) != at[part]]
        known = await self._committed(new) if new else {}
        if era != self._era:
            return
        for part, state in self._parts.items():
            state.next = at.get(part, state.next)
        self._nothing_until |= {part: at[part] for part in new}
        # What the group is at already has a note of how often it was handed out.
        await self._commit({part: (at[part], "") for part in new if max(known[part].offset, 0) < at[part]})

    def _has_read(self, part: TopicPartition) -> bool:
        return self._consumer.last_stable_offset(part) is not None

    def _handed_out(self, part: TopicPartition, records: Sequence[ConsumerRecord]) -> list[Delivery]:
        state = self._parts[part]
        taken = []
        for record in records:
            delivery = delivery_of(record, deliveries=state.tries, receipt=(part, record.offset, self._era))
            if not delivery.type or selects(self._subscription.types, delivery.type):
                state.in_hand[record.offset] = state.tries
                taken.append(delivery)
            state.next = record.offset + 1
        state.tries = 1
        return taken

    async def _commit(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        if not offsets:
            return
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                await self._consumer.commit(dict(offsets))
        except _NOT_OURS as error:
            log.info("partitions have gone to others in the middle of a batch", reason=repr(error))


def _tries(committed: OffsetAndMetadata) -> int:
    """How often what comes next was handed out by now. Whoever else has moved the group says nothing of that."""
    note = committed.metadata or ""
    return int(note) if note.isdecimal() else 0


def group_of(subscription: Subscription) -> str:
    """The consumer group of a subscription."""
    return f"billfold.{subscription.name}"


@asynccontextmanager
async def joined(
    subscription: Subscription,
    options: Mapping[str, Any],
    committed: Committed,
    translated: Callable[[], AbstractContextManager[None]],
    stopped: Callable[[AIOKafkaConsumer], Awaitable[None]],
) -> AsyncIterator[GroupHand]:
    """A member of the subscription's group until the block ends."""
    async with AsyncExitStack() as clients:
        consumer = AIOKafkaConsumer(
            **options,
            group_id=group_of(subscription),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level=ISOLATION,
            session_timeout_ms=SESSION_TIMEOUT_S * 1000,
            heartbeat_interval_ms=HEARTBEAT_S * 1000,
            max_poll_interval_ms=HANDLING_MAX_S * 1000,
            fetch_max_bytes=AHEAD_MAX_BYTES,
        )
        clients.push_async_callback(stopped, consumer)
        hand = GroupHand(consumer, subscription, committed, translated)
        with translated():
            consumer.subscribe([subscription.topic.address], listener=hand)
            await consumer.start()
        yield hand


def delivery_of(record: ConsumerRecord, *, deliveries: int, receipt: object = None) -> Delivery:
    """What a record is for the port. Kafka knows headers without a value, and asks nobody for UTF-8."""
    headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
    return Delivery(
        type=headers.get("ce_type", ""),
        headers=headers,
        body=record.value or b"",
        subject=f"{record.topic}/{record.partition}",
        sequence=record.offset,
        deliveries=deliveries,
        receipt=receipt,
    )
