"""The list of events: what has happened to an owner's things, page by page."""

from __future__ import annotations

from billfold.kernel import paging
from billfold.kernel.principal import Principal
from billfold.notifications import domain, errors, store
from billfold.notifications.contracts import EventFilter, FeedEvent, Order, Place
from billfold.platform.postgres.database import Database


class Feed:
    """What an owner was told, as far as it is kept."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def page(
        self, *, principal: Principal, wanted: EventFilter, order: Order, cursor: str | None, limit: int | None
    ) -> paging.Page[FeedEvent]:
        """The caller's events, of the types that their credentials may see.

        Raises:
            InvalidCursor, InvalidLimit
            MissingScope: they may see nothing of a topic.
            PositionUnknown, EventsForgotten: of `after`.
        """
        limit = paging.check_limit(limit)
        here = None if cursor is None else paging.decode_number(cursor)
        newest = order == "newest"
        types = domain.visible(principal, types=wanted.types, topics=wanted.topics)
        async with self._database.connection() as connection:
            if wanted.after is not None:
                check_after(wanted.after, await store.place(connection, principal.owner_id))
            after = wanted.after or 0
            found = await store.page(
                connection,
                principal.owner_id,
                types=types,
                after=after if newest or here is None else max(after, here),
                before=here if newest else None,
                subject=wanted.subject,
                since=wanted.since,
                until=wanted.until,
                newest_first=newest,
                limit=limit + 1,
            )
        more = len(found) > limit
        found = found[:limit]
        return paging.Page(found, paging.encode(found[-1].position) if more else None)


def check_after(after: int, place: Place) -> None:
    """Go on only if nothing behind this position is missing.

    Raises:
        PositionUnknown, EventsForgotten.
    """
    if after > place.position:
        raise errors.PositionUnknown(pointer="after")
    if after < place.forgotten:
        raise errors.EventsForgotten(
            f"The events up to {place.forgotten} are not kept any more: read the state from the API, and go on there.",
            pointer="after",
        )
