"""Wallets whose balances are kept in a real Redis, which is empty when a test begins."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

import pytest
from redis.asyncio import Redis

from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.wallets import Wallets
from billfold.wallets.adapters import balances
from billfold.wallets.adapters.balances import BalancePictures
from billfold.wallets.service.balances import Read
from billfold.wallets.service.pictures import REDIS_UP, Pictures
from billfold.wallets.service.projections import Projections
from tests import facades, ledgers, servers
from tests.integration.wallets.conftest import (
    ada,
    bob,
    database,
    ledger,
    operator,
    own_database,
    way,
)

__all__ = ["ada", "bob", "database", "ledger", "operator", "own_database", "way"]
#: Modules whose tests run with a ledger that posts by itself, and with one that calls the service.
BOTH_WAYS = {"test_reading"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    ledgers.both_ways(metafunc, BOTH_WAYS)


class Town:
    """Wallets, and what is kept of them."""

    def __init__(self, wallets: Wallets, kept: BalancePictures, redis: Redis) -> None:
        assert wallets.pictures is not None
        assert wallets.projections is not None
        self.wallets = wallets
        self.pictures: Pictures = wallets.pictures
        self.projections: Projections = wallets.projections
        self.kept = kept
        #: An operator's own way into it.
        self.redis = redis

    async def lately(
        self,
        principal: Principal,
        wallet: str,
        *,
        max_age_s: int = 3600,
        asset: str | None = "USD",
        min_version: int | None = None,
    ) -> Read:
        return await self.wallets.balances.lately(
            principal=principal, wallet_id=UUID(wallet), asset=asset, max_age_s=max_age_s, min_version=min_version
        )

    async def posted(
        self, principal: Principal, wallet: str, *, max_age_s: int = 3600, min_version: int | None = None
    ) -> tuple[str, bool]:
        """What a reader sees who takes what is old, and whether it came from Redis."""
        read = await self.lately(principal, wallet, max_age_s=max_age_s, min_version=min_version)
        return read.balances[0].posted, read.age_s is not None

    async def keep(self, *wallets: str) -> None:
        """As after an event about each of them."""
        at_us = await self.kept.now_us()
        ids = [UUID(wallet) for wallet in wallets]
        await self.pictures.keep(await self.pictures.taken(wallet_ids=ids, at_us=at_us))

    async def up(self) -> None:
        """Wait until it is asked."""
        async with asyncio.timeout(60):
            while (await self.pictures.look(UUID(int=0))) is None:  # noqa: ASYNC110 - nothing tells of it.
                await asyncio.sleep(0.01)


@asynccontextmanager
async def process(database: Database, ledger: Ledger, server: servers.RedisServer) -> AsyncIterator[Town]:
    """What one process has of it all."""
    async with AsyncExitStack() as stack:
        kept = await stack.enter_async_context(balances.opened(server.url, keep_seconds=3600, gauge=REDIS_UP))
        redis = await stack.enter_async_context(Redis.from_url(server.url))
        wallets = Wallets(database=database, ledger=ledger, identity=facades.identity(database), balances_kept=kept)
        yield Town(wallets, kept, redis)


@pytest.fixture
async def town(database: Database, ledger: Ledger, redis_server: servers.RedisServer) -> AsyncIterator[Town]:
    async with process(database, ledger, redis_server) as town:
        await town.redis.flushall()
        await town.up()
        yield town
