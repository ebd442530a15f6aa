"""The whole topology, with each of its parts killed while money moves, at once and on the asynchronous way."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests import keycloak, servers
from tests.conftest import had
from tests.crash import agreeing, asking, topology
from tests.crash.clients import Clients
from tests.crash.tally import SEED, tally
from tests.crash.topology import Topology
from tests.crash.trial import answered, audited

#: Of the requests that are accepted while parts are killed, the last ones find no money left.
TOO_MANY = 20
#: Requests accepted before each kill.
MORE_BETWEEN = 10
#: The slowest is a Cassandra that starts on a busy machine while a queue waits for it.
ENDED_WITHIN_S = 180.0


@pytest.fixture
def issuing(request: pytest.FixtureRequest) -> keycloak.KeycloakServer | None:
    """The Keycloak of the run. Where it can't be had, which the summary tells, the rest is done all the same."""
    try:
        server: keycloak.KeycloakServer = request.getfixturevalue("keycloak_server")
    except pytest.skip.Exception:
        return None
    return server


@pytest.fixture
def whole_stack(
    tmp_path: Path,
    cassandra_server: servers.CassandraServer,
    redis_server: servers.RedisServer,
    issuing: keycloak.KeycloakServer | None,
) -> Iterator[Topology]:
    with (
        had("whole_stack"),
        topology.running(
            tmp_path, broker="nats", cassandra=cassandra_server, redis=redis_server, keycloak=issuing
        ) as running,
    ):
        yield running


@pytest.fixture(params=["kafka", "rabbitmq"])
def other_stack(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    cassandra_server: servers.CassandraServer,
    redis_server: servers.RedisServer,
) -> Iterator[Topology]:
    """The same on another broker."""
    with (
        had(f"whole stack on {request.param}"),
        topology.running(tmp_path, broker=request.param, cassandra=cassandra_server, redis=redis_server) as running,
    ):
        yield running


