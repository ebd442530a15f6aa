"""Reads a chain of the tests in processes that are killed at each step; what they leave is finished by the next one.

`python -m tests.integration.custody.killed DSN FOLDER` writes a line for each step: its name, and what was found.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from billfold.kernel.assets import Asset
from billfold.ledger import Ledger
from billfold.platform.postgres import database as databases
from billfold.platform.postgres.database import Database
from tests.integration.custody.simulated import SimulatedChain
from tests.integration.custody.support import Bank

#: Of the code that is watched, functions whose transactions change nothing that could be lost.
_UNIMPORTANT = {"pending", "release", "_cursor", "account", "take_places", "_give", "of_house", "tree", "create"}


class Scene(msgspec.Struct):
    """What is to happen, and how far it has."""

    wallet: UUID
    address: str
    done: int = 0


class Killer:
    """Ends the process at the first step of a name, or writes down the names of all."""

    def __init__(self, at: str | None) -> None:
        self.at = at
        self.phase = 0
        self.names: list[str] = []

    def step(self, when: str) -> None:
        name = f"{self.phase} {_caller()} {when}"
        if name.split()[1].rpartition(".")[2] in _UNIMPORTANT or name in self.names:
            return
        self.names.append(name)
        if name == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, ledger: Ledger) -> None:
        """Count commits, and requests to the ledger. Before a commit is as good as after the step before."""
        commit, post = databases.commit, ledger.post_many

        async def counted_commit(connection: Any) -> None:
            await commit(connection)
            self.step("after commit")

        async def counted_post(**given: Any) -> Any:
            self.step("before the ledger")
            answer = await post(**given)
            self.step("after the ledger")
            return answer

        databases.commit = counted_commit
        ledger.post_many = counted_post  # type: ignore[method-assign]


def _caller() -> str:
    """The part of custody that is at work."""
    for frame, _ in traceback.walk_stack(sys._getframe(1)):
        module = frame.f_globals.get("__name__", "")
        if module.startswith("billfold.custody.service."):
            return f"{module.rpartition('.')[2]}.{frame.f_code.co_name}"
    return "elsewhere.elsewhere"


@contextlib.asynccontextmanager
async def books(dsn: str) -> AsyncIterator[tuple[Database, Ledger]]:
    database = await Database.connect(dsn, name="killed", size=3)
    ledger = await Ledger.start(database=database)
    try:
        yield database, ledger
    finally:
        await ledger.close()
        await database.close()


def bank_of(database: Database, ledger: Ledger, folder: Path, number: int) -> Bank:
    chain = SimulatedChain(name=f"chain{number}", coin=f"C{number}", file=folder / f"{number}.json")
    return Bank(database=database, ledger=ledger, chain=chain)


async def begin(bank: Bank, folder: Path, number: int) -> None:
    name = bank.chain.name
    asset = Asset(code=bank.chain.coin, scale=8, kind="native", name=name, chain=name)
    await bank.ledger.add_asset(asset=asset)
    wallet, address = await bank.wallet()
    await bank.read()
    _save(folder, number, Scene(wallet, address))


async def play(bank: Bank, folder: Path, number: int, killer: Killer) -> None:
    """A payment is credited, taken back, comes again, and may leave."""
    scene = msgspec.json.decode(_file(folder, number).read_bytes(), type=Scene)
    for phase, happen in enumerate((_paid, _taken, _again), start=1):
        if phase > scene.done:
            happen(bank.chain, scene)
            scene.done = phase
            _save(folder, number, scene)
        killer.phase = phase
        await bank.read()


def _paid(chain: SimulatedChain, scene: Scene) -> None:
    chain.pay(scene.address, 700)
    chain.mine(2)


def _taken(chain: SimulatedChain, _: Scene) -> None:
    chain.reorganise(2, drop=True)


def _again(chain: SimulatedChain, scene: Scene) -> None:
    chain.pay(scene.address, 700, chain_tx="tx-2")
    chain.mine(4)


async def found(bank: Bank, folder: Path, number: int) -> str:
    """What is left, in words: nothing is wrong with it if they are the same for every step."""
    scene = msgspec.json.decode(_file(folder, number).read_bytes(), type=Scene)
    coin = bank.chain.coin
    balance, omnibus = await bank.balance(scene.wallet, coin), await bank.held("omnibus", coin)
    async with bank.database.connection() as connection:
        moved = await connection.fetchval("SELECT count(*) FROM ledger.transfers WHERE asset = $1", coin)
        states = await connection.fetch("SELECT state FROM custody.deposits WHERE chain = $1", bank.chain.name)
    told = " ".join(await bank.told(chain=bank.chain.name))
    return f"{balance} {omnibus} {moved} {sorted(row['state'] for row in states)} {told}"


def _file(folder: Path, number: int) -> Path:
    return folder / f"scene-{number}.json"


def _save(folder: Path, number: int, scene: Scene) -> None:
    _file(folder, number).write_bytes(msgspec.json.encode(scene))


def forked(work: Callable[[], Any]) -> int:
    """What became of a process of its own that did it."""
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(work())
        except BaseException as error:  # noqa: BLE001
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(dsn: str, folder: Path) -> None:
    """Each step is killed on a chain of its own, so that one process can finish what all of them have left."""

    async def names() -> None:
        killer = Killer(None)
        async with books(dsn) as (database, ledger):
            first = bank_of(database, ledger, folder, 0)
            await begin(first, folder, 0)
            killer.watch(ledger)
            await play(first, folder, 0, killer)
            steps = list(killer.names)
            (folder / "names").write_text("\n".join(steps))
            for number in range(1, len(steps) + 1):
                await begin(bank_of(database, ledger, folder, number), folder, number)

    async def die(number: int, name: str) -> None:
        killer = Killer(name)
        async with books(dsn) as (database, ledger):
            killer.watch(ledger)
            await play(bank_of(database, ledger, folder, number), folder, number, killer)

    async def end() -> None:
        steps = ["none", *(folder / "names").read_text().splitlines()]
        async with books(dsn) as (database, ledger):
            for number, name in enumerate(steps):
                bank = bank_of(database, ledger, folder, number)
                await play(bank, folder, number, Killer(None))
                with (folder / "found").open("a") as lines:
                    lines.write(f"{name}: {await found(bank, folder, number)}\n")

    assert forked(names) == 0
    for number, name in enumerate((folder / "names").read_text().splitlines(), start=1):
        killed = forked(partial(die, number, name))
        assert killed == -signal.SIGKILL, f"{name}: {killed}"
    assert forked(end) == 0


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
