"""Makes the proofs of reserves that are asked for: in one process at a time."""

from __future__ import annotations

import asyncio

from billfold.custody import Custody
from billfold.platform.messaging import leading

#: One is asked for once in a while, and whoever asks waits for it.
PAUSE_S = 1.0


async def prove(custody: Custody) -> None:
    """Make each that is asked for until cancelled.

    Raises:
        Unavailable: nodes, the signer or the database are away; call it again.
    """
    lock = leading.lock_of("custody.reserves")
    await leading.while_leading(custody.database, lock, lambda: _prove(custody))


async def _prove(custody: Custody) -> None:
    while True:
        if not await custody.reserves.step():
            await asyncio.sleep(PAUSE_S)
