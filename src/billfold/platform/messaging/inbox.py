"""The inbox: each consumer applies each event once, since it notes it in the database transaction of its effect.

It notes what each said, too: another event under an id that is known is no repeat, and is not dropped as one.

A consumer whose effect is the same however often it is applied (the newest state by version, a row by a deterministic
id) needs none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import msgspec

from billfold.kernel import errors
from billfold.kernel.events import Event
from billfold.platform.postgres.database import Connection

#: The source and the id.
Pair = tuple[str, str]

#: Longer than brokers keep events, and than a broker may be away: what is forgotten here can't come again.
KEPT_DAYS = 30
#: Old rows that go with each call, at least; more than new ones come, so that those of a busy time go, too.
PRUNED_MIN = 100
#: Of what an event says. As much as a bigint: it finds mistakes, and who wants to deceive takes a new id.
DIGEST_BYTES = 8

_encode = msgspec.json.Encoder().encode


class EventDiffers(errors.Conflict):
    """The event has the id of one that its consumer has applied, and says something else; it is set aside."""

    code = "event_differs"


class Sifted(msgspec.Struct, frozen=True):
    """Events that were not applied before, and those that are not what was applied under their ids."""

    new: list[Event]
    differing: list[Event]

    def check(self) -> None:
        """To be called once `new` is applied and committed. Whoever is told takes the events again, one by one.

        Raises:
            EventDiffers: some differ.
        """
        for event in self.differing:
            raise EventDiffers(f"The event {event.id} of {event.source} came before, and said something else.")


async def first_time(connection: Connection, consumer: str, events: Sequence[Event]) -> Sifted:
    """Which of `events` `consumer` has not applied before, in their order, each once; of two under one id, the first.

    They count as applied if and only if the database transaction of `connection` commits. Another one that has the same
    events in hand is waited for.
    """
    given = [((event.source, event.id), event, _digest(event)) for event in events]
    first: dict[Pair, tuple[Event, int]] = {}
    for pair, event, digest in given:
        first.setdefault(pair, (event, digest))
    noted = {pair: digest for pair, (_, digest) in first.items()}
    found = await _note(connection, consumer, noted)
    kept = noted | found
    return Sifted(
        new=[event for pair, (event, digest) in first.items() if found.get(pair) == digest],
        differing=[event for pair, event, digest in given if kept[pair] != digest],
    )


async def _note(connection: Connection, consumer: str, digests: Mapping[Pair, int]) -> dict[Pair, int]:
    """What stands there now under the pairs that were new, or are known with another digest."""
    found = await connection.fetch(
        # In one order for all, so that two with the same events don't wait for one another.
        "INSERT INTO messaging.inbox AS known (consumer, source, id, digest) "
        "SELECT $1, source, id, digest FROM unnest($2::text[], $3::text[], $4::bigint[]) AS t (source, id, digest) "
        "ORDER BY source, id ON CONFLICT (consumer, source, id) "
        # It stays as it is. Nothing is given back of a row that is not written.
        "DO UPDATE SET digest = known.digest WHERE known.digest <> excluded.digest RETURNING source, id, digest",
        consumer,
        [source for source, _ in digests],
        [event_id for _, event_id in digests],
        list(digests.values()),
    )
    await connection.execute(
        "DELETE FROM messaging.inbox WHERE ctid = ANY (ARRAY(SELECT ctid FROM messaging.inbox "
        "WHERE seen_at < statement_timestamp() - make_interval(days => $1) ORDER BY seen_at LIMIT $2 "
        "FOR UPDATE SKIP LOCKED))",
        KEPT_DAYS,
        PRUNED_MIN + 2 * len(digests),
    )
    return {(row["source"], row["id"]): row["digest"] for row in found}


def _digest(event: Event) -> int:
    """Of what the event says, and not of its place in a trace, which is another one each time that it is published."""
    said = _encode((event.type, event.subject, event.time, event.key, event.data))
    return int.from_bytes(blake2b(said, digest_size=DIGEST_BYTES).digest(), signed=True)
