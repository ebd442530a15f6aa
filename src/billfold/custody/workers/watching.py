"""Keeps reading a chain: in one process at a time, for the nodes' sake; the cursor would bear more."""

from __future__ import annotations

import asyncio

from billfold.custody import Custody
from billfold.platform.messaging import leading


async def watch(custody: Custody, chain: str) -> None:
    """Read a chain until cancelled.

    Raises:
        Unavailable: the nodes, the ledger or the database are away; call it again.
    """
    lock = leading.lock_of(f"custody.watcher.{chain}")
    await leading.while_leading(custody.database, lock, lambda: _watch(custody, chain))


async def _watch(custody: Custody, chain: str) -> None:
    while True:  # noqa: ASYNC110 - a look is what takes the time.
        await asyncio.sleep(await custody.watchers[chain].look())
