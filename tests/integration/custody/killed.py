"""Reads chains of the tests in processes that are killed at each step; what they leave is finished by the next one.

`python -m tests.integration.custody.killed TALE DSN FOLDER` writes the names of the steps, and what was found after
each.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar, copy_context
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec

from billfold.custody import Showing
from billfold.kernel import ids
from billfold.kernel.assets import Asset
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform.postgres import database as databases
from billfold.platform.postgres.database import Database
from tests.integration.custody.simulated import SimulatedChain
from tests.integration.custody.support import Bank
from tests.integration.wallets.support import SCOPES
from tests.integration.withdrawals.simulated import COINS, MODELS

#: So many steps are killed with one process. Some of them hold a connection.
TOGETHER = 6


class Scene(msgspec.Struct):
    """What is to happen, and how far it has."""

    owner: UUID
    wallet: UUID
    address: str
    memo: str | None
    #: Wallets of the same owner, of whom none has an address that is paid.
    others: tuple[UUID, ...]
    begun: int = 0
    done: int = 0

    @property
    def principal(self) -> Principal:
        return Principal(credential_id=self.owner, owner_id=self.owner, scopes=SCOPES)


class Played:
    """A scene that is played: the steps that it has come to, and the one at which it stays until it is killed."""

    def __init__(self, *, part: str, until: str | None, all_: list[Played]) -> None:
        self.part = part
        self.until = until
        self.names: list[str] = []
        self.phase = 0
        self._stands = False
        self._all = all_
        all_.append(self)

    async def step(self, what: str) -> None:
        name = f"{self.phase} {what}"
        if name in self.names or not what.startswith(self.part):
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
    commit, post, post_one = databases.commit, ledger.post_many, ledger.post

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

    async def watched_post_one(**given: Any) -> Any:
        caller = _caller()
        await _played.get().step(f"{caller} before the ledger")
        answer = await post_one(**given)
        await _played.get().step(f"{caller} after the ledger")
        return answer

    databases.commit = watched_commit
    ledger.post_many = watched_post  # type: ignore[method-assign]
    ledger.post = watched_post_one  # type: ignore[method-assign]


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


async def begin(bank: Bank, path: Path) -> None:
    name = bank.chain.name
    asset = Asset(code=bank.chain.coin, scale=8, kind="native", name=name, chain=name)
    await bank.ledger.add_asset(asset=asset)
    owner = ids.new()
    scene = Scene(owner, owner, "", None, ())
    wallet, address = await bank.wallet(scene.principal)
    others = [(await bank.wallet(scene.principal))[0] for _ in range(2)]
    (given,) = await bank.custody.addresses.issue(chain=name, wallet_ids=[wallet])
    await bank.read()
    memo = None if given.memo is None else f"id:{given.memo}"
    path.write_bytes(msgspec.json.encode(Scene(owner, wallet, address, memo, tuple(others))))


async def play(bank: Bank, path: Path, played: Played, phases: Sequence[Phase]) -> None:
    """What happens, with all that custody does of it."""
    scene = msgspec.json.decode(path.read_bytes(), type=Scene)
    for phase, happen in enumerate(phases, start=1):
        if phase < scene.begun:
            continue
        played.phase = phase
        if phase > scene.done:
            scene.begun = phase
            path.write_bytes(msgspec.json.encode(scene))
            await happen(bank, scene)
            scene.done = phase
            path.write_bytes(msgspec.json.encode(scene))
        await bank.read()


async def play_all(
    tale: str, database: Database, ledger: Ledger, folder: Path, scenes: Mapping[int, str | None]
) -> dict[tuple[int, str], tuple[Bank, Played]]:
    """These scenes on every chain at the same time, each as far as its step."""
    all_: list[Played] = []
    found = {}
    async with asyncio.TaskGroup() as group:
        for number, until in scenes.items():
            for name, bank in banks_of(database, ledger, folder, number).items():
                part, phases = TALES[tale]
                played = Played(part=part, until=until, all_=all_)
                about = copy_context()
                about.run(_played.set, played)
                group.create_task(play(bank, _scene(folder, name, number), played, phases), context=about)
                found[number, name] = bank, played
    return found


def _scene(folder: Path, name: str, number: int) -> Path:
    return folder / f"scene-{name}-{number}.json"


async def _seen(bank: Bank, scene: Scene) -> None:
    bank.chain.pay(scene.address, 700, memo=scene.memo)


async def _mined(bank: Bank, _: Scene) -> None:
    bank.chain.mine(2)


async def _taken(bank: Bank, _: Scene) -> None:
    bank.chain.reorganise(2, drop=True)


async def _again(bank: Bank, scene: Scene) -> None:
    bank.chain.pay(scene.address, 700, memo=scene.memo, chain_tx="tx-2")
    bank.chain.mine(4)


async def _nobodys(bank: Bank, scene: Scene) -> None:
    await bank.wallets.registry.close(principal=scene.principal, wallet_id=scene.wallet)
    bank.chain.pay(scene.address, 700, memo=scene.memo)
    bank.chain.mine(2)


async def _given_and_closed(bank: Bank, scene: Scene) -> None:
    """The wallet closes between the operator's word and the ledger's move."""
    ledger, unmatched = bank.ledger, bank.custody.unmatched
    away = cast("Ledger", Away(ledger))
    unmatched._ledger = away
    with contextlib.suppress(databases.DatabaseUnavailable):
        await _give(bank, scene, scene.others[0])
    unmatched._ledger = ledger
    await bank.wallets.registry.close(principal=scene.principal, wallet_id=scene.others[0])


async def _given_to_another(bank: Bank, scene: Scene) -> None:
    await _give(bank, scene, scene.others[1])


async def _give(bank: Bank, scene: Scene, wallet: UUID) -> None:
    async with bank.database.connection() as connection:
        deposit = await connection.fetchval("SELECT id FROM custody.deposits WHERE chain = $1", bank.chain.name)
    await bank.custody.unmatched.assign(deposit_id=deposit, wallet_id=wallet, claimed_by=scene.owner, reason="ticket 1")


class Away:
    """A ledger that can't be reached for what is to be moved."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def post(self, **_: Any) -> Any:
        raise databases.DatabaseUnavailable

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


