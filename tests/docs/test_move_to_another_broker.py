"""docs/how-to/move-to-another-broker.md: a running installation is moved as it says, and back, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import msgspec
import pytest

from billfold.app import messaging, settings
from billfold.platform.messaging import topics
from billfold.platform.messaging.port import Message, Messaging
from tests.conftest import had
from tests.crash import audit, brokers
from tests.docs import blocks, shell, stack

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "move-to-another-broker.md"
#: Of each way on which money moves, before and after each move.
EACH = 20
DEADLINE_S = 180.0


@pytest.fixture(params=["kafka", "rabbitmq"])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """The settings of another broker, which has seen nothing yet."""
    with had(f"{request.param}_server"), brokers.running(request.param, tmp_path / request.param) as (_, told):
        yield told


def test_what_was_moved_to_another_broker_and_back_has_lost_and_doubled_nothing(
    tmp_path: Path, other: Mapping[str, str]
) -> None:
    drain, look = blocks.examples(PAGE, PAGE.name)
    with _installation(tmp_path, {}) as before:
        wallet = before.wallet()
        before.work(wallet, "before")
        before.bash.check(drain)
        before.check(wallet, rounds=1)
    with _installation(tmp_path, other) as moved:
        assert "nats" not in moved.record["processes"]
        moved.bash.check(look)
        moved.work(wallet, "moved")
        moved.check(wallet, rounds=2)
        # A sender that does not know whether the old broker had taken it.
        moved.send(wallet, "before")
        moved.work(wallet, "moved again")
        moved.check(wallet, rounds=3)
    with _installation(tmp_path, {}) as back:
        back.bash.check(look)
        back.work(wallet, "back")
        back.check(wallet, rounds=4)


class _Installation:
    """A running stack on some broker."""

    def __init__(self, http: httpx2.Client, bash: shell.Shell, record: dict[str, Any], broker: Messaging) -> None:
        self.bash = bash
        self.record = record
        self._http = http
        self._broker = broker

    def wallet(self) -> str:
        return str(self._asked("/wallets", {"name": "mine"})["id"])

    def work(self, wallet: str, name: str) -> None:
        """Money moves at once, later, and as another system has confirmed it, and all of it has happened."""
        places = []
        for number in range(EACH):
            body = {"money": {"amount": "1.00", "asset": "USD"}, "reference": f"{name} {number}"}
            self._asked(f"/wallets/{wallet}/deposits", body)
            places.append(self._asked(f"/wallets/{wallet}/deposits", body, prefer="respond-async")["id"])
        self.send(wallet, name)
        self._until(lambda: {self._get(f"/requests/{place}")["status"] for place in places} == {"completed"})

    def send(self, wallet: str, name: str) -> None:
        """Another system confirms transactions."""
        asyncio.run(self._send(wallet, name))

    def check(self, wallet: str, *, rounds: int) -> None:
        """The balance, the ledger, the feed and the audit tell of each transfer once, when all has been told."""
        transfers = 3 * EACH * rounds
        self._until(lambda: self._posted(wallet) == f"{transfers}.00")
        self._until(lambda: self._transfers(self._feed(), wallet).total() >= transfers)
        feed = self._feed()
        assert [event["position"] for event in feed] == [*range(1, len(feed) + 1)]
        mine = self._transfers(feed, wallet)
        assert len(mine) == transfers, "transfers that the feed has lost"
        assert set(mine.values()) == {1}, "transfers that the feed has twice"
        # Not until there are as many: other transfers of the installation are recorded too.
        self._until(lambda: mine.keys() <= set(self._recorded()))
        recorded = Counter(self._recorded())
        assert {transfer: recorded[transfer] for transfer in mine} == mine
        asyncio.run(audit.verify(self.record["postgres_dsn"]))

    def _feed(self) -> list[dict[str, Any]]:
        """All that the owner was told, oldest first."""
        found: list[dict[str, Any]] = []
        while page := self._get(f"/events?order=oldest&limit=100&after={len(found)}")["items"]:
            found += page
        return found

    def _transfers(self, feed: Sequence[Mapping[str, Any]], wallet: str) -> Counter[str]:
        """How often it tells of each transfer of the wallet."""
        posted = (event for event in feed if event["type"] == "transfer.posted.v1")
        return Counter(event["subject"] for event in posted if wallet in json.dumps(event["data"]))

    def _recorded(self) -> list[str]:
        async def read() -> list[str]:
            connection = await asyncpg.connect(self.record["audit_dsn"])
            try:
                rows = await connection.fetch("SELECT event_id FROM audit.records WHERE type = 'transfer.posted.v1'")
            finally:
                await connection.close()
            return [row["event_id"] for row in rows]

        return asyncio.run(read())

    def _posted(self, wallet: str) -> str:
        return str(self._get(f"/wallets/{wallet}/balance?asset=USD")["balances"][0]["posted"])

    async def _send(self, wallet: str, name: str) -> None:
        async with self._broker.connected(name="bank") as broker:
            await broker.ensure(topics.CONFIRMED)
            await broker.publish([_confirmed(wallet, f"{name} {number}") for number in range(EACH)])

    def _asked(self, path: str, body: Mapping[str, Any], **headers: str) -> dict[str, Any]:
        answer = self._http.post(path, json=body, headers={"idempotency-key": uuid.uuid4().hex, **headers})
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _get(self, path: str) -> dict[str, Any]:
        answer = self._http.get(path)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.1)


@contextmanager
def _installation(folder: Path, broker: Mapping[str, str]) -> Iterator[_Installation]:
    """It runs on the data of `folder`, on the broker of these settings or on its own NATS."""
    with stack.running(folder, **broker) as environment, shell.running(folder, environment) as bash:
        record = json.loads((folder / "data" / "stack.json").read_text(encoding="utf-8"))
        own = {f"nats__{name}": record[f"nats_{name}"] for name in ("url", "user", "password")} if not broker else {}
        told = {f"BILLFOLD_{name.upper()}": value for name, value in {**broker, **own}.items()}
        headers = {"authorization": f"Bearer {record['api_key']}"}
        with httpx2.Client(base_url=f"{record['api_url']}/api/v1", headers=headers, timeout=60) as http:
            yield _Installation(http, bash, record, messaging.of(settings.load(environ=told).settings))


def _confirmed(wallet: str, sender_id: str) -> Message:
    money = {"amount": "1.00", "asset": "USD"}
    body = {"source": "/bank", "id": sender_id, "wallet": wallet, "direction": "credit", "money": money}
    return Message(
        topic=topics.CONFIRMED,
        type="confirmed-transaction.v1",
        id=uuid.uuid4().hex,
        key="",
        body=msgspec.json.encode(body),
    )
