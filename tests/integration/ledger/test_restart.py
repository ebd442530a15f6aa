"""PostgreSQL goes away and comes back while money moves. These tests have a server of their own."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import pytest

from billfold.kernel.errors import BillfoldError
from billfold.ledger.contracts import Posting
from billfold.ledger.service import posting
from tests import servers
from tests.integration.ledger.support import MIGRATIONS, PATIENCE_S, Bank, ask, eventually, key, new

CLIENTS = 16


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.PostgresServer]:
    with servers.running_postgres(tmp_path_factory.mktemp("restarted")) as server:
        yield server


@pytest.fixture(scope="module")
def restarted(own_server: servers.PostgresServer) -> servers.TestDatabase:
    return own_server.create_database(MIGRATIONS)


class Load:
    """Clients that pay 1 from a to b, each request once, and keep what they were told."""

    def __init__(self, bank: Bank, a: UUID, b: UUID) -> None:
        self.bank = bank
        self.wanted = new(a, b, 1)
        self.asked: list[str] = []
        self.told: dict[str, Posting | BaseException] = {}
        self.over = False

    async def client(self, number: int) -> None:
        turn = 0
        while not self.over:
            turn += 1
            text = f"load-{id(self)}-{number}-{turn}"
            self.asked.append(text)
            try:
                self.told[text] = await self.bank.post(self.wanted, text=text)
            except BillfoldError as error:
                assert error.retryable, error
                self.told[text] = error
                await asyncio.sleep(0.05)

    async def until(self, work: Callable[[], None], *, answers: int) -> None:
        """Load, with `work` in the middle of it, until so many more have been answered."""
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(self.client(number))
            await self._answered(answers)
            await asyncio.to_thread(work)
            await self._answered(len(self._acknowledged()) + answers)
            self.over = True

    async def _answered(self, count: int) -> None:
        async def enough() -> bool:
            return len(self._acknowledged()) >= count

        await eventually(enough)

    def _acknowledged(self) -> list[str]:
        return [text for text, told in self.told.items() if isinstance(told, Posting)]

    async def settle(self) -> None:
        """Every request is found by its key, or done now; and what was acknowledged is what is found."""
        answers = await asyncio.gather(*[self.bank.post(self.wanted, text=text) for text in self.asked])
        for text, answer in zip(self.asked, answers, strict=True):
            told = self.told[text]
            if isinstance(told, Posting):
                assert answer.replayed, "what was acknowledged is there"
                assert answer.results == told.results


@pytest.mark.parametrize("way", ["stopped", "killed"])
async def test_a_restart_under_load_loses_and_repeats_nothing(
    own_server: servers.PostgresServer, restarted: servers.TestDatabase, way: str
) -> None:
    def restart() -> None:
        own_server.stop() if way == "stopped" else own_server.kill()
        own_server.start()

    async with Bank.opened(restarted.app_dsn) as bank:
        a, b = await bank.accounts(2, 1_000_000)
        load = Load(bank, a, b)
        await load.until(restart, answers=300)
        await load.settle()
        assert await bank.balances(a, b) == [1_000_000 - len(load.asked), 1_000_000 + len(load.asked)]
        await bank.verified()


async def test_in_flight_requests_survive_a_restart_that_is_short(
    own_server: servers.PostgresServer, restarted: servers.TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart takes about a second, and a batch is tried again for longer than that; on a busy machine both."""
    monkeypatch.setattr(posting, "RETRY_FOR_S", 4 * PATIENCE_S)
    async with Bank.opened(restarted.app_dsn) as bank:
        a, b = await bank.accounts(2, 1_000)
        await asyncio.to_thread(own_server.kill)
        asked = [asyncio.create_task(bank.pay(a, b, 1)) for _ in range(20)]
        await asyncio.sleep(0)
        await asyncio.to_thread(own_server.start)
        assert len({paid.id for paid in await asyncio.gather(*asked)}) == 20
        assert await bank.balances(b) == [1_020]


async def test_a_hold_expires_after_a_restart_by_the_time_that_was_written_down(
    own_server: servers.PostgresServer, restarted: servers.TestDatabase
) -> None:
    async with Bank.opened(restarted.app_dsn) as bank:
        a = await bank.account(100)
        hold = await bank.hold(a, 60, expires_at=await bank.now() + timedelta(seconds=2))
        kept = await bank.hold(a, 30, expires_at=await bank.now() + timedelta(days=1))
    await asyncio.to_thread(own_server.kill)
    await asyncio.to_thread(own_server.start)

    async def overdue() -> bool:
        sql = "SELECT expires_at <= clock_timestamp() FROM ledger.holds WHERE id = $1"
        return bool(await ask(restarted.app_dsn, sql, hold))

    await eventually(overdue)
    async with Bank.opened(restarted.app_dsn) as bank:
        assert await bank.ledger.expire_holds(limit=10) == 1
        assert (await bank.ledger.hold(hold_id=hold)).status == "expired"
        assert (await bank.ledger.hold(hold_id=kept)).status == "active"
        (account,) = await bank.ledger.accounts(ids=[a])
        assert (account.held, account.available) == (30, 70)
        await bank.ledger.release_hold(key=key(), hold_id=kept)
        await bank.verified()
