"""`billfold projections` at a real database and a real Redis, and what `billfold doctor` says of that Redis."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from billfold.app import settings
from billfold.app.supervisor import diagnosis
from billfold.app.supervisor.findings import Finding
from billfold.kernel.principal import Principal
from tests import master_keys, servers
from tests.commands import Billfold
from tests.integration.balances.conftest import Town
from tests.integration.wallets.support import wallet_of


@pytest.fixture
def environment(
    own_database: servers.TestDatabase, redis_server: servers.RedisServer, tmp_path: Path
) -> dict[str, str]:
    return {
        "BILLFOLD_KEYS__FILE": str(master_keys.file_in(tmp_path)),
        "BILLFOLD_POSTGRES__DSN": own_database.app_dsn,
        "BILLFOLD_BALANCES__REDIS_URL": redis_server.url,
    }


@pytest.fixture
async def wallet(town: Town, ada: Principal) -> str:
    return await wallet_of(town.wallets, ada, holding="10.00")


async def test_balances_are_kept_anew_and_compared(
    town: Town, ada: Principal, wallet: str, environment: dict[str, str]
) -> None:
    billfold = Billfold(environment)
    said = await asyncio.to_thread(billfold, "projections", "rebuild", "balances")
    assert said.out == "Kept anew: 1 wallets.\n"
    assert await town.posted(ada, wallet) == ("10.00", True)
    assert await asyncio.to_thread(billfold.json, "projections", "rebuild", "balances") == {"wallets": 1, "full": 0}
    found = await asyncio.to_thread(billfold.json, "projections", "compare", "balances")
    assert found == {"wallets": 1, "accounts": 1, "behind": 0, "drift": []}


async def test_a_wrong_balance_is_shown_and_forgotten(
    town: Town, ada: Principal, wallet: str, environment: dict[str, str]
) -> None:
    await town.keep(wallet)
    (key,) = [key async for key in town.redis.scan_iter("billfold:balances:*")]
    right = str(await town.redis.hget(key, "USD"))[2:-1].split(" ")
    await town.redis.hset(key, "USD", " ".join([*right[:2], "999999", *right[3:]]))
    said = await asyncio.to_thread(Billfold(environment), "projections", "compare", "balances", code=4)
    assert wallet in said.out
    assert "posted 999999" in said.out
    assert await town.posted(ada, wallet) == ("10.00", False)


async def test_without_room_a_rebuild_says_so(town: Town, wallet: str, environment: dict[str, str]) -> None:
    assert wallet
    await town.redis.config_set("maxmemory-policy", "noeviction")
    await town.redis.config_set("maxmemory", "1")
    try:
        said = await asyncio.to_thread(Billfold(environment), "projections", "rebuild", "balances", code=1)
    finally:
        await town.redis.config_set("maxmemory", "0")
    assert "No room: 1 wallets." in said.out


async def test_without_a_redis_the_commands_say_what_is_missing(
    wallet: str, environment: dict[str, str], redis_server: servers.RedisServer
) -> None:
    assert wallet
    del environment["BILLFOLD_BALANCES__REDIS_URL"]
    said = await asyncio.to_thread(Billfold(environment), "projections", "rebuild", "balances", code=2)
    assert "BILLFOLD_BALANCES__REDIS_URL" in said.err
    wrong = environment | {"BILLFOLD_BALANCES__REDIS_URL": "localhost:6379"}
    said = await asyncio.to_thread(Billfold(wrong), "projections", "compare", "balances", code=2)
    assert "balances.redis_url is wrong" in said.err
    away = environment | {"BILLFOLD_BALANCES__REDIS_URL": "redis://127.0.0.1:1/0"}
    said = await asyncio.to_thread(Billfold(away), "projections", "compare", "balances", code=3)
    assert said.err.startswith("billfold: The Redis of the balances does not answer")


@pytest.fixture
async def operator_of_redis(redis_server: servers.RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url) as redis:
        yield redis
        await redis.config_set("maxmemory", "0")


async def redis_findings(tmp_path: Path, url: str) -> list[Finding]:
    environ = {"BILLFOLD_BALANCES__REDIS_URL": url}
    loaded = settings.load(environ=environ, overrides={"data_dir": str(tmp_path)})
    return [finding for finding in await diagnosis.examine(loaded) if finding.check == "redis"]


async def test_the_doctor_looks_at_the_redis(
    tmp_path: Path, redis_server: servers.RedisServer, operator_of_redis: Redis
) -> None:
    (fine,) = await redis_findings(tmp_path, redis_server.url)
    assert (fine.state, fine.found.startswith("Redis ")) == ("ok", True)
    await operator_of_redis.config_set("maxmemory-policy", "noeviction")
    await operator_of_redis.config_set("maxmemory", "100mb")
    (full,) = await redis_findings(tmp_path, redis_server.url)
    assert (full.state, "allkeys-lru" in full.advice) == ("warn", True)
    (away,) = await redis_findings(tmp_path, "redis://:secret@127.0.0.1:1/0")
    assert (away.state, "secret" in away.found) == ("warn", False)
    (wrong,) = await redis_findings(tmp_path, "localhost:6379")
    assert wrong.state == "fail"
