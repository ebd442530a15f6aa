"""The inbox: each consumer applies each event once, since it notes it in the database transaction of its effect.

A consumer whose effect is the same however often it is applied (the newest state by version, a row by a deterministic
id) needs none.
"""

from __future__ import annotations

from collections.abc import Sequence

from billfold.kernel.events import Event
from billfold.platform.postgres.database import Connection

#: Longer than brokers keep events, and than a broker may be away: what is forgotten here can't come again.
KEPT_DAYS = 30
#: Old rows that go with each call, at least; more than new ones come, so that those of a busy time go, too.
PRUNED_MIN = 100


async def first_time(connection: Connection, consumer: str, events: Sequence[Event]) -> list[Event]:
    """Those of `events` that `consumer` has not applied before, in their order, each once.

    They count as applied if and only if the database transaction of `connection` commits. Another one that has the same
    events in hand is waited for.
    """
    new: dict[tuple[str, str], Event] = {}
    for event in events:
        new.setdefault((event.source, event.id), event)
    # In one order for all, so that two with the same events don't wait for one another.
    found = await connection.fetch(
        "INSERT INTO messaging.inbox (consumer, source, id) "
        "SELECT $1, source, id FROM unnest($2::text[], $3::text[]) AS t (source, id) ORDER BY source, id "
        "ON CONFLICT DO NOTHING RETURNING source, id",
        consumer,
        [source for source, _ in new],
        [event_id for _, event_id in new],
    )
    await connection.execute(
        "DELETE FROM messaging.inbox WHERE ctid = ANY (ARRAY(SELECT ctid FROM messaging.inbox "
        "WHERE seen_at < statement_timestamp() - make_interval(days => $1) ORDER BY seen_at LIMIT $2 "
        "FOR UPDATE SKIP LOCKED))",
        KEPT_DAYS,
        PRUNED_MIN + 2 * len(new),
    )
    first = {(row["source"], row["id"]) for row in found}
    return [event for key, event in new.items() if key in first]
