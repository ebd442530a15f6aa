"""Those who listen: one reader of the feed in each process wakes whoever it concerns.

A stream begins behind: until it has read from the database what happened since its position. From then on it gets what
the reader finds. What both find is recognised by its position, so nothing is lost between the two, and nothing comes
twice.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from uuid import UUID

import msgspec
import structlog

from billfold.kernel.errors import BillfoldError, Unavailable
from billfold.kernel.principal import MissingScope, Principal
from billfold.notifications import domain, errors, store
from billfold.notifications.contracts import FeedEvent, Topic
from billfold.notifications.service import metrics
from billfold.notifications.service.feed import check_after
from billfold.platform.postgres.database import Database

#: Events that wait for one who listens; further ones are read from the database when they have taken these.
WAITING_MAX = 256
#: Whoever does not come for more in that time does not read, and is cut off. They come again where they were.
SLOW_S = 10.0
#: Events that one who comes again reads at a time.
PAGE_MAX = 100
#: Rows that the reader takes at a time.
ROWS_MAX = 1_000
#: How long the reader waits after a look, shortly after something has happened and later.
BUSY_PAUSE_S = 0.02
IDLE_PAUSE_S = 0.05
LINGER_S = 1.0
#: A reader that has lost the database looks again after this, and one that fails later each time.
LOST_PAUSE_S = 1.0
FAILED_PAUSE_MAX_S = 30.0
#: So often in a row reading may fail before all streams end: those who listen shall know that they hear nothing.
FAILURES_MAX = 3
#: Whoever begins to listen waits no longer for the reader to begin, too.
BEGIN_TIMEOUT_S = 5.0
#: All credentials that streams were opened with are looked at again within this time …
RECHECKED_S = 5.0
#: … but no more of them in a second than these.
RECHECKS_PER_S = 100
#: What is known of credentials is believed for less than that (see identity's `verified`).
BELIEVED_S = 1.0

Again = Callable[[], Awaitable[Principal]]

log = structlog.get_logger(__name__)


class StreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many streams a process has open."""

    all: int = 5_000
    of_owner: int = 20


