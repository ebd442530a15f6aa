"""Real processes that are killed at each step of a withdrawal, on a chain of each model.

Whoever comes next goes on: in the end the chain holds what the ledger says, and the money has arrived once. The table
of docs/why/exactly-once.md is what these tests do: BILLFOLD_WRITE_TABLE=1 writes it again, and a difference fails.
"""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from billfold.app.migrate import SETS
from tests import servers
from tests.integration import kill_tables
from tests.integration.withdrawals.dying import (
    ALONE,
    BURYING,
    CANCELLING,
    GAS,
    HANDING,
    HOUSE,
    HURRYING,
    MERGING,
    OPENING,
    REFUNDING,
    REPLACING,
    SPONSORED,
    STEPS,
    SWEEPING,
    TENDING,
)
from tests.integration.withdrawals.simulated import MODELS, NEW_CHANNEL
from tests.integration.withdrawals.support import (
    BAND,
    CHANNEL_RESERVE,
    HOT,
    SWEPT,
    TOKEN_ASSET,
    WARM,
    Office,
    opened,
)
from tests.integration.withdrawals.test_unsigned import moved_out, signed_and_handed_in, waiting

TIMEOUT_S = 120.0
#: Where one transaction can take another's place.
REPLACED = ("bitcoin", "ethereum", "stellar")
#: Where each step runs: a chain of each model meets each of them.
_CHAINS = (
    {step: list(MODELS) for step in STEPS}
    | {step: ["ethereum"] for step in ALONE}
    | {step: list(MODELS) for step in BURYING}
    | {step: ["ethereum"] for step in HOUSE}
    | {step: list(MODELS) for step in CANCELLING}
    | {step: list(REPLACED) for step in REPLACING}
    | {step: list(SWEPT) for step in SWEEPING}
    | {step: ["ethereum"] for step in GAS}
    | {step: ["solana"] for step in SPONSORED}
    | {step: ["ethereum"] for step in TENDING}
    | {step: ["bitcoin"] for step in (*MERGING, *HURRYING)}
    | {step: ["stellar"] for step in OPENING}
    | {step: list(MODELS) for step in (*REFUNDING, *HANDING)}
)


class Mortals:
    """Processes that die."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def die(self, office: Office, step: str, what: str) -> None:
        job = [office.dsn, office.chain.name, str(office.chain._path), step, what, office.clock.ahead.total_seconds()]
        self._writer.write(json.dumps(job).encode() + b"\n")
        code = await asyncio.wait_for(self._reader.readline(), TIMEOUT_S)
        assert int(code) == -signal.SIGKILL, f"it was not killed at {step}"


Story = Callable[[Office, Mortals], Awaitable[None]]


class Cemetery:
    """Tells a story on several chains at the same time: each waits for its database most of the time."""

    def __init__(self, server: servers.PostgresServer, folder: Path, port: int) -> None:
        self._server, self._folder, self._port = server, folder, port

    async def tell(self, story: Story, names: Sequence[str]) -> None:
        """One database for all steps of a chain: what one kill leaves behind must not disturb the next."""
        databases = {name: self._server.create_database(SETS) for name in names}
        async with asyncio.TaskGroup() as group:
            for name, database in databases.items():
                group.create_task(self._tell(story, name, database.app_dsn), name=name)

    async def _tell(self, story: Story, name: str, dsn: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        with closing(writer):
            async with opened(dsn, name, self._folder / f"{name}.json") as office:
                await office.furnish()
                await story(office, Mortals(reader, writer))


@pytest.fixture(scope="module")
async def port() -> AsyncIterator[int]:
    """Where they are asked to die."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.integration.withdrawals.dying"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    yield int(await asyncio.wait_for(process.stdout.readline(), TIMEOUT_S))
    process.kill()
    await process.wait()


@pytest.fixture
def cemetery(postgres_server: servers.PostgresServer, tmp_path: Path, port: int) -> Cemetery:
    return Cemetery(postgres_server, tmp_path, port)


