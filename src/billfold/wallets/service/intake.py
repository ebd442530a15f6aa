"""Takes in requests that are accepted to be carried out later. What comes at about the same time is stored together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from billfold.kernel import ids, origin
from billfold.kernel.idempotency import Key
from billfold.kernel.origin import Origin
from billfold.ledger import Ledger
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection, Database
from billfold.platform.postgres.groups import Groups
from billfold.wallets import errors, events
from billfold.wallets.contracts import RequestLimits
from billfold.wallets.service.endings import view
from billfold.wallets.store import requests as store
from billfold.wallets.store.requests import Row

#: The broker tells a worker within milliseconds. Who has not been told by then finds it in the database.
TOLD_WITHIN = timedelta(seconds=2)


class _Wish(NamedTuple):
    """Whose request comes with which key."""

    owner_id: UUID
    digest: UUID


class _Found(NamedTuple):
    """What was accepted with the key; otherwise how many requests are open of the owner's, and of everybody's."""

    known: Row | None
    theirs: int = 0
    everybodys: int = 0


class _New(NamedTuple):
    """A request to be stored, and where it comes from."""

    request: store.New
    of: Origin | None


class Intake:
    """Stores requests, each once for its idempotency key."""

    def __init__(self, *, database: Database, ledger: Ledger, limits: RequestLimits) -> None:
        self._database = database
        self._ledger = ledger
        self._limits = limits
        self._looking = Groups("look for requests", self._look)
        self._asking = Groups("ask for answers", self._ask)
        self._storing = Groups("store requests", self._store)

    async def known_or_room(self, owner_id: UUID, key: Key) -> Row | None:
        """What was accepted with this key; otherwise there is room for another one.

        So many as are accepted at the very same moment may come on top: a limit that holds to the last one would make
        all of them wait for each other.

        Raises:
            BacklogFull
        """
        found = await self._looking.do(_Wish(owner_id, key.digest))
        if found.theirs >= self._limits.open_per_owner_max:
            raise errors.BacklogFull("Too many of your accepted requests wait to be carried out; try again later.")
        if found.everybodys >= self._limits.open_max:
            raise errors.BacklogFull
        return found.known

    async def is_answered(self, key: Key) -> bool:
        """Whether the ledger has answered this key."""
        return await self._asking.do(key)

    async def store(self, new: store.New) -> Row:
        """Store a request, or find the one that has its key; it has been committed."""
        return await self._storing.do(_New(new, origin.current()))

    async def _look(self, wishes: Sequence[_Wish]) -> list[_Found]:
        limits = self._limits
        async with self._database.connection() as connection:
            known = await store.of_keys(connection, [wish.digest for wish in wishes])
            owners = {wish.owner_id for wish in wishes if wish.digest not in known}
            theirs, everybodys = await store.count_open(
                connection, owners, owners_max=limits.open_per_owner_max, most=limits.open_max
            )
        return [
            _Found(known[wish.digest]) if wish.digest in known else _Found(None, theirs[wish.owner_id], everybodys)
            for wish in wishes
        ]

    async def _ask(self, keys: Sequence[Key]) -> list[bool]:
        answered = await self._ledger.answered(keys=keys)
        return [key.digest in answered for key in keys]

    async def _store(self, news: Sequence[_New]) -> list[Row]:
        requests = [new.request for new in news]
        async with self._database.transaction() as connection:
            stored = await store.insert(
                connection, requests, expire_after=self._limits.expire_after, due_after=TOLD_WITHIN
            )
            # Another one is in the way, and none is ever deleted.
            others = [request.key_digest for request in requests if request.id not in stored]
            known = await store.of_keys(connection, others) if others else {}
            if stored:
                added = [(stored[new.request.id], new.of) for new in news if new.request.id in stored]
                await self._keep(connection, added)
        return [stored.get(request.id) or known[request.key_digest] for request in requests]

    async def _keep(self, connection: Connection, rows: Sequence[tuple[Row, Origin | None]]) -> None:
        """Let their keys stand for them, and tell of them."""
        await self._ledger.reserve(keys=[row.key for row, _ in rows], transaction=connection)
        await outbox.append_all(connection, [_told_of(row, of) for row, of in rows])


def _told_of(row: Row, of: Origin | None) -> outbox.Told:
    event = events.request_event(
        event_id=str(ids.new()),
        kind=events.REQUEST_ACCEPTED,
        request=view(row),
        owner_id=row.owner_id,
        time=row.accepted_at,
    )
    return outbox.Told(event=msgspec.structs.replace(event, traceparent=row.traceparent), of=of)
