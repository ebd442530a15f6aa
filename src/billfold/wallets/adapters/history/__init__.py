"""Where the list of transactions is read: from the ledger's journal, or from a copy of it in a CQL server.

Both give the same entries in the same order and from the same positions on. The copy proves to itself, by the versions
of the accounts, that it lacks none; where it can't, it says so (`Behind`) and the journal is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from billfold.ledger.contracts import Entry, EntryFilter
from billfold.wallets.domain import Side

#: The entry that a page ended with: when it was recorded, and in which account.
Position = tuple[datetime, UUID]


class Behind(Exception):
    """The copy can't prove that it has all that is asked for. The message is the reason, for a metric."""


class History(Protocol):
    """Entries of accounts, newest first."""

    async def entries(
        self,
        *,
        sides: Sequence[Side],
        filter: EntryFilter,  # noqa: A002 - it is what the caller means
        after: Position | None,
        limit: int,
    ) -> list[Entry]:
        """Up to `limit` entries of these accounts, newest first, from behind the position `after` on.

        Raises:
            Behind, Unavailable
        """
        ...