async def test_whoever_is_killed_at_any_step_of_a_withdrawal_has_it_end_once(cemetery: Cemetery) -> None:
    async def story(office: Office, mortals: Mortals) -> None:
        for step in [*STEPS, *(ALONE if office.chain.name == "ethereum" else ())]:
            account = await office.customer(10_000)
            before = len(office.chain.received("sim-a"))
            await mortals.die(office, step, f"request {account}")
            # As its sender does, who got no answer.
            asked = (await office.request(account, 1_000, "sim-a", key="k")).withdrawal
            office.clock.ahead += timedelta(minutes=30)
            (ended,) = await office.finish(asked.id)
            assert ended.status == "settled", step
            assert office.chain.received("sim-a")[before:] == [1_000], step
            assert ended.fee_paid is not None
            assert await office.posted(account) == (10_000 - 1_000 - ended.fee_paid, 0), step
            await office.check_conserved()
            told = [one for one in await office.told("withdrawal.settled.v1") if one["withdrawal_id"] == str(asked.id)]
            assert len(told) == 1, step

    await cemetery.tell(story, list(MODELS))


async def test_whoever_is_killed_when_a_transaction_has_died_has_the_withdrawal_paid_by_one_other(
    cemetery: Cemetery,
) -> None:
    async def story(office: Office, mortals: Mortals) -> None:
        for number, step in enumerate(BURYING, 1):
            account = await office.customer(10_000)
            office.chain.faults = ["lost"]
            asked = (await office.request(account, 1_000, "sim-a")).withdrawal
            await office.work()
            died = await office.kill_transaction(asked.id)
            await mortals.die(office, step, f"work {asked.id}")
            office.clock.ahead += timedelta(minutes=30)
            (ended,) = await office.finish(asked.id)
            assert ended.status == "settled", step
            assert ended.chain_tx != died, step
            assert office.chain.received("sim-a") == [1_000] * number, step
            assert ended.fee_paid is not None
            assert await office.posted(account) == (10_000 - 1_000 - ended.fee_paid, 0), step
            await office.check_conserved()

    await cemetery.tell(story, list(MODELS))


async def test_whoever_is_killed_while_a_transaction_is_replaced_has_one_of_the_two_happen(cemetery: Cemetery) -> None:
    async def story(office: Office, mortals: Mortals) -> None:
        for step in REPLACING:
            account = await office.customer(10_000)
            before = len(office.chain.received("sim-a"))
            asked = (await office.request(account, 1_000, "sim-a", speed="slow")).withdrawal
            await office.work()
            await mortals.die(office, step, f"{step.split()[0]} {asked.id}")
            office.clock.ahead += timedelta(minutes=30)
            (ended,) = await office.finish(asked.id)
            assert office.chain.received("sim-a")[before:] == ([1_000] if ended.status == "settled" else []), step
            assert (await office.posted(account))[1] == 0, step
            await office.check_conserved()

    await cemetery.tell(story, REPLACED)


async def test_whoever_is_killed_while_the_house_pays_its_part_of_a_fee_has_it_paid_once(cemetery: Cemetery) -> None:
    async def story(office: Office, mortals: Mortals) -> None:
        await office.endow(10_000)
        account = await office.customer(10_000, asset=TOKEN_ASSET)
        fees = await office.house.account(kind="fees", asset="ETH")
        for number, step in enumerate(HOUSE, 1):
            asked = (await office.request(account, 1_000, "sim-a", asset=TOKEN_ASSET)).withdrawal
            await mortals.die(office, step, f"work {asked.id}")
            office.clock.ahead += timedelta(minutes=30)
            (ended,) = await office.finish(asked.id)
            assert ended.status == "settled", step
            assert (await office.posted(fees))[0] == 10_000 - 30 * number, step
            await office.check_conserved()

    await cemetery.tell(story, ["ethereum"])


async def test_whoever_is_killed_at_any_step_of_a_sweep_has_it_end_once(cemetery: Cemetery) -> None:
    async def story(office: Office, mortals: Mortals) -> None:
        fees = await office.house.account(kind="fees", asset=office.chain.coin)
        for number, step in enumerate(SWEEPING, 1):
            await office.deposit(1_000, place=number)
            await mortals.die(office, step, "sweep everything")
            office.clock.ahead += timedelta(minutes=30)
            await office.work()
            await office.finish()
            assert office.chain.received(HOT) == [1_000 - 40] * number, step
            assert (await office.uncollected(), (await office.posted(fees))[0]) == (0, -30 * number), step
            await office.check_conserved()

    await cemetery.tell(story, SWEPT)


