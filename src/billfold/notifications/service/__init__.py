"""The facade of notifications: what has happened to an owner's things. Its parts each serve one kind of reader.

await notifications.recorder.record(…)   writes down who was told what
await notifications.feed.page(…)         the list of it
notifications.live.listening(…)          the same as it happens
"""

from __future__ import annotations

from datetime import timedelta

from billfold.kernel.clock import Clock, SystemClock
from billfold.notifications.service.feed import Feed
from billfold.notifications.service.live import Live, Stream, StreamLimits
from billfold.notifications.service.recorder import Recorder
from billfold.platform.postgres.database import Database
from billfold.wallets import Wallets

__all__ = ["KEEP", "Notifications", "Stream", "StreamLimits"]

#: Longer than brokers keep events, so that whoever was away can read here what they have missed there.
KEEP = timedelta(days=30)


class Notifications:
    """Telling owners what happens to their things, and nobody else."""

    def __init__(
        self,
        *,
        database: Database,
        wallets: Wallets,
        clock: Clock | None = None,
        keep: timedelta = KEEP,
        limits: StreamLimits | None = None,
    ) -> None:
        """`wallets` says whose the accounts are that events name. Events are kept for `keep`."""
        self.recorder = Recorder(database=database, wallets=wallets, clock=clock or SystemClock(), keep=keep)
        self.feed = Feed(database=database)
        self.live = Live(database=database, limits=limits or StreamLimits())
