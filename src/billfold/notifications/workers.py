"""Fills the feed from the broker, and forgets what is older than it is kept."""

from __future__ import annotations

from billfold.notifications import Notifications
from billfold.platform.messaging.consuming import EventConsumer
from billfold.platform.messaging.port import Messaging, Subscription
from billfold.platform.messaging.topics import EVENTS
from billfold.platform.postgres.database import Database

#: One process consumes at a time, so that owners hear of things in the order in which they happened.
FEED = Subscription(name="feed", topic=EVENTS)
#: What owners see live may be this late. Each batch is a COMMIT, on the disk that postings wait for, too.
GATHER_S = 0.05


def consumer(*, notifications: Notifications, messaging: Messaging, database: Database) -> EventConsumer:
    """The consumer that tells owners what concerns them. Any number of processes may run one."""
    return EventConsumer(
        messaging=messaging,
        database=database,
        subscription=FEED,
        handle=notifications.recorder.record,
        gather_s=GATHER_S,
    )
