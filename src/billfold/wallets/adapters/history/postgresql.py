"""The history as the ledger's journal has it: always there, and always whole."""

from __future__ import annotations

from collections.abc import Sequence

from billfold.ledger import Ledger
from billfold.ledger.contracts import Entry, EntryFilter
from billfold.wallets.adapters.history import Position
from billfold.wallets.domain import Side


class JournalHistory:
    """Reads the journal."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def entries(
        self,
        *,
        sides: Sequence[Side],
        filter: EntryFilter,  # noqa: A002 - it is what the caller means
        after: Position | None,
        limit: int,
    ) -> list[Entry]:
        """See `History.entries`."""
        accounts = [side.account for side in sides]
        return await self._ledger.entries(account_ids=accounts, filter=filter, after=after, limit=limit)
