"""Keeps sending out what is to leave on a chain. Any number of processes may: rows are taken by one at a time."""

from __future__ import annotations

import asyncio

from billfold.custody import Custody

#: With nothing to do it is looked again so much later; what waits for a block is looked for each second.
PAUSE_S = 0.5
#: Between two looks at what is to be opened: an asset that is new can wait for so long.
OPENING_PAUSE_S = 5.0
#: Between two looks at what is to be swept; a round of 100 deposits then takes nodes less than it takes to read blocks.
SWEEP_PAUSE_S = 1.0
#: What waits is added up at every so-manieth look.
SWEEPS_PER_MEASURE = 15
#: Between two counts of what waits for people.
KEYS_PAUSE_S = 15.0
#: Between two looks at what lies ready: some questions to a node for each asset, and nothing is in a hurry.
TEND_PAUSE_S = 5.0


async def send(custody: Custody, chain: str) -> None:
    """Take what is due a step further until cancelled.

    Raises:
        Unavailable: the database is away; call it again.
    """
    await custody.addresses.set_up(chain=chain)
    while True:
        if not await custody.withdrawals.work(chain=chain):
            await asyncio.sleep(PAUSE_S)


async def open_up(custody: Custody, chain: str) -> None:
    """Have channels, nonces and trustlines of the house opened, until cancelled.

    Raises:
        Unavailable: the database is away; call it again.
    """
    count = custody.serving.get(chain).withdrawing.channels
    if count:
        await custody.chains.open_channels(chain=chain, count=count)
    while True:
        if not await custody.withdrawals.open(chain=chain):
            await asyncio.sleep(OPENING_PAUSE_S)


async def sweep(custody: Custody, chain: str) -> None:
    """Have deposits brought to where withdrawals are paid from, until cancelled.

    Raises:
        Unavailable: the database is away; call it again.
    """
    while True:
        await custody.withdrawals.measure_sweeps(chain=chain)
        for _ in range(SWEEPS_PER_MEASURE):
            await custody.withdrawals.sweep(chain=chain)
            await asyncio.sleep(SWEEP_PAUSE_S)


async def measure_keys(custody: Custody, chain: str) -> None:
    """Keep telling what waits for signatures from elsewhere, and how many imported addresses are left.

    Raises:
        Unavailable: the database is away; call it again.
    """
    while True:
        await custody.elsewhere.measure(chain=chain)
        await asyncio.sleep(KEYS_PAUSE_S)


async def tend(custody: Custody, chain: str) -> None:
    """Keep what lies ready within its bands, until cancelled.

    Raises:
        Unavailable: the database is away; call it again.
    """
    while True:
        await custody.withdrawals.keep_bands(chain=chain)
        await custody.withdrawals.merge(chain=chain)
        await custody.withdrawals.hurry(chain=chain)
        await asyncio.sleep(TEND_PAUSE_S)
