"""What it costs to read a balance: now, as recorded at an instant, and as effective at an instant.

Each read is timed twice: its one statement, from sending it to having its row, and the whole of the facade's call. The
reads of several accounts take turns, so that what disturbs one disturbs all.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import msgspec

from bench import figures, journal
from bench.journal import Past
from billfold.ledger import Ledger
from billfold.ledger.contracts import BalancePoint
from billfold.ledger.store import reading
from billfold.platform.postgres.database import Database

#: Reads that are thrown away: plans are made, and pages come into memory.
WARM_UP = 200
#: Answers that are compared with what is known to be right.
CHECKED = 50
#: Fewer, because to know the right one every entry is looked at.
CHECKED_EFFECTIVE = 5


class WrongBalance(Exception):
    """The ledger gave another balance than the right one; how fast it did so does not matter."""


class Timing(msgspec.Struct, frozen=True):
    """Milliseconds of one read."""

    p50: float
    p99: float


Read = Callable[[], Awaitable[object]]
#: Makes a read beforehand, so that choosing its instant isn't timed.
Prepare = Callable[[], Read]
#: The facade's method.
Call = Callable[..., Awaitable[list[BalancePoint]]]


async def _timed(reads: Sequence[Prepare], count: int) -> list[Timing]:
    """Each of the reads `count` times, in turns."""
    spent: list[list[float]] = [[] for _ in reads]
    for turn in range(WARM_UP + count):
        for prepare, times in zip(reads, spent, strict=True):
            read = prepare()
            began = time.perf_counter()
            await read()
            if turn >= WARM_UP:
                times.append((time.perf_counter() - began) * 1000)
    return [Timing(figures.median(times), figures.percentile(times, 0.99)) for times in spent]


async def now(ledger: Ledger, pasts: Sequence[Past], *, count: int) -> list[Timing]:
    """The balance of each account now, by the facade, which needs a single statement for it.

    Raises: WrongBalance.
    """

    def reading_of(past: Past) -> Prepare:
        return lambda: lambda: ledger.accounts(ids=[past.account])

    for past in pasts:
        (account,) = await ledger.accounts(ids=[past.account])
        _check(account.posted, past.entries)
    return await _timed([reading_of(past) for past in pasts], count)


async def at_instants(
    database: Database, ledger: Ledger, pasts: Sequence[Past], *, effective: bool, count: int
) -> list[tuple[Timing, Timing]]:
    """The balance of each account at random instants: the statement, and the facade's whole call.

    Raises: WrongBalance.
    """
    chance = random.Random(1)
    statement = reading.effective if effective else reading.recorded
    call = ledger.balances_effective if effective else ledger.balances_recorded
    for past in pasts:
        await _check_instants(database, past, call, chance, effective=effective)

    async with database.connection() as connection:

        def by_statement(past: Past) -> Prepare:
            def prepare() -> Read:
                points = [(past.account, _instant(chance, past, effective=effective))]
                return lambda: statement(connection, points)

            return prepare

        def by_facade(past: Past) -> Prepare:
            def prepare() -> Read:
                points = [(past.account, _instant(chance, past, effective=effective))]
                return lambda: call(points=points)

            return prepare

        timings = await _timed([make(past) for past in pasts for make in (by_statement, by_facade)], count)
    return list(zip(timings[::2], timings[1::2], strict=True))


async def _check_instants(
    database: Database, past: Past, call: Call, chance: random.Random, *, effective: bool
) -> None:
    for _ in range(CHECKED_EFFECTIVE if effective else CHECKED):
        at = _instant(chance, past, effective=effective)
        right = await journal.effective_by(database, past, at) if effective else past.recorded_by(at)
        (point,) = await call(points=[(past.account, at)])
        _check(point.posted, right)


def _check(given: int, right: int) -> None:
    if given != right:
        raise WrongBalance(f"{given} instead of {right}")


def _instant(chance: random.Random, past: Past, *, effective: bool) -> datetime:
    begin = past.begin - journal.EFFECTIVE_WITHIN if effective else past.begin
    return begin + (past.begin + past.entries * past.step - begin) * chance.random()