class Stream:
    """One who listens."""

    def __init__(self, database: Database, principal: Principal, again: Again) -> None:
        self.principal = principal
        self.again = again
        #: Where they are: of the last event that they were given.
        self.position = 0
        #: Why it is over.
        self.ended: BillfoldError | None = None
        self._database = database
        #: What they want to hear of, and which types that are, among those that they may see.
        self._topics: Collection[Topic] | None = ()
        self._types: frozenset[str] = frozenset()
        self._behind = True
        #: How often they have said what they want, or may see. What was read meanwhile answers an older question.
        self._asked = 0
        self._waiting: deque[FeedEvent] = deque()
        #: Whether something could not wait, so that it has to be read; and since when they have not come for it.
        self._dropped = False
        self._full_since: float | None = None
        self._woken = asyncio.Event()
        self._over = asyncio.Event()

    async def hear(self, topics: Collection[Topic] | None, *, after: int | None = None) -> None:
        """From where they are on, or from behind this position on, what belongs to these topics; None is everything.

        Raises:
            MissingScope: their credentials see nothing of one of them.
            PositionUnknown, EventsForgotten, DatabaseUnavailable.
        """
        types = domain.visible(self.principal, topics=topics)
        if after is not None:
            async with self._database.connection() as connection:
                check_after(after, await store.place(connection, self.principal.owner_id))
            self.position, self._behind = after, True
        self._types, self._topics = types, topics
        self._asked += 1
        self._woken.set()

    def renew(self, principal: Principal, again: Again) -> None:
        """Go on with other credentials of the same owner.

        Raises:
            NotAuthenticated: they are somebody else's.
            MissingScope: they see nothing of what is listened to.
        """
        if principal.owner_id != self.principal.owner_id:
            raise errors.NotAuthenticated("These credentials are somebody else's: use another connection for them.")
        types = domain.visible(principal, topics=self._topics)
        self.principal, self.again, self._types = principal, again, types
        self._asked += 1

    def push(self, event: FeedEvent) -> None:
        """Let them have an event. It waits for nobody."""
        if event.type not in self._types:
            return
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append(event)
        else:
            # A burst, or somebody slow. What is dropped here is read from the database when they come for more.
            self._waiting.clear()
            self._behind = self._dropped = True
            self._full_since = self._full_since or monotonic()
        self._woken.set()

    def look_back(self) -> None:
        """Read from the database what may have been passed by."""
        self._behind = self._dropped = True
        self._woken.set()

    def check_pace(self) -> None:
        """End it if nobody has come for what has happened."""
        if self._full_since is not None and monotonic() - self._full_since > SLOW_S:
            self.end(errors.SlowReader())

    def end(self, why: BillfoldError) -> None:
        """Let this be the end."""
        self.ended = self.ended or why
        self._over.set()
        self._woken.set()

    async def over(self) -> None:
        """Wait for the end.

        Raises:
            BillfoldError: always, it says why.
        """
        await self._over.wait()
        assert self.ended is not None
        raise self.ended

    async def next(self, *, wait_s: float) -> Sequence[FeedEvent]:
        """What has happened since, as soon as something has; nothing after `wait_s`.

        Raises:
            BillfoldError: it is over, and why.
        """
        self._full_since = None
        try:
            async with asyncio.timeout(wait_s):
                while True:
                    # Who hears of nothing yet stays where they are: what they ask for may have happened since.
                    reads = self._behind and self._types
                    found = await self._caught_up() if reads else self._taken()
                    if found:
                        self.position = found[-1].position
                        return found
                    if not reads:
                        self._woken.clear()
                        await self._woken.wait()
        except TimeoutError:
            return ()

    def _taken(self) -> list[FeedEvent]:
        if self.ended is not None:
            raise self.ended
        # What waits may have been asked for before they have said that they want it no more.
        found = [event for event in self._waiting if event.position > self.position and event.type in self._types]
        self._waiting.clear()
        return found

    async def _caught_up(self) -> list[FeedEvent]:
        """The next page of what was missed. With the last one they are behind no more."""
        if self.ended is not None:
            raise self.ended
        self._dropped, asked = False, self._asked
        async with self._database.connection() as connection:
            place = await store.place(connection, self.principal.owner_id)
            check_after(self.position, place)
            found = await store.page(
                connection, self.principal.owner_id, types=self._types, after=self.position, limit=PAGE_MAX
            )
        if asked != self._asked:
            return []
        if len(found) < PAGE_MAX and not self._dropped:
            self._behind = False
            # What is of other types is not to be read again, nor missed when it is forgotten.
            self.position = max(self.position, place.position if not found else found[-1].position)
        return found


