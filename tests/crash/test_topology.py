"""The whole topology, with each of its parts killed while money moves, at once and on the asynchronous way."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from tests import servers
from tests.crash import asking, topology
from tests.crash.clients import Clients
from tests.crash.tally import SEED, tally
from tests.crash.topology import Topology
from tests.crash.trial import answered, audited

#: Accepted while parts are killed, of which the last ones find no money left.
REQUESTS = 300
TOO_MANY = 20
#: The slowest is a Cassandra that starts on a busy machine while a queue waits for it.
ENDED_WITHIN_S = 180.0


@pytest.fixture
def whole_stack(
    tmp_path: Path, cassandra_server: servers.CassandraServer, redis_server: servers.RedisServer
) -> Iterator[Topology]:
    try:
        with topology.running(tmp_path, cassandra=cassandra_server, redis=redis_server) as running:
            yield running
    except servers.Missing as reason:
        pytest.skip(str(reason))


async def test_each_part_of_the_topology_can_be_killed_and_nothing_is_lost_or_doubled(
    whole_stack: Topology, tmp_path: Path
) -> None:
    clients = Clients(whole_stack, tmp_path, seed=SEED)
    try:
        for part in whole_stack.parts:
            answered(whole_stack, clients)
            await asyncio.to_thread(whole_stack.kill, part)
            tally.killed(part)
        answered(whole_stack, clients)
        # An API that is killed leaves those without an answer who asked it, a ledger or PostgreSQL all of them.
        await audited(whole_stack, clients, outages=len(whole_stack.parts))
    finally:
        clients.close()
    await asyncio.to_thread(_carried_out_later, whole_stack)
    await _each_transfer_is_recorded(whole_stack.record)


async def _each_transfer_is_recorded(record: dict[str, Any]) -> None:
    """The audit has each transfer once, whoever was killed on the way."""
    ledger = await asyncpg.connect(record["postgres_owner_dsn"])
    audit = await asyncpg.connect(record["audit_dsn"])
    try:
        posted = {str(row[0]) for row in await ledger.fetch("SELECT id FROM ledger.transfers")}
        deadline = asyncio.get_running_loop().time() + ENDED_WITHIN_S
        while True:
            rows = await audit.fetch("SELECT event_id FROM audit.records WHERE type = 'transfer.posted.v1'")
            if len(rows) >= len(posted):
                break
            assert asyncio.get_running_loop().time() < deadline, f"{len(rows)} recorded of {len(posted)} transfers"
            await asyncio.sleep(0.2)
        assert sorted(row["event_id"] for row in rows) == sorted(posted)
    finally:
        await ledger.close()
        await audit.close()


def _carried_out_later(running: Topology) -> None:
    """Requests are accepted while one part after the other is killed, and each is carried out once."""
    with running.client() as http:
        mine, theirs = _wallet(http, "mine"), _wallet(http, "theirs")
        funded = f"{REQUESTS - TOO_MANY}.00"
        deposit = _asked(http, f"/wallets/{mine}/deposits", {"money": _usd(funded)}, key="funding")
        assert deposit.status_code == 201, deposit.text
        accepted: list[str] = []
        sending = threading.Thread(target=_send, args=(http, mine, theirs, accepted))
        sending.start()
        for part in running.parts:
            _more(running, accepted)
            running.kill(part)
            tally.killed(part)
        sending.join()
        ended: dict[str, Any] = {}

        def all_ended() -> bool:
            for path in set(accepted) - set(ended):
                request = http.get(path).json()
                if request.get("status") in {"completed", "failed", "cancelled", "expired"}:
                    ended[path] = request
            return len(ended) == REQUESTS

        running.wait(all_ended, "all requests have ended", ENDED_WITHIN_S)
        outcomes = Counter(request["status"] for request in ended.values())
        assert outcomes == {"completed": REQUESTS - TOO_MANY, "failed": TOO_MANY}
        transfers = {request["transfer_id"] for request in ended.values() if request["status"] == "completed"}
        assert len(transfers) == REQUESTS - TOO_MANY, "two requests were told the same transfer"
        assert {_balance(http, mine), _balance(http, theirs)} == {"0.00", funded}


def _more(running: Topology, accepted: list[str]) -> None:
    target = min(len(accepted) + 10, REQUESTS)
    running.wait(lambda: len(accepted) >= target, "more requests are accepted")


def _send(http: httpx2.Client, source: str, target: str, accepted: list[str]) -> None:
    for number in range(REQUESTS):
        body = {"from": source, "to": target, "money": _usd("1.00"), "reference": str(number)}
        answer = _asked(http, "/transfers", body, key=uuid.uuid4().hex, prefer="respond-async")
        assert answer.status_code == 202, answer.text
        accepted.append(answer.headers["location"])


def _asked(http: httpx2.Client, path: str, body: Any, *, key: str, **headers: str) -> httpx2.Response:
    """The answer, after however many repeats with the same key."""
    for _ in range(asking.PATIENCE):
        try:
            answer = http.post(f"/api/v1{path}", json=body, headers={"idempotency-key": key, **headers})
        except httpx2.TransportError:
            answer = None
        if answer is not None and not answer.is_server_error and answer.status_code != 409:
            return answer
        threading.Event().wait(asking.PAUSE_S)
    raise TimeoutError(path)


def _wallet(http: httpx2.Client, name: str) -> str:
    made = _asked(http, "/wallets", {"name": name, "external_id": f"{name} {uuid.uuid4()}"}, key=uuid.uuid4().hex)
    assert made.is_success, made.text
    return str(made.json()["id"])


def _balance(http: httpx2.Client, wallet: str) -> str:
    (line,) = http.get(f"/api/v1/wallets/{wallet}/balance").json()["balances"]
    return str(line["posted"])


def _usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "asset": "USD"}
