"""SIGKILL of every part, in turn and at random, while money moves."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import stack
from tests.crash.clients import under_load
from tests.crash.tally import KILLS, SEED, tally
from tests.crash.trial import answered, audited, hold_against

#: A long run is many rounds, each on a stack of its own: a fault is found soon, close to what made it, and neither
#: memory nor disk grows with the number of kills.
ROUND = 50
ROUNDS = [min(ROUND, KILLS - done) for done in range(0, KILLS, ROUND)]
#: Without these nothing can be asked or moved; the others nobody misses.
OUTAGES = ("api", "postgres")


def _victims(kills: int, chance: random.Random) -> Iterator[str]:
    """Each in turn, twice, and then at random."""
    in_turn = itertools.islice(itertools.cycle(stack.PARTS), 2 * len(stack.PARTS))
    at_random = (chance.choice(stack.PARTS) for _ in itertools.count())
    return itertools.islice(itertools.chain(in_turn, at_random), kills)


@pytest.mark.parametrize(("number", "kills"), list(enumerate(ROUNDS, start=1)))
async def test_nothing_acknowledged_is_lost_or_doubled_when_parts_are_killed(
    number: int, kills: int, tmp_path: Path
) -> None:
    chance = random.Random(f"{SEED} {number}")
    outages = 0
    with under_load(tmp_path, seed=chance.randrange(1 << 32)) as (running, clients):
        for victim in _victims(kills, chance):
            answered(running, clients)
            await asyncio.sleep(chance.random() * 0.2)  # Not to hit the same moment of the load's rhythm each time.
            running.kill(victim)
            tally.killed(victim)
            outages += victim in OUTAGES
        answered(running, clients)
        await audited(running, clients, outages=outages)


async def test_a_stack_that_is_killed_as_a_whole_comes_back_with_all_it_acknowledged(tmp_path: Path) -> None:
    with under_load(tmp_path, seed=SEED) as (running, clients):
        answered(running, clients, 300)
        running.kill_everything()
        story = clients.stop()
        running.start()
        await hold_against(running, clients, story, outages=1)
