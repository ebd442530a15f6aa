"""What has become of transactions that were handed out and not handed in: whoever has signed may have sent them, too.

Each chain is asked by what was built. One that it has is taken as if it had been handed in; so is one that was, and
that it has under another name: whoever has the keys can sign the same twice. None is given up without proof that it
never happens, also one that an operator has discarded: another stands in its place by then, which uses up the same.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from billfold.chains.port import Allocation, Chain, Fate
from billfold.custody.events import SOURCE
from billfold.custody.service.withdrawals.parts import Overtaken, Parts
from billfold.custody.store import allocations, queue
from billfold.custody.store import unsigned as store
from billfold.custody.store.allocations import AllocationRow
from billfold.custody.store.queue import Tx
from billfold.platform.messaging import outbox

#: What owners read while their withdrawal waits, and why it has to be made anew.
WAITS = "waits_for_signature"
LATE = "signature_too_late"
#: It may have been sent, and no node can say any more whether it was. An operator decides.
UNSURE = "may_have_been_sent"


class Seeking:
    """Looks for them."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def look(self, chain: Chain, row: AllocationRow, tx: Tx, allocation: Allocation) -> tuple[Tx, Fate | None]:
        """What has become of one; it is signed then if it was found for good.

        Raises:
            NodeUnavailable, NodeWrong, Overtaken.
        """
        assert tx.payload is not None, "it was handed out"
        sought = await chain.seek(tx.payload, allocation)
        if sought.signed is None:
            return tx, sought.fate
        raw, chain_tx, now = sought.signed.raw, sought.signed.chain_tx, self._parts.now()
        async with self._parts.database.transaction() as connection:
            if await allocations.lock(connection, row.id, fence=row.fence) is None:
                raise Overtaken
            if await queue.known(connection, chain.name, chain_tx) not in (None, tx.id):
                # It was found under the name of another one of ours, whose it is.
                return tx, Fate.DEAD
            await queue.note_own(connection, chain.name, chain_tx)
            await queue.change_tx(connection, tx.id, state="signed", now=now, raw=raw, chain_tx=chain_tx)
            await store.say(connection, row.id, "")
            data = {"chain": chain.name, "chain_tx": chain_tx}
            kind = "custody.transaction_found.v1"
            await outbox.append_fact(connection, kind, source=SOURCE, subject=str(tx.id), time=now, data=data)
        return msgspec.structs.replace(tx, state="signed", raw=raw, chain_tx=chain_tx), sought.fate

    async def say(self, row: AllocationRow, fates: Collection[Fate | None]) -> None:
        """Tell owners what their withdrawals wait for."""
        async with self._parts.database.connection() as connection:
            await store.say(connection, row.id, UNSURE if None in fates else WAITS)
