"""Whoever is killed at a decisive step, on chains whose rules are the real ones, has moved the money once.

The simulated chains of the other tests are killed at every step; here it is seen that real nodes, real signatures and
real blocks say the same. The table of docs/why/exactly-once.md is what was found.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest

from billfold.app.migrate import SETS
from billfold.kernel import ids
from billfold.kernel.assets import Asset
from billfold.ledger.contracts import NewAccount
from tests import servers
from tests.integration import kill_tables
from tests.integration.custody.devnets import DEPOSITING, LEAVING, House, Where, opened, unit
from tests.integration.withdrawals.simulated import COINS, MODELS
from tests.integration.withdrawals.support import SCALES
from tests.servers.devnets import DevnetServer

TIMEOUT_S = 120.0
#: Whoever was killed has nothing in hand any more.
LEASES_OVER = timedelta(minutes=5)


@pytest.fixture(params=list(MODELS))
def chain(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(request: pytest.FixtureRequest, chain: str) -> DevnetServer:
    found: DevnetServer = request.getfixturevalue(f"{chain}_server")
    return found


@pytest.fixture(scope="module")
async def port() -> AsyncIterator[int]:
    """Where they are asked to die."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.custody.devnets", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    yield int(await asyncio.wait_for(process.stdout.readline(), TIMEOUT_S))
    process.kill()
    await process.wait()


@pytest.fixture
async def house(postgres_server: servers.PostgresServer, chain: str, server: DevnetServer) -> AsyncIterator[House]:
    words = f"{(server.folder / '.cookie').read_text()}@" if chain == "bitcoin" else ""
    node = server.url.replace("//", f"//{words}")
    dsn = postgres_server.create_database(SETS).app_dsn
    where = Where(dsn=dsn, chain=chain, node=node, control=server.url, seed=os.urandom(64))
    async with opened(where) as house:
        code = COINS[chain]
        if code not in await house.ledger.assets():
            await house.ledger.add_asset(
                asset=Asset(code=code, scale=SCALES[chain], kind="native", name=code, chain=chain)
            )
        yield house


async def test_the_money_has_moved_once_whatever_real_step_is_killed(
    house: House, chain: str, server: DevnetServer, port: int
) -> None:
    wallet, one = ids.new(), unit(chain)
    await house.ledger.open_accounts(accounts=[NewAccount(id=wallet, asset=COINS[chain])])
    if chain == "solana":
        # Transactions stand on a final block, and the first is that after so many.
        server.mine(33)
    given = await house.given(wallet)
    memo = None if given.memo is None else f"id:{given.memo}"
    (hot,) = await house.custody.addresses.of_house(chain=chain, purpose="hot")
    await house.read()
    server.faucet(hot, "5")
    await house.go_on()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def die(step: str, amount: int = 0, address: str = "") -> None:
        where = msgspec.structs.replace(house.where, ahead_s=house.clock.ahead.total_seconds())
        job = [msgspec.to_builtins(where), step, str(wallet), amount, address]
        writer.write(json.dumps(job).encode() + b"\n")
        code = await asyncio.wait_for(reader.readline(), TIMEOUT_S)
        assert int(code) == -signal.SIGKILL, f"it was not killed at {step}"
        house.clock.ahead += LEASES_OVER

    for number, step in enumerate(DEPOSITING, 1):
        server.faucet(given.address, "1", memo=memo)
        server.mine()
        await die(step)

        async def is_credited(total: int = number * one) -> bool:
            return await house.booked(wallet) == total

        await house.until(is_credited)
        await house.until(house.is_conserved)

    strangers = house.signer._keys.addresses(
        os.urandom(64), purpose="hot", first=0, count=len(LEAVING), network="sandbox"
    )
    for step, stranger in zip(LEAVING, strangers, strict=True):
        if chain == "stellar":
            # Nobody can be paid there who has no account.
            server.faucet(stranger, "2")
            server.mine()
        before = await house.balance(stranger)
        await die(step, one // 10, stranger)
        asked = await house.withdraw(wallet, one // 10, stranger)

        async def is_settled() -> bool:
            return (await house.withdrawals.withdrawal(withdrawal_id=asked)).status == "settled"  # noqa: B023

        await house.until(is_settled)
        await house.until(house.is_conserved)
        assert await house.balance(stranger) - before == one // 10, step
    writer.close()
    assert await house.booked(wallet) < len(DEPOSITING) * one - len(LEAVING) * (one // 10)
    assert (await house.ledger.verify()).faults == []


def test_the_table_of_kills_on_real_rules_is_in_the_documentation() -> None:
    kill_tables.check("kills on real rules", {step: dict.fromkeys(MODELS, "once") for step in (*DEPOSITING, *LEAVING)})
