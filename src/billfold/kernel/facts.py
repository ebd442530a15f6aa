"""What an audit keeps of an act: what happened, and where the command came from. It is no event: addresses are in it.

Whoever acts is shown the fact as their own, for ever, and its text can't be cut later: the proof takes it whole. So a
fact has no more in it than its actor may know. What only the other side of a payment may, such as a balance, stays with
whoever keeps it, where an auditor finds it by the fact's subject.

Facts travel as events of one type to a topic of their own, several together where they belong together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

import msgspec

from billfold.kernel import clock
from billfold.kernel.events import Event
from billfold.kernel.origin import Origin

#: The type of the events that carry facts.
RECORDED: Final = "audit.recorded.v1"
#: What a fact says of an act that was carried out; of any other it has the code of the refusal.
DONE: Final = "done"
#: So many facts go into one event, or fewer when what their callers have written into them takes so much. An event
#: takes 512 KiB.
TOGETHER_MAX: Final = 50
TOGETHER_MAX_BYTES: Final = 256 * 1024


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One act or attempt."""

    #: What happened: the type of an event, or of an attempt.
    type: str
    #: Who tells it, and the id that it never gives twice.
    source: str
    id: str
    #: What it is about.
    subject: str
    #: When, RFC 3339.
    time: str
    origin: Origin
    outcome: str = DONE
    #: What it was before, where that is known, and what is told of it now: to whoever did it too.
    before: Any = None
    data: Any = None


class Facts(msgspec.Struct, frozen=True):
    """The data of an event that carries facts."""

    facts: Sequence[Fact]


def of_event(event: Event, origin: Origin, *, before: Any = None, outcome: str = DONE, data: Any = None) -> Fact:
    """The fact that an event tells; with `data` it tells that and no more."""
    return Fact(
        type=event.type,
        source=event.source,
        id=event.id,
        subject=event.subject,
        time=clock.format(event.time),
        origin=origin,
        outcome=outcome,
        before=before,
        data=event.data if data is None else data,
    )


def in_parts(sized: Iterable[tuple[Fact, int]]) -> Iterator[list[Fact]]:
    """The facts in their order, as many together as one event carries. Beside each stands how many bytes it takes."""
    some: list[Fact] = []
    taken = 0
    for fact, size in sized:
        if some and (len(some) == TOGETHER_MAX or taken + size > TOGETHER_MAX_BYTES):
            yield some
            some, taken = [], 0
        some.append(fact)
        taken += size
    if some:
        yield some


def carried(facts: Sequence[Fact], *, key: str, time: datetime) -> Event:
    """The event that carries these facts. Its id is made of all of theirs: the same ones are the same event.

    A broker that remembers ids drops what it takes for a repeat, so it must not be that of the first alone: with others
    behind it, it is another event.
    """
    first = facts[0]
    return Event(
        id=first.id if len(facts) == 1 else _digest(facts),
        type=RECORDED,
        source=first.source,
        subject=first.subject,
        time=time,
        key=key,
        data=Facts(facts),
    )


def _digest(facts: Sequence[Fact]) -> str:
    # NUL is in none of them, so no two lists look the same.
    named = "\0".join(part for fact in facts for part in (fact.source, fact.id))
    return blake2b(named.encode(), digest_size=16).hexdigest()
