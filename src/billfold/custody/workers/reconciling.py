"""Keeps comparing chains with the ledger: in one process at a time, as blocks come, not more often than is set."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from billfold.custody import Custody, errors
from billfold.platform.messaging import leading

#: Between two measurements of what waits to leave.
MEASURE_PAUSE_S = 15.0


async def reconcile(custody: Custody, chain: str) -> None:
    """Reconcile a chain until cancelled.

    Raises:
        Unavailable: the ledger or the database are away; call it again.
    """
    lock = leading.lock_of(f"custody.reconciler.{chain}")
    await leading.while_leading(custody.database, lock, lambda: _reconcile(custody, chain))


async def _reconcile(custody: Custody, chain: str) -> None:
    pause_s = custody.serving.get(chain).reconciling.every_s
    last: tuple[int, str] | None = None
    while True:
        with suppress(errors.ReconciliationBusy):
            last = await custody.reconciling.run_after(chain=chain, last=last)
        await asyncio.sleep(pause_s)


async def measure(custody: Custody, chain: str) -> None:
    """Tell the metrics how assets stand and what waits to leave, until cancelled.

    Raises:
        DatabaseUnavailable: call it again.
    """
    while True:
        await custody.reconciling.measure(chain=chain)
        await asyncio.sleep(MEASURE_PAUSE_S)
