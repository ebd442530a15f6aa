"""Wallets with money in them, made through the facades, and the files of requests that wrk sends about them."""

from __future__ import annotations

import asyncio
import json
import random
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from uuid import UUID

import msgspec

from billfold.identity import Identity
from billfold.kernel.errors import BillfoldError
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.wallets import Wallets, contracts

Progress = Callable[[int], None]

ASSET = "USD"
#: So much that chance empties no wallet in a run.
START_BALANCE = "1000000.00"
#: Wallets created at once, each in a database transaction of its own.
AT_ONCE = 8
#: Different requests in a file, which wrk repeats under new keys.
SINGLES = 20_000
BULKS = 48
#: What most transfers carry: a few words of the caller's.
_REFERENCE = "order {}"
_PATH = "/api/v1/transfers"
_HTTP_TIMEOUT_S = 10


class Files(msgspec.Struct, frozen=True):
    """Files of requests, as `lua/load.lua` reads them."""

    spread: Path
    hot: Path
    bulk: Path
    balances: Path

    @classmethod
    def within(cls, folder: Path) -> Files:
        """The files in this folder."""
        return cls(folder / "spread", folder / "hot", folder / "bulk", folder / "balances")


class NoMoney(Exception):
    """A wallet could not be given its first money."""


def owner_of(*, api_url: str, api_key: str) -> UUID:
    """Whose wallets the key makes, found by making one."""
    request = urllib.request.Request(  # noqa: S310 - the address is that of the stack we started.
        f"{api_url}/api/v1/wallets",
        data=json.dumps({"name": "bench"}).encode(),
        headers={
            "Authorization": f"Bearer {api_key}",
            "Content-Type": "application/json",
            "Idempotency-Key": "bench-owner",
        },
    )
    with urllib.request.urlopen(request, timeout=_HTTP_TIMEOUT_S) as answer:  # noqa: S310 - as above.
        return UUID(json.load(answer)["owner_id"])


async def create(
    database: Database, ledger: Ledger, identity: Identity, *, owner: UUID, count: int, progress: Progress
) -> list[str]:
    """So many wallets of the owner's, with money, by their ids.

    Raises: NoMoney.
    """
    scopes = frozenset([contracts.READ, contracts.WRITE, *contracts.ORDER_SCOPES.values()])
    principal = Principal(credential_id=owner, owner_id=owner, scopes=scopes)
    wallets = Wallets(database=database, ledger=ledger, identity=identity)
    made: list[str] = []

    async def make(numbers: Iterable[int]) -> None:
        for number in numbers:
            new = contracts.NewWallet(name=f"Wallet {number}")
            wallet, _ = await wallets.registry.create(principal=principal, new=new)
            made.append(wallet.id)
            progress(1)

    await asyncio.gather(*(make(range(first, count, AT_ONCE)) for first in range(AT_ONCE)))
    for first in range(0, count, contracts.BULK_MAX):
        await _give_money(wallets, principal, made[first : first + contracts.BULK_MAX])
    return made


async def _give_money(wallets: Wallets, principal: Principal, targets: Sequence[str]) -> None:
    money = Money(START_BALANCE, ASSET)
    orders = [contracts.Order(kind="deposit", target=target, money=money) for target in targets]
    for outcome in await wallets.bulk.move(principal=principal, orders=orders, atomic=True, key=f"first-{targets[0]}"):
        if isinstance(outcome, BillfoldError):
            raise NoMoney from outcome


def write_files(folder: Path, wallets: Sequence[str]) -> Files:
    """Requests about these wallets; the same ones in every run, but for the wallets' ids."""
    chance = random.Random(1)
    files = Files.within(folder)
    hot, *others = wallets
    write_spread(files.spread, wallets, chance)
    _write(files.hot, (f"{_PATH} {_json(_hot_order(chance, hot, chance.choice(others)))}" for _ in range(SINGLES)))
    _write(files.bulk, (f"{_PATH}/bulk {_json(_bulk(wallets, chance))}" for _ in range(BULKS)))
    _write(files.balances, (f"/api/v1/wallets/{wallet}/balance" for wallet in wallets))
    return files


def write_spread(path: Path, wallets: Sequence[str], chance: random.Random | None = None) -> None:
    """Transfers between these wallets, each as often as any other."""
    chance = chance or random.Random(1)
    _write(path, (f"{_PATH} {_json(_order(chance, *chance.sample(wallets, 2)))}" for _ in range(SINGLES)))


def _order(chance: random.Random, source: str, target: str) -> dict[str, object]:
    cents = chance.randrange(1, 10_000)
    return {
        "from": source,
        "to": target,
        "money": {"amount": f"{cents // 100}.{cents % 100:02d}", "asset": ASSET},
        "reference": _REFERENCE.format(chance.randrange(100_000, 1_000_000)),
    }


def _hot_order(chance: random.Random, hot: str, other: str) -> dict[str, object]:
    """Into the hot wallet or out of it, as chance will have it: a shop's takings and refunds."""
    return _order(chance, hot, other) if chance.random() < 1 / 2 else _order(chance, other, hot)


def _bulk(wallets: Sequence[str], chance: random.Random) -> dict[str, object]:
    items = [_order(chance, *chance.sample(wallets, 2)) for _ in range(contracts.BULK_MAX)]
    return {"items": items, "atomic": False}


def _json(body: dict[str, object]) -> str:
    return json.dumps(body, separators=(",", ":"))


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
