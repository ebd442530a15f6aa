"""A server that is away for a while, while money moves: the broker silent, the broker gone, PostgreSQL restarted."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.crash import stack
from tests.crash.clients import under_load
from tests.crash.tally import AT_LENGTH, SEED
from tests.crash.trial import answered, audited

#: How long the broker is away.
AWAY_S = 60.0 if AT_LENGTH else 6.0
RESTARTS = 3


@pytest.mark.parametrize("away", [stack.silent, stack.gone])
async def test_while_the_broker_is_away_no_request_misses_it_and_every_event_is_told_later(
    away: Callable[[stack.Stack, str], AbstractContextManager[None]], tmp_path: Path
) -> None:
    with under_load(tmp_path, seed=SEED) as (running, clients):
        answered(running, clients)
        with away(running, "nats"):
            end = time.monotonic() + AWAY_S
            while time.monotonic() < end:
                answered(running, clients)
        await audited(running, clients, outages=0)


async def test_postgresql_restarted_under_load_costs_at_most_what_was_in_flight(tmp_path: Path) -> None:
    with under_load(tmp_path, seed=SEED) as (running, clients):
        for _ in range(RESTARTS):
            answered(running, clients, 100)
            before = running.pid("postgres")
            os.kill(before, signal.SIGINT)  # PostgreSQL's fast shutdown: sessions are ended, then it stops cleanly.
            running.replaced("postgres", before)
        answered(running, clients, 100)
        await audited(running, clients, outages=RESTARTS)
