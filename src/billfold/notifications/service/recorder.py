"""Writes the feed: what each owner may see of each event."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import msgspec

from billfold.kernel.clock import Clock
from billfold.kernel.events import Event
from billfold.notifications import domain, store
from billfold.platform.messaging import inbox
from billfold.platform.postgres.database import Database
from billfold.wallets import Wallets

#: What the inbox and the broker call the consumer that fills the feed.
CONSUMER = "feed"
#: Rows that one round of forgetting deletes.
FORGOTTEN_AT_ONCE = 1_000
_FORGET_PAUSE_S = 60.0

_encode = msgspec.json.Encoder().encode


class Recorder:
    """Any number of processes may write: each event goes in once, and in the order in which they commit."""

    def __init__(self, *, database: Database, wallets: Wallets, clock: Clock, keep: timedelta) -> None:
        self._database = database
        self._wallets = wallets
        self._clock = clock
        self._keep = keep

    async def record(self, events: Sequence[Event]) -> None:
        """Tell owners of events that they have not been told of.

        Raises:
            DatabaseUnavailable: of none of them; the same again will do.
            EventDiffers: of all but those that say something else than what was told under their ids.
            OwnerNotDeparted: of none of them; somebody is said to have left, and has not.
        """
        known = [(event, data) for event in events if (data := domain.data_of(event)) is not None]
        accounts = {account for _, data in known for account in domain.accounts_in(data)}
        wallets = {wallet for _, data in known for wallet in domain.wallets_in(data)}
        holders = {
            **await self._wallets.holders.of_accounts(accounts),
            **await self._wallets.holders.of_wallets(wallets),
        }
        told: list[Event] = []
        entries: dict[inbox.Pair, list[store.Entry]] = {}
        for event, data in known:
            # What nobody sees needs no note either.
            if of_one := [_entry(event, share) for share in domain.shares(event, data, holders)]:
                told.append(event)
                entries.setdefault((event.source, event.id), of_one)
        if not told:
            return
        async with self._database.transaction() as connection:
            sifted = await inbox.first_time(connection, CONSUMER, told)
            if sifted.new:
                written = [one for event in sifted.new for one in entries[event.source, event.id]]
                left = {one.owner_id for one in written if one.type == domain.LEFT}
                if left:
                    await self._wallets.departures.check_left(connection, owner_ids=left)
                await store.append(connection, written)
                # Whoever has left can't read it any more, so nobody needs it.
                if left:
                    await store.leave(connection, left)
        sifted.check()

    async def forget(self) -> None:
        """Delete what is older than it is kept, over and over, until cancelled."""
        while True:
            async with self._database.transaction() as connection:
                before = self._clock.now() - self._keep
                gone = await store.forget(connection, before=before, limit=FORGOTTEN_AT_ONCE)
            if gone < FORGOTTEN_AT_ONCE:
                await asyncio.sleep(_FORGET_PAUSE_S)


def _entry(event: Event, share: domain.Share) -> store.Entry:
    return store.Entry(
        share.owner_id, event.source, event.id, event.type, event.subject, event.time, _encode(share.data).decode()
    )
