"""Reads chains of the tests in processes that are killed at each step; what they leave is finished by the next one.

`python -m tests.integration.custody.killed DSN FOLDER` writes the names of the steps, and what was found after each.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from contextvars import ContextVar, copy_context
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec

from billfold.custody import Showing
from billfold.kernel.assets import Asset
from billfold.ledger import Ledger
from billfold.platform.postgres import database as databases
from billfold.platform.postgres.database import Database
from tests.integration.custody.simulated import SimulatedChain
from tests.integration.custody.support import Bank
from tests.integration.withdrawals.simulated import COINS, MODELS

#: So many steps are killed with one process. Some of them hold a connection.
TOGETHER = 6


class Scene(msgspec.Struct):
    """What is to happen, and how far it has."""

    wallet: UUID
    address: str
    memo: str | None
    done: int = 0


class Played:
    """A scene that is played: the steps that it has come to, and the one at which it stays until it is killed."""

    def __init__(self, *, until: str | None, all_: list[Played]) -> None:
        self.until = until
        self.names: list[str] = []
        self.phase = 0
        self._stands = False
        self._all = all_
        all_.append(self)

    async def step(self, what: str) -> None:
        name = f"{self.phase} {what}"
        if name in self.names:
            return
        self.names.append(name)
        if name == self.until:
            self._stands = True
            if all(one._stands for one in self._all):
                os.kill(os.getpid(), signal.SIGKILL)
            await asyncio.Event().wait()


#: That of a task.
_played: ContextVar[Played] = ContextVar("played")


def watch(ledger: Ledger) -> None:
    """See each commit that changes something, and each request to the ledger."""
    commit, post = databases.commit, ledger.post_many

    async def watched_commit(connection: Any) -> None:
        caller = _caller() if _played.get(None) is not None else ""
        if not caller or not await connection.fetchval("SELECT pg_current_xact_id_if_assigned() IS NOT NULL"):
            await commit(connection)
            return
        await _played.get().step(f"{caller} before commit")
        await commit(connection)
        await _played.get().step(f"{caller} after commit")

    async def watched_post(**given: Any) -> Any:
        caller = _caller()
        await _played.get().step(f"{caller} before the ledger")
        answer = await post(**given)
        await _played.get().step(f"{caller} after the ledger")
        return answer

    databases.commit = watched_commit
    ledger.post_many = watched_post  # type: ignore[method-assign]


def _caller() -> str:
    """The part of custody that is at work, if one is."""
    for frame, _ in traceback.walk_stack(sys._getframe(1)):
        module = frame.f_globals.get("__name__", "")
        if module.startswith("billfold.custody.service."):
            return f"{module.rpartition('.')[2]}.{frame.f_code.co_name}"
    return ""


@contextlib.asynccontextmanager
async def books(dsn: str) -> AsyncIterator[tuple[Database, Ledger]]:
    database = await Database.connect(dsn, name="killed", size=24)
    ledger = await Ledger.start(database=database)
    try:
        yield database, ledger
    finally:
        await ledger.close()
        await database.close()


def banks_of(database: Database, ledger: Ledger, folder: Path, number: int) -> dict[str, Bank]:
    """One on a chain of each model, which are this scene's own."""
    found = {}
    for name, model in MODELS.items():
        coin = f"{COINS[name]}{number}"
        chain = SimulatedChain(name=f"{name}{number}", coin=coin, model=model, file=folder / f"{name}-{number}.json")
        found[name] = Bank(database=database, ledger=ledger, chain=chain, showing=_showing(name))
    return found


def _showing(name: str) -> Showing:
    """As on the real chain; but the tests' addresses are none, and have no other form."""
    real = import_module(f"billfold.chains.{name}.showing")
    shown = SimpleNamespace(SHARED=real.SHARED, uri=real.uri, memo=real.memo, muxed=lambda *_: None)
    return cast("Showing", shown)


async def begin(bank: Bank, scene: Path) -> None:
    name = bank.chain.name
    asset = Asset(code=bank.chain.coin, scale=8, kind="native", name=name, chain=name)
    await bank.ledger.add_asset(asset=asset)
    wallet, address = await bank.wallet()
    (given,) = await bank.custody.addresses.issue(chain=name, wallet_ids=[wallet])
    await bank.read()
    scene.write_bytes(msgspec.json.encode(Scene(wallet, address, None if given.memo is None else f"id:{given.memo}")))


