"""The topics that messages go to, whichever broker carries them: names, and how long what is there is kept.

How a topic looks in a broker (a stream, a partitioned log, an exchange with queues) is its adapter's business.
"""

from __future__ import annotations

import msgspec

_DAY_S = 24 * 60 * 60


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic as it is made where it is missing. One that exists keeps the limits that its operator gave it."""

    name: str
    description: str
    #: What is older goes; 0 is never.
    max_age_s: int = 0
    max_messages: int
    #: A queue: each message goes to one consumer, and leaves when it is settled. When it is full its sender is refused,
    #: and knows it. In any other topic all consumers see all messages, and when it is full the oldest go.
    queue: bool = False
    #: Of a queue: it has one consumer at a time, who gets everything in order, whatever its keys are, also what the one
    #: before had in hand.
    in_order: bool = False

    @property
    def address(self) -> str:
        """What it is called in every broker, or what the name there begins with."""
        return f"billfold.{self.name}"


#: Events are kept for a week, or the last ten million of them (some seven gigabytes). When it is full the oldest go:
#: the record is PostgreSQL, and a stream that refused would stop the relay for good because one consumer is behind.
EVENTS = Topic(
    name="events",
    description="What has happened, as CloudEvents.",
    max_age_s=7 * _DAY_S,
    max_messages=10_000_000,
)
#: What has been taken from it leaves it, so its limit is how much may wait. When it is full its sender is refused, and
#: knows it; dropping the oldest would lose money. Nothing here ever becomes too old.
CONFIRMED = Topic(
    name="confirmed-transactions",
    description="Transactions that another system has confirmed, for Billfold to apply.",
    max_messages=10_000_000,
    queue=True,
)
#: Copies for whoever wants to be told; the dead letters themselves are in PostgreSQL.
DEAD_LETTERS = Topic(
    name="dead-letters",
    description="Messages that could not be applied, with the reason.",
    max_age_s=90 * _DAY_S,
    max_messages=1_000_000,
)
#: What the audit has not recorded yet. Nothing of it may be lost, so when it is full its sender is refused, and the
#: relay keeps the rest in the database: a week of a busy ledger, in events of fifty facts.
AUDIT = Topic(
    name="audit",
    description="Facts for the audit, with where each command came from. For nobody else to read.",
    max_messages=10_000_000,
    queue=True,
    in_order=True,
)
