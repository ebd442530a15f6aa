"""Messages from the queue of confirmed transactions that could not be applied: set aside, looked at, tried again."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from uuid import UUID

import msgspec
import structlog

from billfold.kernel import facts, ids, paging
from billfold.kernel.clock import Clock
from billfold.kernel.errors import BillfoldError
from billfold.kernel.idempotency import IdempotencyKeyInUse
from billfold.kernel.principal import Principal
from billfold.ledger import errors as ledger_errors
from billfold.platform.messaging import cloudevents, legible, outbox
from billfold.platform.postgres.database import Connection, Database
from billfold.wallets import contracts, domain, errors, events
from billfold.wallets.contracts import DeadLetter, DeadLetterContent, DeadLetterStatus, Delivery, Taken, Transfer
from billfold.wallets.service import confirmed
from billfold.wallets.service.bulk import Bulk
from billfold.wallets.store import dead_letters as store
from billfold.wallets.store.dead_letters import NewDeadLetter

#: Beyond this it only matters that they are many.
COUNT_MAX = 100_000

log = structlog.get_logger(__name__)


class DeadLetters:
    """Use cases about dead letters. All of them take a scope of their own, and none of them ownership."""

    def __init__(self, *, database: Database, bulk: Bulk, clock: Clock) -> None:
        self._database = database
        self._bulk = bulk
        self._clock = clock

    async def record(self, *, refused: Sequence[tuple[Delivery, BillfoldError]]) -> list[Taken]:
        """Set messages aside and tell of each new one, in one database transaction: none is lost between the two.

        What became of each stands at its place: `refused`, or `discarded` if an operator has decided so before.
        """
        digests = [_digest(message) for message, _ in refused]
        taken: dict[int, Taken] = {}
        async with self._database.transaction() as connection:
            # In the order of their digests, so that two workers with the same messages don't wait for one another.
            for place in sorted(range(len(refused)), key=digests.__getitem__):
                taken[place] = await self._record(connection, digests[place], *refused[place])
        return [taken[place] for place in range(len(refused))]

    async def page(
        self, *, principal: Principal, status: DeadLetterStatus | None, cursor: str | None, limit: int | None
    ) -> paging.Page[DeadLetter]:
        """Dead letters, the newest first.

        Raises:
            MissingScope, InvalidCursor, InvalidLimit
        """
        principal.require(contracts.DEAD_LETTERS)
        size = paging.check_limit(limit)
        before = None if cursor is None else paging.decode(cursor, UUID)
        async with self._database.connection() as connection:
            found = await store.page(connection, status=status, before=before, limit=size + 1)
        return paging.cut(found, size, place=lambda dead_letter: dead_letter.id)

    async def dead_letter(self, *, principal: Principal, dead_letter_id: UUID) -> DeadLetterContent:
        """One of them, with its content.

        Raises:
            MissingScope, DeadLetterUnknown
        """
        principal.require(contracts.DEAD_LETTERS)
        async with self._database.connection() as connection:
            found = await store.get(connection, dead_letter_id)
        if found is None:
            raise errors.DeadLetterUnknown
        return found

    async def retry(self, *, principal: Principal, dead_letter_id: UUID) -> DeadLetterContent:
        """Apply the message again. Refused again it stays open, with the new reason; otherwise it is closed.

        A refusal answers every repeat of its attempt, so a retry needs a number of its own. It goes through the numbers
        and stops at the first answer that is a new one or no refusal. So an attempt is made only when all before it are
        known to be refused, and of all attempts, whoever makes them and however often, at most one moves money.

        Raises:
            MissingScope, DeadLetterUnknown, DeadLetterClosed
            DeadLetterInUse: somebody else is at it in this moment.
            Unavailable: it is not known what became of it; repeat it.
        """
        found = await self._open(principal, dead_letter_id)
        outcome = await self._apply(found)
        if isinstance(outcome, BillfoldError) and outcome.retryable:
            raise _in_dead_letter_words(outcome)
        if isinstance(outcome, ledger_errors.Voided):
            # Somebody's discard was cut off. The audit has who began it, and that is not who meets it now.
            async with self._database.transaction() as connection:
                await store.discard(connection, dead_letter_id)
            raise errors.DeadLetterClosed
        async with self._database.transaction() as connection:
            if isinstance(outcome, Transfer):
                await store.retried(connection, dead_letter_id, outcome.id)
            else:
                await store.refused_again(connection, dead_letter_id, outcome.code, legible.text(outcome.detail))
            done = facts.DONE if isinstance(outcome, Transfer) else outcome.code
            await self._keep(connection, "dead_letter.retried.v1", dead_letter_id, outcome=done)
        log.info("a dead letter was retried", dead_letter=str(dead_letter_id), applied=isinstance(outcome, Transfer))
        return await self.dead_letter(principal=principal, dead_letter_id=dead_letter_id)

    async def discard(self, *, principal: Principal, dead_letter_id: UUID) -> DeadLetterContent:
        """Close one without applying it. It stays, and the same transaction sent again is dropped too.

        What decides is the sender's key in the ledger: whoever answers it first, a posting or this, has decided for
        ever, however many processes have the transaction in hand. What can't be read is known by its bytes alone; it
        can't be posted either.

        The ledger may be on another server, so the audit hears of it twice: that it has begun, before the ledger is
        asked, and that it is done. Cut off in between it is finished by whoever meets the transaction next, and the
        audit has whose discard that was.

        Raises:
            MissingScope, DeadLetterUnknown, DeadLetterClosed
            DeadLetterApplied: the transaction was posted first.
            DeadLetterInUse: somebody else is at it in this moment.
            Unavailable: it may be posted yet; repeat it.
        """
        found = await self._open(principal, dead_letter_id)
        async with self._database.transaction() as connection:
            await self._keep(connection, "dead_letter.discard_begun.v1", dead_letter_id)
        await self._void(found)
        async with self._database.transaction() as connection:
            if not await store.discard(connection, dead_letter_id):
                raise errors.DeadLetterClosed
            await self._keep(connection, "dead_letter.discarded.v1", dead_letter_id)
        log.info("a dead letter was discarded", dead_letter=str(dead_letter_id))
        return await self.dead_letter(principal=principal, dead_letter_id=dead_letter_id)

    async def count_open(self) -> int:
        """How many wait for an operator, counted up to COUNT_MAX."""
        async with self._database.connection() as connection:
            return await store.count_open(connection, COUNT_MAX)

    async def _open(self, principal: Principal, dead_letter_id: UUID) -> DeadLetterContent:
        found = await self.dead_letter(principal=principal, dead_letter_id=dead_letter_id)
        if found.status != "open":
            raise errors.DeadLetterClosed
        return found

    async def _keep(
        self, connection: Connection, kind: str, dead_letter_id: UUID, *, outcome: str = facts.DONE
    ) -> None:
        """For the audit: what an operator has done is no event."""
        await outbox.append_fact(
            connection,
            kind,
            source=events.SOURCE,
            subject=str(dead_letter_id),
            time=self._clock.now(),
            outcome=outcome,
        )

    async def _record(self, connection: Connection, digest: UUID, message: Delivery, why: BillfoldError) -> Taken:
        now = self._clock.now()
        if isinstance(why, ledger_errors.Voided):
            await store.dropped(
                connection,
                digest=digest,
                now=now,
                subject=message.subject,
                sequence=message.sequence,
                deliveries=message.deliveries,
            )
            return "discarded"
        new = NewDeadLetter(
            id=ids.new(),
            digest=digest,
            now=now,
            sequence=message.sequence,
            deliveries=message.deliveries,
            reason=why.code,
            detail=legible.text(why.detail),
            subject=message.subject,
            headers=legible.headers(message.headers),
            content=message.body,
        )
        known, status = await store.record(connection, new)
        if known == new.id:
            event = events.refused(
                event_id=str(ids.new()),
                dead_letter_id=str(new.id),
                reason=new.reason,
                detail=new.detail,
                message=msgspec.structs.replace(message, headers=new.headers),
                time=now,
            )
            await outbox.append_dead_letter(connection, event)
            await outbox.append_fact(
                connection,
                event.type,
                source=event.source,
                subject=event.subject,
                time=now,
                outcome=new.reason,
                data={"detail": new.detail, "subject": new.subject, "size": len(new.content)},
            )
        return "discarded" if status == "discarded" else "refused"

    async def _apply(self, found: DeadLetterContent) -> Transfer | BillfoldError:
        try:
            transaction = confirmed.read(found.content, found.headers)
        except BillfoldError as error:
            return error
        while True:
            (outcome,) = await self._bulk.apply_confirmed(transactions=[transaction])
            if isinstance(outcome, Transfer | ledger_errors.Voided) or outcome.retryable or not outcome.replayed:
                return outcome
            transaction = confirmed.next_attempt(transaction)

    async def _void(self, found: DeadLetterContent) -> None:
        """Void the attempt that would come next, so that there is none any more."""
        try:
            transaction = confirmed.read(found.content, found.headers)
        except BillfoldError:
            return
        while True:
            outcome = await self._bulk.void_confirmed(transaction=transaction)
            if isinstance(outcome, UUID):
                raise errors.DeadLetterApplied
            if outcome.retryable:
                raise _in_dead_letter_words(outcome)
            if isinstance(outcome, ledger_errors.Voided) or not outcome.replayed:
                return
            transaction = confirmed.next_attempt(transaction)


def _in_dead_letter_words(error: BillfoldError) -> BillfoldError:
    """Whoever decides about a dead letter has sent no idempotency key, and knows nothing of the sender's."""
    return errors.DeadLetterInUse() if isinstance(error, IdempotencyKeyInUse) else error


def _digest(message: Delivery) -> UUID:
    """What makes two messages the same one: the transaction, however it is spelt; of what can't be read, the bytes."""
    try:
        content = b"\0" + domain.content_of(confirmed.read(message.body, message.headers))
    except Exception:  # noqa: BLE001 - whatever makes reading it fail, it must be possible to set it aside
        attributes = sorted(cloudevents.attributes(message.headers).items())
        # Sent again it may come to another partition of the queue.
        address = message.subject.split("/")[0].encode()
        content = (msgspec.json.encode(attributes) if attributes else b"") + address + b"\0" + message.body
    return UUID(bytes=blake2b(content, digest_size=16).digest())
