"""Owners who leave: all of their wallets are closed in the transaction in which their account is.

Locks are taken in one order: the owner's, which holds up new wallets; the wallets; their accounts. Money that is posted
to an account before its lock is had stays there and keeps its owner; what comes after finds the account closed.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import msgspec

from billfold.kernel import ids
from billfold.kernel.clock import Clock
from billfold.ledger import Ledger
from billfold.ledger import errors as ledger_errors
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection
from billfold.wallets import domain, errors, events
from billfold.wallets.contracts import Wallet
from billfold.wallets.store import departures
from billfold.wallets.store import wallets as store

#: A sentence with more places than these helps nobody.
_NAMED_MAX = 10


class Remaining(msgspec.Struct, frozen=True):
    """A wallet that can't be closed."""

    wallet_id: str
    name: str
    #: What keeps it open: has 12.34 USD, or is frozen.
    why: str


class Departures:
    """The end of an owner's wallets."""

    def __init__(self, *, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    async def close_all(self, connection: Connection, *, owner_id: UUID) -> list[Remaining]:
        """Close every wallet of the owner, who gets no new one, in the caller's database transaction.

        When something is left it is named, and the caller has to roll back: some wallets are closed by then.
        """
        now = self._clock.now()
        await departures.note(connection, owner_id, now=now)
        wallets = await store.lock_all(connection, owner_id)
        frozen = [Remaining(one.id, one.name, "is frozen") for one in wallets if one.status == "frozen"]
        if frozen:
            return frozen[:_NAMED_MAX]
        accounts = [UUID(account) for wallet in wallets for account in wallet.accounts.values()]
        try:
            await self._ledger.set_status(account_ids=accounts, status="closed", transaction=connection)
        except ledger_errors.AccountNotEmpty:
            return await self._remaining(connection, wallets)
        for wallet in wallets:
            await store.set_status(connection, UUID(wallet.id), "closed")
            event = events.wallet_event(
                event_id=str(ids.new()),
                kind=events.CLOSED,
                wallet=msgspec.structs.replace(wallet, status="closed"),
                time=now,
            )
            await outbox.append(connection, event)
        return []

    async def check_left(self, connection: Connection, *, owner_ids: Collection[UUID]) -> None:
        """Go on only if all of these owners have left: an event that says so need not be true.

        Raises:
            OwnerNotDeparted
        """
        if (await departures.left(connection, list(owner_ids))).keys() < set(owner_ids):
            raise errors.OwnerNotDeparted

    async def _remaining(self, connection: Connection, wallets: list[Wallet]) -> list[Remaining]:
        assets, remaining = await self._ledger.assets(), []
        for wallet in wallets:
            ids_of_it = [UUID(account) for account in wallet.accounts.values()]
            found = await self._ledger.accounts(ids=ids_of_it, transaction=connection)
            if what := domain.contents(found, assets):
                remaining.append(Remaining(wallet.id, wallet.name, f"has {what}"))
                if len(remaining) == _NAMED_MAX:
                    break
        assert remaining, "an account is not empty, and it is locked"
        return remaining