class Live:
    """All streams of this process."""

    def __init__(self, *, database: Database, limits: StreamLimits) -> None:
        self._database = database
        self._limits = limits
        self._streams: defaultdict[UUID, set[Stream]] = defaultdict(set)
        self._open = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._reading = asyncio.Event()
        #: How far the reader is; None is not begun.
        self._seq: int | None = None
        self._busy_until = 0.0
        self._checks: set[asyncio.Task[None]] = set()
        self._stopped = False

    def admit(self) -> None:
        """Go on only if there is room for another stream.

        Raises:
            StreamsFull, ServerStopping.
        """
        if self._stopped:
            raise errors.ServerStopping
        if self._open >= self._limits.all:
            raise errors.StreamsFull

    def stop(self) -> None:
        """End all streams, and begin no others: this process is told to end."""
        self._stopped = True
        self._end_all(errors.ServerStopping)

    def _end_all(self, why: type[BillfoldError]) -> None:
        for stream in self._all():
            stream.end(why())

    @asynccontextmanager
    async def listening(self, principal: Principal, again: Again) -> AsyncIterator[Stream]:
        """A stream that is given what happens from now on, once it says of what types.

        `again` finds out whether the credentials are still good.

        Raises:
            TooManyStreams, StreamsFull, StreamFailed, ServerStopping, DatabaseUnavailable.
        """
        self.admit()
        if len(self._streams.get(principal.owner_id, ())) >= self._limits.of_owner:
            raise errors.TooManyStreams
        stream = Stream(self._database, principal, again)
        self._add(stream)
        try:
            await self._begun()
            # Whatever the reader has passed by is behind this.
            async with self._database.connection() as connection:
                stream.position = (await store.place(connection, principal.owner_id)).position
            yield stream
        finally:
            self._remove(stream)

    def _add(self, stream: Stream) -> None:
        if not self._open:
            self._begin_anew()
            self._tasks = [
                asyncio.create_task(self._read(), name="read the feed"),
                asyncio.create_task(self._recheck(), name="look at credentials again"),
            ]
        self._open += 1
        metrics.OPEN.set(self._open)
        self._streams[stream.principal.owner_id].add(stream)

    def _remove(self, stream: Stream) -> None:
        of_owner = self._streams[stream.principal.owner_id]
        of_owner.discard(stream)
        if not of_owner:
            del self._streams[stream.principal.owner_id]
        self._open -= 1
        metrics.OPEN.set(self._open)
        if stream.ended is not None:
            metrics.ENDED.labels(stream.ended.code).inc()
        if not self._open:
            for task in self._tasks:
                task.cancel()

    def _all(self) -> list[Stream]:
        return [stream for streams in self._streams.values() for stream in streams]

    async def _begun(self) -> None:
        try:
            async with asyncio.timeout(BEGIN_TIMEOUT_S):
                await self._reading.wait()
        except TimeoutError:
            raise errors.StreamFailed from None

    def _begin_anew(self) -> None:
        self._seq = None
        self._reading.clear()

    async def _read(self) -> None:
        """Give everybody what concerns them, until cancelled. What fails is logged, and it goes on after a while."""
        failures = 0
        while True:
            try:
                pause_s = await self._look()
                failures = 0
            except Unavailable as error:
                log.warning("the feed can't be read", reason=error.detail)
                pause_s = LOST_PAUSE_S
            except Exception:
                log.exception("reading the feed fails")
                pause_s = min(LOST_PAUSE_S * 2**failures, FAILED_PAUSE_MAX_S)
                failures += 1
                # What it fails at may be there at each look, and concern one owner alone: it is not taken again.
                self._begin_anew()
                if failures >= FAILURES_MAX:
                    self._end_all(errors.StreamFailed)
            await asyncio.sleep(pause_s)

    async def _look(self) -> float:
        """Give what there is since the last look, and say how soon to look again."""
        async with self._database.connection() as connection:
            head = await store.head(connection)
            if self._seq is None:
                self._seq = head
                for stream in self._all():
                    stream.look_back()
            self._reading.set()
            if self._seq != head:
                self._busy_until = monotonic() + LINGER_S
            while self._seq < head:
                found = await store.between(
                    connection, after=self._seq, until=head, owners=list(self._streams), limit=ROWS_MAX
                )
                self._give(found)
                self._seq = found[-1].seq if len(found) == ROWS_MAX else head
        return BUSY_PAUSE_S if monotonic() < self._busy_until else IDLE_PAUSE_S

    def _give(self, found: Sequence[store.Told]) -> None:
        for told in found:
            for stream in self._streams.get(told.owner_id, ()):
                stream.push(told.event)
            if told.event.type in domain.ENDING:
                asyncio.get_running_loop().call_later(BELIEVED_S, self._suspect, told.owner_id)

    def _suspect(self, owner_id: UUID) -> None:
        task = asyncio.create_task(self._check_all_of(owner_id), name="look at an owner's credentials again")
        self._checks.add(task)
        task.add_done_callback(self._checks.discard)

    async def _check_all_of(self, owner_id: UUID) -> None:
        for stream in list(self._streams.get(owner_id, ())):
            await _check(stream)

    async def _recheck(self) -> None:
        """Look at the credentials of everybody, one after the other, until cancelled."""
        while True:
            streams = self._all()
            pause_s = max(1 / RECHECKS_PER_S, RECHECKED_S / max(1, len(streams)))
            for stream in streams:
                await asyncio.sleep(pause_s)
                stream.check_pace()
                await _check(stream)


async def _check(stream: Stream) -> None:
    """End the stream of credentials that are good for less than they were when it began."""
    try:
        principal = await stream.again()
    except Unavailable:
        pass  # It is not known now, and asked again soon.
    except BillfoldError as error:
        stream.end(error)
    except Exception:
        # Nobody knows whether they are good: what they may hear ends here, and the looks at all others go on.
        log.exception("looking at the credentials of a stream fails")
        stream.end(errors.StreamFailed())
    else:
        if not stream.principal.scopes <= principal.scopes:
            stream.end(MissingScope("Your credentials may see less than when this began."))
