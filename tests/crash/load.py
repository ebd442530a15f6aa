"""Clients that move money until they are told to stop: `python -m tests.crash.load PLAN`.

Over HTTP they send transfers, several at once. A request without an answer is repeated with its key, as a real client
would, or (one in five) given up: the audit must find out what became of it. Beside them a publisher puts confirmed
transactions on the queue, some of them twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path

import httpx2
import msgspec
import nats
import nats.errors

from tests.crash import journal

CLIENTS = 8
TIMEOUT_S = 10.0
PAUSE_S = 0.05
#: A client that waits this long for an answer is not served.
PATIENCE = 600
#: Enough messages to be in the middle of a batch at any time, without drowning a small machine.
CONFIRMED_PAUSE_S = 0.01
SUBJECT = "billfold.confirmed-transactions"


class Plan(msgspec.Struct, frozen=True):
    """What to do: as written to a file by the test."""

    url: str
    api_key: str
    nats_url: str
    nats_user: str
    nats_password: str
    wallets: list[str]
    journal: str
    seed: int


class Load:
    """All clients of one process."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._journal = journal.Writer(Path(plan.journal))
        self._random = random.Random(plan.seed)
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Until SIGTERM."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop.set)
        headers = {"authorization": f"Bearer {self._plan.api_key}"}
        async with httpx2.AsyncClient(base_url=self._plan.url, headers=headers, timeout=TIMEOUT_S) as http:
            clients = [self._transfers(http) for _ in range(CLIENTS)]
            await asyncio.gather(*clients, self._confirmed())

    async def _transfers(self, http: httpx2.AsyncClient) -> None:
        while not self._stop.is_set():
            source, target = self._random.sample(self._plan.wallets, 2)
            key = uuid.uuid4().hex
            amount = f"{self._random.randint(1, 500)}.{self._random.randint(0, 99):02d}"
            body = {"from": source, "to": target, "money": {"amount": amount, "asset": "USD"}, "reference": key}
            self._journal.write(journal.Intent(key, "transfer", body))
            for _ in range(PATIENCE):
                answer = await send(http, key, body)
                if answer is not None:
                    self._journal.write(answer)
                    break
                if self._random.random() < 0.2 or self._stop.is_set():
                    break
                await asyncio.sleep(PAUSE_S)
            else:
                raise TimeoutError(f"no answer after {PATIENCE} tries: {key}")

    async def _confirmed(self) -> None:
        broker = await nats.connect(
            self._plan.nats_url,
            user=self._plan.nats_user,
            password=self._plan.nats_password,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.1,
            error_cb=_quiet,
        )
        stream = broker.jetstream(timeout=2.0)
        while not self._stop.is_set():
            key = uuid.uuid4().hex
            body = {
                "id": key,
                "source": "bank",
                "wallet": self._random.choice(self._plan.wallets),
                "direction": self._random.choice(("credit", "debit")),
                "money": {"amount": "1.25", "asset": "USD"},
                "reference": key,
            }
            self._journal.write(journal.Intent(key, "confirmed", body))
            for _ in range(self._random.choice((1, 1, 1, 2))):
                await self._publish(stream, body)
            await asyncio.sleep(CONFIRMED_PAUSE_S)
        with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
            await broker.close()

    async def _publish(self, stream: nats.js.JetStreamContext, body: Mapping[str, object]) -> None:
        """Until the stream has it: a sender that isn't sure sends again."""
        while not self._stop.is_set():
            try:
                await stream.publish(SUBJECT, msgspec.json.encode(body))
            except (nats.errors.Error, TimeoutError, OSError):
                await asyncio.sleep(PAUSE_S)
            else:
                return


async def _quiet(_: Exception) -> None:
    """That the broker is away now and then is the point."""


async def send(http: httpx2.AsyncClient, key: str, body: Mapping[str, object]) -> journal.Answer | None:
    """Send a transfer once. None: no definite answer, it may or may not have been posted."""
    try:
        response = await http.post("/api/v1/transfers", json=dict(body), headers={"idempotency-key": key})
    except (httpx2.TransportError, httpx2.InvalidURL):
        return None
    try:
        answered = response.json()
    except ValueError:
        return None
    replayed = response.headers.get("idempotency-replayed") == "true"
    if response.is_success:
        return journal.Answer(key, transfer=answered["id"], replayed=replayed)
    if response.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR or answered["retryable"]:
        return None
    return journal.Answer(key, refused=answered["code"], replayed=replayed)


if __name__ == "__main__":
    asyncio.run(Load(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)).run())
