"""Another system that puts confirmed transactions on the queue, and writes down which the queue has said it keeps."""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec
import nats
import nats.errors

from billfold.platform.messaging.brokers.nats import closed_for_good
from tests.crash import journal
from tests.crash.asking import PAUSE_S

SUBJECT = "billfold.confirmed-transactions"
#: Enough messages to be in the middle of a batch at any time, without drowning a small machine.
BETWEEN_S = 0.01
#: An id is unique at its source alone: some transactions of the two have the same.
SOURCES = ("/banks/a", "/banks/b")


def key_of(source: str, sender_id: str) -> str:
    """What a confirmed transaction is known by: in the journal, and to Billfold."""
    return f"{source}#{sender_id}"


class Bank:
    """Publishes until it is told to stop. What it isn't sure of it sends again, or (one in ten) gives up."""

    def __init__(
        self, broker: dict[str, Any], wallets: Sequence[str], written: journal.Writer, chance: random.Random
    ) -> None:
        self._broker = broker
        self._wallets = wallets
        self._written = written
        self._chance = chance

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        broker = await nats.connect(**self._broker, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=_quiet)
        stream = broker.jetstream(timeout=2.0)
        while not stop.is_set():
            sender_id = uuid.uuid4().hex
            for source in self._chance.choice((SOURCES, SOURCES[:1], SOURCES[1:])):
                intent = self._intent(source, sender_id)
                self._written.write(intent)
                body = msgspec.json.encode(intent.body)
                for _ in range(self._chance.choice((1, 1, 1, 2))):
                    if await self._publish(stream, body, stop):
                        self._written.write(journal.Kept(intent.key))
            await asyncio.sleep(BETWEEN_S)
        with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
            await closed_for_good(broker)

    def _intent(self, source: str, sender_id: str) -> journal.Intent:
        data: dict[str, Any] = {
            "wallet": self._chance.choice(self._wallets),
            "direction": self._chance.choice(("credit", "debit")),
            "money": {"amount": f"{self._chance.randint(1, 400)}.25", "asset": "USD"},
            "reference": key_of(source, sender_id),
        }
        if self._chance.random() < 0.3:
            data["effective_at"] = "2025-02-28T23:59:59.999999Z"
        body: dict[str, Any] = {"source": source, "id": sender_id}
        if self._chance.random() < 0.5:
            body |= data
        else:
            body |= {"specversion": "1.0", "type": "confirmed-transaction.v1", "data": data}
        return journal.Intent(key_of(source, sender_id), "confirmed", "", body)

    async def _publish(self, stream: nats.js.JetStreamContext, body: bytes, stop: asyncio.Event) -> bool:
        """Whether the stream has said that it keeps it."""
        while True:
            try:
                await stream.publish(SUBJECT, body)
            except (nats.errors.Error, TimeoutError, OSError):
                if stop.is_set() or self._chance.random() < 0.1:
                    return False
                await asyncio.sleep(PAUSE_S)
            else:
                return True


async def _quiet(_: Exception) -> None:
    """That the broker is away now and then is the point."""
