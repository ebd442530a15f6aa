"""Signed heads leave the machine: whoever holds one can tell later whether the log before it was written anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from billfold.audit.store import heads
from billfold.platform.postgres.database import Database

#: A place that was away is told of so many heads at a time.
AT_ONCE = 100


class Place(Protocol):
    """Somewhere that takes signed heads."""

    @property
    def name(self) -> str:
        """What this place is known by, for as long as it is the same."""
        ...

    async def publish(self, note: str) -> None:
        """Have it take a head. It may get the same one again.

        Raises:
            Unavailable: it did not.
            HeadDiffers: it has another one of the same size, and keeps that.
        """
        ...


class Store(Place, Protocol):
    """A place that can be looked at before there is a head for it."""

    async def examine(self) -> str:
        """What can be known of it without putting anything there, for people to read.

        Raises:
            Unavailable: it would take no head now.
        """
        ...


class Publishing:
    """Tells places of heads, each in its order."""

    def __init__(self, *, database: Database, places: Sequence[Place]) -> None:
        self._database = database
        self.places = places

    async def publish(self, place: Place) -> int:
        """Tell a place what it was not told, and say how many heads that were.

        Raises:
            DatabaseUnavailable, PublishingFailed, HeadDiffers.
        """
        async with self._database.connection() as connection:
            waiting = await heads.unpublished(connection, place.name, limit=AT_ONCE)
        for head in waiting:
            await place.publish(head.note)
            async with self._database.transaction() as connection:
                await heads.published(connection, place.name, head.size)
        return len(waiting)