Phase = Callable[[Bank, Scene], Awaitable[None]]
#: By its name, the part of custody that is killed, and what happens.
TALES: Mapping[str, tuple[str, Sequence[Phase]]] = {
    # A payment is seen, credited, taken back, comes again, and may leave.
    "deposits": ("", (_seen, _mined, _taken, _again)),
    # Money of nobody is given to a wallet that can't take it any more, and then to another one.
    "claims": ("unmatched.", (_nobodys, _given_and_closed, _given_to_another)),
}


async def found(bank: Bank, path: Path) -> str:
    """What is left, in words: nothing is wrong with it if they are the same for every step."""
    scene = msgspec.json.decode(path.read_bytes(), type=Scene)
    coin = bank.chain.coin
    balances = [await bank.balance(wallet, coin) for wallet in (scene.wallet, *scene.others)]
    house = [await bank.held(kind, coin) for kind in ("omnibus", "suspense")]
    async with bank.database.connection() as connection:
        moved = await connection.fetchval("SELECT count(*) FROM ledger.transfers WHERE asset = $1", coin)
        states = await connection.fetch("SELECT state FROM custody.deposits WHERE chain = $1", bank.chain.name)
    told = " ".join(await bank.told(chain=bank.chain.name))
    return f"{balances} {house} {moved} {sorted(row['state'] for row in states)} {told}"


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


def main(tale: str, dsn: str, folder: Path) -> None:
    """Each step is killed in a scene of its own on each chain; one process finishes what all of them have left."""

    async def names() -> None:
        async with books(dsn) as (database, ledger):
            await _begin_all(database, ledger, folder, 0)
            watch(ledger)
            done = await play_all(tale, database, ledger, folder, {0: None})
            steps = {name: played.names for (_, name), (_, played) in done.items()}
            (folder / "names").write_bytes(msgspec.json.encode(steps))
            for number in range(1, len(steps["bitcoin"]) + 1):
                await _begin_all(database, ledger, folder, number)

    async def die(scenes: Mapping[int, str | None]) -> None:
        async with books(dsn) as (database, ledger):
            watch(ledger)
            await play_all(tale, database, ledger, folder, scenes)

    async def end() -> None:
        left: dict[str, dict[str, str]] = {}
        async with books(dsn) as (database, ledger):
            for first in range(0, len(steps), TOGETHER):
                scenes = dict.fromkeys(range(first, min(first + TOGETHER, len(steps))))
                done = await play_all(tale, database, ledger, folder, scenes)
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
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