async def test_whoever_is_killed_while_a_token_is_brought_its_fee_has_it_swept_once(cemetery: Cemetery) -> None:
    async def story(office: Office, mortals: Mortals) -> None:
        await office.endow(10_000)
        for number, step in enumerate(GAS, 1):
            _, address = await office.deposit(1_000, place=number, asset=TOKEN_ASSET)
            await mortals.die(office, step, "sweep everything")
            office.clock.ahead += timedelta(minutes=30)
            for _ in range(2):
                await office.work()
                await office.finish()
            assert office.chain.received(HOT) == [1_000] * number, step
            assert office.chain.received(address) == [50], step
            assert await office.uncollected() == 0, step
            await office.check_conserved()

    await cemetery.tell(story, ["ethereum"])


async def test_whoever_is_killed_while_a_surplus_is_brought_away_has_it_arrive_once(cemetery: Cemetery) -> None:
    async def story(office: Office, mortals: Mortals) -> None:
        _, target, _ = BAND
        away = 0
        for step in TENDING:
            await office.customer(10_000)
            away += office.chain.balances()[HOT, ""] - target
            await mortals.die(office, step, "tend everything")
            office.clock.ahead += timedelta(minutes=30)
            await office.tend()
            await office.finish()
            assert sum(office.chain.received(WARM)) == away, step
            warm = await office.house.account(kind="warm", asset=office.chain.coin)
            assert await office.posted(warm) == (-away, 0), step
            await office.check_conserved()
        told = [one for one in await office.told("treasury.moved.v1") if one["kind"] == "warm"]
        assert len(told) == len(TENDING) == len(office.chain.received(WARM))

    await cemetery.tell(story, ["ethereum"])


async def test_whoever_is_killed_while_a_withdrawal_is_cancelled_has_it_given_back_once(cemetery: Cemetery) -> None:
    async def story(office: Office, mortals: Mortals) -> None:
        for step in CANCELLING:
            account = await office.customer(10_000)
            asked = (await office.request(account, 1_000, "sim-a")).withdrawal
            await mortals.die(office, step, f"cancel {asked.id}")
            assert (await office.withdrawals.cancel(withdrawal_id=asked.id)).status in ("settling", "cancelled")
            office.clock.ahead += timedelta(minutes=30)
            (ended,) = await office.finish(asked.id)
            assert (ended.status, await office.posted(account)) == ("cancelled", (10_000, 0)), step
            assert office.chain.received("sim-a") == [], step
            await office.check_conserved()

    await cemetery.tell(story, list(MODELS))


async def test_whoever_is_killed_while_the_house_pays_for_the_sweep_of_a_token_has_it_swept_once(
    cemetery: Cemetery,
) -> None:
    async def story(office: Office, mortals: Mortals) -> None:
        await office.endow(10_000)
        fees = await office.house.account(kind="fees", asset="SOL")
        for number, step in enumerate(SPONSORED, 1):
            await office.deposit(1_000, place=number, asset=TOKEN_ASSET)
            await mortals.die(office, step, "sweep everything")
            office.clock.ahead += timedelta(minutes=30)
            await office.work()
            await office.finish()
            assert office.chain.received(HOT) == [1_000] * number, step
            assert (await office.uncollected(), (await office.posted(fees))[0]) == (0, 10_000 - 30 * number), step
            await office.check_conserved()

    await cemetery.tell(story, ["solana"])


async def test_whoever_is_killed_while_coins_are_made_one_has_it_done_once(cemetery: Cemetery) -> None:
    async def story(office: Office, mortals: Mortals) -> None:
        fees = await office.house.account(kind="fees", asset="BTC")
        for number, step in enumerate(MERGING, 1):
            await office.customer(12 * 50, coins=12)
            office.chain.mine(2)
            await office.watch()
            await mortals.die(office, step, "merge everything")
            office.clock.ahead += timedelta(minutes=30)
            await office.withdrawals.merge(chain="bitcoin")
            await office.finish()
            found = await office.withdrawals.coins(chain="bitcoin")
            assert (found.count, found.small, (await office.posted(fees))[0]) == (number, 0, -10 * number), step
            await office.check_conserved()
        told = [one["kind"] for one in await office.told("treasury.moved.v1")]
        assert told == ["merge"] * len(MERGING)

    await cemetery.tell(story, ["bitcoin"])