async def play(bank: Bank, path: Path, played: Played) -> None:
    """A payment is seen, credited, taken back, comes again, and may leave."""
    scene = msgspec.json.decode(path.read_bytes(), type=Scene)
    for phase, happen in enumerate((_seen, _mined, _taken, _again), start=1):
        if phase > scene.done:
            happen(bank.chain, scene)
            scene.done = phase
            path.write_bytes(msgspec.json.encode(scene))
        played.phase = phase
        await bank.read()


async def play_all(
    database: Database, ledger: Ledger, folder: Path, scenes: Mapping[int, str | None]
) -> dict[tuple[int, str], tuple[Bank, Played]]:
    """These scenes on every chain at the same time, each as far as its step."""
    all_: list[Played] = []
    found = {}
    async with asyncio.TaskGroup() as group:
        for number, until in scenes.items():
            for name, bank in banks_of(database, ledger, folder, number).items():
                played = Played(until=until, all_=all_)
                about = copy_context()
                about.run(_played.set, played)
                group.create_task(play(bank, _scene(folder, name, number), played), context=about)
                found[number, name] = bank, played
    return found


def _scene(folder: Path, name: str, number: int) -> Path:
    return folder / f"scene-{name}-{number}.json"


def _seen(chain: SimulatedChain, scene: Scene) -> None:
    chain.pay(scene.address, 700, memo=scene.memo)


def _mined(chain: SimulatedChain, _: Scene) -> None:
    chain.mine(2)


def _taken(chain: SimulatedChain, _: Scene) -> None:
    chain.reorganise(2, drop=True)


def _again(chain: SimulatedChain, scene: Scene) -> None:
    chain.pay(scene.address, 700, memo=scene.memo, chain_tx="tx-2")
    chain.mine(4)


async def found(bank: Bank, path: Path) -> str:
    """What is left, in words: nothing is wrong with it if they are the same for every step."""
    scene = msgspec.json.decode(path.read_bytes(), type=Scene)
    coin = bank.chain.coin
    balance, omnibus = await bank.balance(scene.wallet, coin), await bank.held("omnibus", coin)
    async with bank.database.connection() as connection:
        moved = await connection.fetchval("SELECT count(*) FROM ledger.transfers WHERE asset = $1", coin)
        states = await connection.fetch("SELECT state FROM custody.deposits WHERE chain = $1", bank.chain.name)
    told = " ".join(await bank.told(chain=bank.chain.name))
    return f"{balance} {omnibus} {moved} {sorted(row['state'] for row in states)} {told}"


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
    """Each step is killed in a scene of its own on each chain; one process finishes what all of them have left."""

    async def names() -> None:
        async with books(dsn) as (database, ledger):
            await _begin_all(database, ledger, folder, 0)
            watch(ledger)
            done = await play_all(database, ledger, folder, {0: None})
            steps = {name: played.names for (_, name), (_, played) in done.items()}
            (folder / "names").write_bytes(msgspec.json.encode(steps))
            for number in range(1, len(steps["bitcoin"]) + 1):
                await _begin_all(database, ledger, folder, number)

    async def die(scenes: Mapping[int, str | None]) -> None:
        async with books(dsn) as (database, ledger):
            watch(ledger)
            await play_all(database, ledger, folder, scenes)

    async def end() -> None:
        left: dict[str, dict[str, str]] = {}
        async with books(dsn) as (database, ledger):
            for first in range(0, len(steps), TOGETHER):
                scenes = dict.fromkeys(range(first, min(first + TOGETHER, len(steps))))
                done = await play_all(database, ledger, folder, scenes)
                for (number, name), (bank, _) in done.items():
                    left.setdefault(steps[number], {})[name] = await found(bank, _scene(folder, name, number))
            faults = (await ledger.verify()).faults
        (folder / "found").write_bytes(msgspec.json.encode({"left": left, "faults": [str(one) for one in faults]}))

    assert forked(names) == 0
    steps = ["none", *msgspec.json.decode((folder / "names").read_bytes())["bitcoin"]]
    for first in range(1, len(steps), TOGETHER):
        scenes = dict(list(enumerate(steps))[first : first + TOGETHER])
        killed = forked(partial(die, scenes))
        assert killed == -signal.SIGKILL, f"{list(scenes.values())}: {killed}"
    assert forked(end) == 0


async def _begin_all(database: Database, ledger: Ledger, folder: Path, number: int) -> None:
    banks = banks_of(database, ledger, folder, number)
    await asyncio.gather(*(begin(bank, _scene(folder, name, number)) for name, bank in banks.items()))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
