"""`GET /wallets/{id}/balance` with `Cache-Control`, over HTTP on a real Redis."""

from collections.abc import AsyncIterator

import pytest

from billfold.app.migrate import SETS
from billfold.platform.postgres.database import Database
from tests import ledgers, servers
from tests.acceptance.wallets import api as api_
from tests.acceptance.wallets.api import Api, Caller
from tests.integration.balances.conftest import Town

LATELY = {"cache-control": "max-age=600"}


@pytest.fixture
def own_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    """With all contexts, since callers are somebody."""
    return postgres_server.create_database(SETS)


@pytest.fixture
async def api(database: Database, town: Town) -> AsyncIterator[Api]:
    async with (
        ledgers.either(database, ledgers.IN_PROCESS) as ledger,
        api_.running(database, ledger, balances_kept=town.kept) as running,
    ):
        yield running


async def balance(caller: Caller, wallet: str, headers: dict[str, str], **parameters: str) -> tuple[str, str | None]:
    found = await caller.request(
        "GET", f"/wallets/{wallet}/balance", params={"asset": "USD"} | parameters, headers=headers
    )
    assert found.status_code == 200, found.text
    (line,) = found.json()["balances"]
    return line["posted"], found.headers.get("age")


async def test_whoever_says_so_is_told_what_was_true_a_moment_ago_and_how_old_it_is(api: Api) -> None:
    wallet = await api.ada.wallet(holding="10.00")
    assert await balance(api.ada, wallet, LATELY) == ("10.00", None)
    came = await api.ada.deposit(wallet, "5.00")
    posted, age = await balance(api.ada, wallet, LATELY)
    assert posted == "10.00"
    assert age is not None
    assert 1 <= int(age) <= 600
    for headers in ({}, {"cache-control": "no-cache"}, {"cache-control": "max-age=0"}):
        assert await balance(api.ada, wallet, headers) == ("15.00", None)
    assert await balance(api.ada, wallet, LATELY, min_version=str(came["to_version"])) == ("15.00", None)
    posted, age = await balance(api.ada, wallet, LATELY, min_version=str(came["to_version"]))
    assert (posted, age is None) == ("15.00", False)


async def test_balances_of_the_past_are_the_ledgers(api: Api) -> None:
    wallet = await api.ada.wallet(holding="10.00")
    await balance(api.ada, wallet, LATELY)
    for instant in ("at", "effective_at"):
        found = await balance(api.ada, wallet, LATELY, **{instant: "2026-01-01T00:00:00Z"})
        assert found == ("0.00", None)


async def test_another_is_told_nothing_whatever_is_kept(api: Api) -> None:
    wallet = await api.ada.wallet(holding="10.00")
    for _ in range(2):
        await balance(api.ada, wallet, LATELY)
        refused = await api.bob.request("GET", f"/wallets/{wallet}/balance", headers=LATELY)
        assert (refused.status_code, refused.json()["code"]) == (404, "wallet_unknown")
        assert "age" not in refused.headers


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"asset": "USD", "min_version": "2"}, 422, "version_not_reached"),
        ({"asset": "USD", "min_version": "9" * 40}, 422, "version_not_reached"),
        ({"min_version": "1"}, 422, "asset_needed"),
        ({"asset": "USD", "min_version": "1", "at": "2026-01-01"}, 422, "instant_ambiguous"),
        ({"asset": "USD", "min_version": "-1"}, 400, "invalid_query_parameter"),
        ({"asset": "USD", "min_version": "one"}, 400, "invalid_query_parameter"),
    ],
)
async def test_a_version_that_makes_no_sense_is_refused(
    api: Api, parameters: dict[str, str], status: int, code: str
) -> None:
    wallet = await api.ada.wallet(holding="10.00")
    for headers in (LATELY, LATELY, {}):
        refused = await api.ada.request("GET", f"/wallets/{wallet}/balance", params=parameters, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