async def test_whoever_is_killed_while_a_child_is_sent_has_one_pay_for_both(cemetery: Cemetery) -> None:
    async def story(office: Office, mortals: Mortals) -> None:
        fees = await office.house.account(kind="fees", asset="BTC")
        for number, step in enumerate(HURRYING, 1):
            account = await office.customer(10_000)
            asked = (await office.request(account, 1_000, "sim-a", speed="slow")).withdrawal
            await office.work()
            parent = (await office.look(asked.id)).chain_tx
            assert parent is not None
            assert office.chain.waiting() == 1, step
            await mortals.die(office, step, f"hasten {parent}")
            # As its operator does, who got no answer.
            child = await office.withdrawals.hasten(chain="bitcoin", chain_tx=parent, speed="normal")
            office.clock.ahead += timedelta(minutes=30)
            (ended,) = await office.finish(asked.id)
            assert ended.status == "settled", step
            again = await office.withdrawals.hasten(chain="bitcoin", chain_tx=parent, speed="normal")
            assert (again.id, again.status) == (child.id, "settled"), step
            assert office.chain.received("sim-a") == [1_000] * number, step
            assert (await office.posted(fees))[0] == -20 * number, step
            await office.check_conserved()

    await cemetery.tell(story, ["bitcoin"])


async def test_whoever_is_killed_while_a_channel_is_opened_has_it_given_its_reserve_once(cemetery: Cemetery) -> None:
    async def story(office: Office, mortals: Mortals) -> None:
        await office.endow(10_000)
        fees = await office.house.account(kind="fees", asset="XLM")
        given = await office.house.account(kind="liquidity", asset="XLM")
        for number, step in enumerate(OPENING, 1):
            channel = f"{NEW_CHANNEL}-{number}"
            await office.want_channel(channel)
            await mortals.die(office, step, "open everything")
            office.clock.ahead += timedelta(minutes=30)
            await office.withdrawals.open(chain="stellar")
            await office.finish()
            assert office.chain.received(channel) == [CHANNEL_RESERVE], step
            found = [(await office.posted(one))[0] for one in (fees, given)]
            assert found == [10_000 - (30 + CHANNEL_RESERVE) * number, CHANNEL_RESERVE * number], step
            await office.check_conserved()

    await cemetery.tell(story, ["stellar"])


async def test_whoever_is_killed_while_a_deposit_is_sent_back_has_it_arrive_once(cemetery: Cemetery) -> None:
    async def story(office: Office, mortals: Mortals) -> None:
        # Somebody else's money lies there, too.
        await office.customer(10_000)
        suspense = await office.house.account(kind="suspense", asset=office.chain.coin)
        for number, step in enumerate(REFUNDING, 1):
            deposit = await office.lose(1_000)
            await mortals.die(office, step, f"refund {deposit}")
            asked = await office.refund(deposit)
            office.clock.ahead += timedelta(minutes=30)
            (ended,) = await office.finish(asked)
            assert ended.status == "settled", step
            assert len(office.chain.received("sim-a")) == number, step
            assert await office.posted(suspense) == (0, 0), step
            await office.check_conserved()
            assert len(await office.told("deposit.refunded.v1")) == number, step

    await cemetery.tell(story, list(MODELS))


async def test_whoever_is_killed_while_another_signs_has_what_was_signed_sent_once(cemetery: Cemetery) -> None:
    async def story(office: Office, mortals: Mortals) -> None:
        moved_out(office)
        for number, step in enumerate(HANDING, 1):
            account = await office.customer(10_000)
            await mortals.die(office, step, f"request {account}")
            asked = (await office.request(account, 1_000, "sim-a", key="k")).withdrawal
            office.clock.ahead += timedelta(minutes=30)
            for _ in range(2):
                await office.work()
                for tx in await waiting(office):
                    await signed_and_handed_in(office, tx)
            (ended,) = await office.finish(asked.id)
            assert ended.status == "settled", step
            assert office.chain.received("sim-a") == [1_000] * number, step
            await office.check_conserved()

    await cemetery.tell(story, list(MODELS))


def test_the_table_of_kills_is_in_the_documentation() -> None:
    found = {step: dict.fromkeys(chains, "once") for step, chains in _CHAINS.items()}
    kill_tables.check("table of kills", found)
