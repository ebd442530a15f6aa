"""SIGKILL of every part, in turn and at random, while money moves."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import time
from pathlib import Path

from tests.crash import audit, load, stack

KILLS = int(os.environ.get("BILLFOLD_KILLS", "20"))
SEED = int(os.environ.get("BILLFOLD_SEED", random.randrange(1 << 32)))
#: Between two kills at least so many requests are answered: the system really works in between.
ANSWERS_BETWEEN = 20
#: The broker is away for this long; `make torture` takes the whole minute.
BROKER_AWAY_S = 60.0 if KILLS > 20 else 15.0


async def audited(running: stack.Stack, clients: stack.Clients) -> audit.Report:
    return await _audit(running, clients, clients.stop())


async def _audit(running: stack.Stack, clients: stack.Clients, story: audit.Story) -> audit.Report:
    record = running.record
    plan = stack.at(clients.plan, record)
    report = await audit.audit(story, plan, record["postgres_owner_dsn"], record["postgres_dsn"])
    print(f"seed {SEED}: {report}")  # noqa: T201 - with -s, or when it fails, this is what was done.
    assert report.acknowledged > 0
    assert report.events >= report.acknowledged
    return report


def answered(running: stack.Stack, clients: stack.Clients, more: int) -> None:
    target = clients.answers + more
    running.wait(lambda: clients.answers >= target, f"{more} more requests have been answered")


async def test_nothing_acknowledged_is_lost_or_doubled_when_parts_are_killed(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    in_turn = itertools.islice(itertools.cycle(stack.PARTS), min(KILLS, 2 * len(stack.PARTS)))
    victims = [*in_turn, *(chance.choice(stack.PARTS) for _ in range(KILLS - 2 * len(stack.PARTS)))]
    with stack.under_load(tmp_path, seed=SEED) as (running, clients):
        for victim in victims:
            answered(running, clients, ANSWERS_BETWEEN)
            await asyncio.sleep(chance.random() * 0.2)  # Not to hit the same moment of the load's rhythm each time.
            running.kill(victim)
        answered(running, clients, ANSWERS_BETWEEN)
        await audited(running, clients)


async def test_money_moves_while_the_broker_is_away_and_every_event_is_told_later(tmp_path: Path) -> None:
    with stack.under_load(tmp_path, seed=SEED) as (running, clients):
        answered(running, clients, ANSWERS_BETWEEN)
        broker = running.pid("nats")
        os.kill(broker, signal.SIGSTOP)
        try:
            end = time.monotonic() + BROKER_AWAY_S
            while time.monotonic() < end:
                answered(running, clients, ANSWERS_BETWEEN)
        finally:
            os.kill(broker, signal.SIGCONT)
        await audited(running, clients)


async def test_postgresql_restarted_under_load_costs_no_answer(tmp_path: Path) -> None:
    with stack.under_load(tmp_path, seed=SEED) as (running, clients):
        for _ in range(3):
            answered(running, clients, ANSWERS_BETWEEN)
            before = running.pid("postgres")
            os.kill(before, signal.SIGINT)  # PostgreSQL's fast shutdown: sessions are ended, then it stops cleanly.
            running.replaced("postgres", before)
        answered(running, clients, ANSWERS_BETWEEN)
        report = await audited(running, clients)
    # At most what was in flight at each restart was given up by its client; nobody waits for what is already answered.
    assert report.unanswered <= load.CLIENTS * 4


async def test_a_stack_that_is_killed_as_a_whole_comes_back_with_all_it_acknowledged(tmp_path: Path) -> None:
    with stack.under_load(tmp_path, seed=SEED) as (running, clients):
        answered(running, clients, ANSWERS_BETWEEN)
        running.kill_everything()
        story = clients.stop()
        running.start()
        await _audit(running, clients, story)
