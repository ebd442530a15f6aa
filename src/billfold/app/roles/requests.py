"""The worker's duties about requests that were accepted to be carried out later, and what it tells of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from prometheus_client import Counter, Gauge

from billfold.wallets import Wallets

#: What waits for its time is found at most so much later.
LOOK_PAUSE_S = 0.25
MEASURE_PAUSE_S = 5.0

OPEN = Gauge("billfold_requests_open", "Accepted requests that have not ended, counted up to 100,000.")
AGE = Gauge("billfold_requests_age_seconds", "Age of the oldest accepted request that has not ended.")
TAKEN = Counter("billfold_requests_taken", "Accepted requests that were taken to be carried out.", ["outcome"])


async def carry_out_due(wallets: Wallets) -> None:
    """Carry out requests that are due: new ones of which no event has told, and those that are tried again.

    Raises:
        Unavailable: call it again.
    """
    while True:
        outcomes = await wallets.carrying_out.due()
        count(outcomes)
        if not outcomes:
            await asyncio.sleep(LOOK_PAUSE_S)


async def measure(wallets: Wallets) -> None:
    """Keep the metrics of what waits up to date.

    Raises:
        Unavailable: call it again.
    """
    while True:
        backlog = await wallets.carrying_out.backlog()
        OPEN.set(backlog.count)
        AGE.set(backlog.age_s)
        await asyncio.sleep(MEASURE_PAUSE_S)


def count(outcomes: Mapping[str, int]) -> None:
    """Add what has become of those that were taken."""
    for outcome, number in outcomes.items():
        TAKEN.labels(outcome).inc(number)