async def test_each_part_of_the_topology_can_be_killed_and_nothing_is_lost_or_doubled(
    whole_stack: Topology, issuing: keycloak.KeycloakServer | None, tmp_path: Path
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
    away = None if issuing is None else _without(issuing, whole_stack)
    await asyncio.to_thread(_carried_out_later, whole_stack, whole_stack.parts, away)
    if issuing is not None:
        await asyncio.to_thread(_with_a_token_of, whole_stack, issuing)
    await agreeing.everything(whole_stack)


async def test_on_another_broker_it_can_be_killed_too_and_nothing_is_lost_or_doubled(other_stack: Topology) -> None:
    broker = other_stack.settings.broker.kind
    parts = [broker, "worker-1", "postgres", broker, "worker-2"]
    await asyncio.to_thread(_carried_out_later, other_stack, parts)
    await agreeing.everything(other_stack)


def _carried_out_later(
    running: Topology, parts: Sequence[str], away: AbstractContextManager[None] | None = None
) -> None:
    """Requests are accepted while one part after the other is killed, and each is carried out once."""
    requests = MORE_BETWEEN * len(parts) * 3
    with running.client() as http:
        mine, theirs = _wallet(http, "mine"), _wallet(http, "theirs")
        funded = f"{requests - TOO_MANY}.00"
        _deposited(http, mine, funded)
        accepted: list[str] = []
        sending = threading.Thread(target=_send, args=(http, mine, theirs, requests, accepted))
        sending.start()
        with away or contextlib.nullcontext():
            for part in parts:
                _more(running, requests, accepted)
                running.kill(part)
                tally.killed(part)
        sending.join()
        ended = _ended(running, http, accepted, requests)
        outcomes = Counter(request["status"] for request in ended)
        assert outcomes == {"completed": requests - TOO_MANY, "failed": TOO_MANY}
        transfers = {request["transfer_id"] for request in ended if request["status"] == "completed"}
        assert len(transfers) == requests - TOO_MANY, "two requests were told the same transfer"
        assert {_balance(http, mine), _balance(http, theirs)} == {"0.00", funded}


@contextlib.contextmanager
def _without(issuing: keycloak.KeycloakServer, running: Topology) -> Iterator[None]:
    """Keycloak is killed: who has its token goes on moving money. It comes back while the block runs."""
    token = issuing.service_token()
    with contextlib.ExitStack() as clients:
        # Past the load balancer: each API has to know Keycloak's keys before it is gone.
        replicas = [clients.enter_context(running.client(token, replica=url)) for url in running.replicas]
        till, reserve = (_wallet(replica, name) for replica, name in zip(replicas, ("float", "safe"), strict=True))
        _deposited(replicas[0], till, "10.00")
        issuing.kill()
        with ThreadPoolExecutor(1) as starting:
            try:
                tally.killed("keycloak")
                with pytest.raises(httpx2.TransportError):
                    issuing.service_token()
                for replica in replicas:
                    moved = _asked(replica, "/transfers", _transfer(till, reserve, "1.00"), key=uuid.uuid4().hex)
                    assert moved.status_code == 201, moved.text
                assert (_balance(replicas[0], till), _balance(replicas[1], reserve)) == ("8.00", "2.00")
            finally:
                # Others need it, whatever went wrong here.
                back = starting.submit(issuing.start)
            yield
            back.result()


def _with_a_token_of(running: Topology, issuing: keycloak.KeycloakServer) -> None:
    """A program that comes with a token of Keycloak's moves its own money, at once and later, and nobody else's."""
    with running.client(issuing.service_token()) as program, running.client() as operator:
        till, reserve, vault = _wallet(program, "till"), _wallet(program, "reserve"), _wallet(operator, "vault")
        _deposited(program, till, "10.00")
        now = _asked(program, "/transfers", _transfer(till, reserve, "3.00"), key=uuid.uuid4().hex)
        assert now.status_code == 201, now.text
        later = _asked(
            program, "/transfers", _transfer(till, reserve, "4.00"), key=uuid.uuid4().hex, prefer="respond-async"
        )
        (ended,) = _ended(running, program, [later.headers["location"]], 1)
        assert ended["status"] == "completed", ended
        assert (_balance(program, till), _balance(program, reserve)) == ("3.00", "7.00")
        other = _asked(program, "/transfers", _transfer(vault, till, "1.00"), key=uuid.uuid4().hex)
        assert other.status_code in {403, 404}, other.text


def _more(running: Topology, requests: int, accepted: list[str]) -> None:
    target = min(len(accepted) + MORE_BETWEEN, requests)
    running.wait(lambda: len(accepted) >= target, "more requests are accepted")


def _send(http: httpx2.Client, source: str, target: str, requests: int, accepted: list[str]) -> None:
    for number in range(requests):
        body = _transfer(source, target, "1.00") | {"reference": str(number)}
        answer = _asked(http, "/transfers", body, key=uuid.uuid4().hex, prefer="respond-async")
        assert answer.status_code == 202, answer.text
        accepted.append(answer.headers["location"])


def _ended(running: Topology, http: httpx2.Client, accepted: Sequence[str], count: int) -> list[dict[str, Any]]:
    """What has become of the requests at these places, once all `count` of them have ended."""
    ended: dict[str, dict[str, Any]] = {}

    def all_have() -> bool:
        for path in set(accepted) - set(ended):
            try:
                request = http.get(path).json()
            except (httpx2.TransportError, ValueError):
                return False  # Behind the last kill the load balancer may find nobody for a moment, and says so.
            if request.get("status") in {"completed", "failed", "cancelled", "expired"}:
                ended[path] = request
        return len(ended) == count

    running.wait(all_have, "all requests have ended", ENDED_WITHIN_S)
    return [*ended.values()]


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


def _deposited(http: httpx2.Client, wallet: str, amount: str) -> None:
    answer = _asked(http, f"/wallets/{wallet}/deposits", {"money": _usd(amount)}, key=uuid.uuid4().hex)
    assert answer.status_code == 201, answer.text


def _transfer(source: str, target: str, amount: str) -> dict[str, Any]:
    return {"from": source, "to": target, "money": _usd(amount)}


def _balance(http: httpx2.Client, wallet: str) -> str:
    (line,) = http.get(f"/api/v1/wallets/{wallet}/balance").json()["balances"]
    return str(line["posted"])


def _usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "asset": "USD"}
