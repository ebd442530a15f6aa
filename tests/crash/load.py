"""Clients that move money until they are told to stop: `python -m tests.crash.load PLAN`.

A request without an answer is repeated with its key, as a real client would, or (one in five) given up: the audit must
find out what became of it. Who has given up asks for nothing new before the API answers again, so an outage leaves at
most one request of each client without an answer.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from tests.crash import asking, journal
from tests.crash.confirming import Bank
from tests.crash.work import Work

CLIENTS = 8
#: People pause; and what the clients do has to be read back and held against the ledger afterwards.
THOUGHT_S = 0.02


class Plan(msgspec.Struct, frozen=True):
    """What to do: as written to a file by the test."""

    url: str
    api_key: str
    nats_url: str
    nats_user: str
    nats_password: str
    wallets: list[str]
    #: Transfers that were there before.
    opening: list[str]
    journal: str
    seed: int

    @property
    def broker(self) -> dict[str, Any]:
        """How to connect to NATS."""
        return {"servers": self.nats_url, "user": self.nats_user, "password": self.nats_password}


class Load:
    """All clients of one process."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._journal = journal.Writer(Path(plan.journal))
        self._chance = random.Random(plan.seed)
        self._work = Work(plan.wallets, self._chance)
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Until SIGTERM."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop.set)
        bank = Bank(self._plan.broker, self._plan.wallets, self._journal, self._chance)
        async with asking.client(self._plan.url, self._plan.api_key) as http:
            await asyncio.gather(*(self._client(http) for _ in range(CLIENTS)), bank.run(self._stop))

    async def _client(self, http: httpx2.AsyncClient) -> None:
        while not self._stop.is_set():
            intent = self._work.next()
            self._journal.write(intent)
            answer = await self._answer(http, intent)
            if answer is None:
                await self._back(http)
            else:
                self._journal.write(answer)
                self._work.learn(intent, answer)
            await asyncio.sleep(self._chance.random() * THOUGHT_S)

    async def _answer(self, http: httpx2.AsyncClient, intent: journal.Intent) -> journal.Answer | None:
        """The answer, after however many repeats; None if the client gives up."""
        gives_up = self._chance.random() < 0.2
        for _ in range(asking.PATIENCE):
            answer = await asking.ask(http, intent)
            if answer is not None:
                return answer
            if gives_up or self._stop.is_set():
                return None
            await asyncio.sleep(asking.PAUSE_S)
        raise TimeoutError(f"no answer after {asking.PATIENCE} tries: {intent}")

    async def _back(self, http: httpx2.AsyncClient) -> None:
        """Wait until a balance can be read again."""
        for _ in range(asking.PATIENCE):
            if self._stop.is_set():
                return
            try:
                if (await http.get(f"/api/v1/wallets/{self._plan.wallets[0]}/balance")).is_success:
                    return
            except httpx2.TransportError:
                pass  # It is still away.
            await asyncio.sleep(asking.PAUSE_S)
        raise TimeoutError("the API has not come back")


if __name__ == "__main__":
    asyncio.run(Load(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)).run())
