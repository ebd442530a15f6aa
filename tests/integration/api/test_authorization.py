"""Who may do what: every operation of the OpenAPI document, as every role, with one's own things and with a stranger's,
by session and by API key, and with credentials that are none. What is expected is in docs/reference/authorization.md.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from billfold.app.migrate import AUDIT_SETS, SETS
from billfold.identity.contracts import scopes_of
from tests import matrix, servers
from tests.integration.api import support, world
from tests.integration.api.walk import Walk
from tests.matrix import Policy
from tests.unit.identity.test_roles import combined

#: Its strangers knock more often than anybody may.
_NO_LIMITS = {"limits__anonymous_per_minute": "0", "limits__wrong_credentials_per_minute": "0"}
_CONNECTIONS = httpx2.Limits(max_connections=16)


@pytest.fixture(scope="module")
def walked_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(SETS)


@pytest.fixture(scope="module")
def walked_audit(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(AUDIT_SETS)


@pytest.fixture(scope="module")
def walked_server(
    walked_database: servers.TestDatabase,
    walked_audit: servers.TestDatabase,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[support.ApiServer]:
    folder = tmp_path_factory.mktemp("walked")
    with support.running_api(walked_database, folder, audit__dsn=walked_audit.app_dsn, **_NO_LIMITS) as server:
        yield server


@asynccontextmanager
async def walking(
    server: support.ApiServer, database: servers.TestDatabase, audit: servers.TestDatabase | None = None
) -> AsyncIterator[Walk]:
    async with (
        world.beside(database, issuer=server.url, audit=audit) as made,
        httpx2.AsyncClient(base_url=f"{server.url}/api/v1", timeout=60, limits=_CONNECTIONS) as client,
    ):
        yield Walk(made, client)


@pytest.fixture
async def walk(
    walked_server: support.ApiServer, walked_database: servers.TestDatabase, walked_audit: servers.TestDatabase
) -> AsyncIterator[Walk]:
    async with walking(walked_server, walked_database, walked_audit) as walk:
        yield walk


@pytest.fixture
def policies(walked_server: support.ApiServer) -> Sequence[Policy]:
    return list(matrix.policies(walked_server.caller(None).get("/openapi.json").json()))


async def test_everybody_can_do_what_is_declared_and_nothing_else(walk: Walk, policies: Sequence[Policy]) -> None:
    assert len([policy for policy in policies if policy.scopes is not None]) > 50
    assert await walk.faults(policies) == []


async def test_roles_together_can_do_what_one_of_them_can_and_nothing_else(policies: Sequence[Policy]) -> None:
    for policy in policies:
        for roles in combined():
            alone = {policy.of_role(role) for role in roles}
            assert policy.cell(scopes_of(roles)) in alone, (policy.name, sorted(roles))


async def test_credentials_that_are_none_open_nothing(walk: Walk, policies: Sequence[Policy]) -> None:
    tokens: dict[str, str | None] = {"that are not there": None, **await walk.world.forged()}
    assert len(tokens) == 9
    assert await walk.strangers(policies, tokens) == []


@pytest.mark.parametrize(
    ("check", "operation", "noticed"),
    [
        ("without_scopes", "POST /assets", "should lack a scope"),
        ("without_owners", "GET /wallets/{wallet_id}", "should"),
        ("without_owners", "GET /wallets/{wallet_id}/balance", "should find nothing"),
        ("without_sides", "POST /transfers", "should find nothing"),
        ("without_sides", "GET /transfers/{transfer_id}", "should"),
        ("without_a_second_person", "POST /wallets/{wallet_id}/deposits", "should wait for another person"),
    ],
)
async def test_a_check_that_is_missing_is_noticed(
    walked_database: servers.TestDatabase, tmp_path: Path, check: str, operation: str, noticed: str
) -> None:
    program = ("tests.integration.api.careless", check)
    with support.running_api(walked_database, tmp_path, program=program, **_NO_LIMITS) as server:
        declared = matrix.policies(server.caller(None).get("/openapi.json").json())
        policies = [policy for policy in declared if policy.name == operation]
        async with walking(server, walked_database) as walk:
            faults = await walk.faults(policies, roles=("user", "treasurer"))
    assert any(noticed in fault for fault in faults), faults
