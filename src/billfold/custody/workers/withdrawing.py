"""Keeps sending out what is to leave on a chain. Any number of processes may: rows are taken by one at a time."""

from __future__ import annotations

import asyncio

from billfold.custody import Custody

#: With nothing to do it is looked again so much later; what waits for a block is looked for each second.
PAUSE_S = 0.5


async def send(custody: Custody, chain: str) -> None:
    """Take what is due a step further until cancelled.

    Raises:
        Unavailable: the database is away; call it again.
    """
    await custody.addresses.set_up(chain=chain)
    while True:
        if not await custody.withdrawals.work(chain=chain):
            await asyncio.sleep(PAUSE_S)
