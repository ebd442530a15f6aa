"""What a batch does in its database transaction: look up the keys, lock the accounts in one order, fold, write.

The commands are folded in memory in the order of arrival. Any number of processes may do so at once; the row locks
order them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import structlog

from billfold.kernel import ids
from billfold.kernel.idempotency import IdempotencyKeyReused
from billfold.kernel.origin import Origin
from billfold.ledger import errors
from billfold.ledger.domain import backdating
from billfold.ledger.domain.book import Book
from billfold.ledger.service import commands, journal, replaying
from billfold.ledger.service.commands import Command
from billfold.ledger.store import batch as store
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection
from billfold.platform.telemetry import traces

log = structlog.get_logger(__name__)


async def answers(connection: Connection, batch: Sequence[Command], *, told_by: journal.Journal) -> list[Any]:
    """Carry out those that were not answered before. The answer to each, in their order: an outcome or an error."""
    replays = await _replays(connection, batch)
    fresh = [command for place, command in enumerate(batch) if place not in replays]
    outcomes = iter(await _post(connection, fresh, told_by) if fresh else ())
    return [replays[place] if place in replays else next(outcomes) for place in range(len(batch))]


async def _replays(connection: Connection, batch: Sequence[Command]) -> dict[int, Any]:
    """The answers of those that were answered before, by their place in the batch."""
    places = {command.key.digest: place for place, command in enumerate(batch) if command.key is not None}
    known = await store.answered(connection, list(places)) if places else {}
    if not known:
        return {}
    found: dict[int, Any] = {}
    kept: dict[int, store.Answered] = {}
    for digest, answered in known.items():
        place = places[digest]
        key = batch[place].key
        assert key is not None
        if answered.fingerprint != key.fingerprint:
            found[place] = IdempotencyKeyReused()
        elif not answered.is_reserved:
            kept[place] = answered
    return found | await replaying.answers(connection, kept)


async def _post(connection: Connection, batch: Sequence[Command], told_by: journal.Journal) -> list[Any]:
    with traces.span("lock and fold"):
        book, xid, outcomes = await _fold(connection, batch)
    records = [
        store.Record(command.key, *commands.keep(outcome, batch=xid))
        for command, outcome in zip(batch, outcomes, strict=True)
        if command.key is not None and not _is_defect(outcome)
    ]
    # Two batches with the same keys wait for each other's in this order, or they would wait in a circle.
    records.sort(key=lambda record: record.key.digest.int)
    traced = {
        moved: command.trace
        for command, outcome in zip(batch, outcomes, strict=True)
        if command.trace is not None
        for moved in commands.moved(outcome)
    }
    with traces.span("write"):
        provenance = journal.Provenance(traced, _origins(batch, outcomes))
        await _write(connection, book, xid, records, provenance)
        if book.hold_steps:
            await _write_holds(connection, book, provenance, told_by)
    return outcomes


async def _write(
    connection: Connection, book: Book, xid: int, records: Sequence[store.Record], provenance: journal.Provenance
) -> None:
    told = None
    if book.transfers:
        await store.write_transfers(connection, book.transfers, book.recorded_us, xid)
        span = store.Span(book.transfers[0].id, book.transfers[-1].id, xid)
        told = journal.row(span, book, provenance)
    await store.write_state(connection, book.touched(), records, told)
    if book.links:
        await store.write_links(connection, book.links)
    late = backdating.collect(book.transfers)
    if late is not None:
        await store.write_backdated(connection, late)


async def _write_holds(
    connection: Connection, book: Book, provenance: journal.Provenance, told_by: journal.Journal
) -> None:
    await store.write_holds(connection, {hold.id: hold for _, hold in book.hold_steps}.values())
    origins = provenance.origin_by_id()
    events = await told_by.hold_events(connection, book, provenance.traced)
    await outbox.append_all(
        connection, [outbox.Told(event=event, of=origins.get(UUID(event.subject))) for event in events]
    )


async def _fold(connection: Connection, batch: Sequence[Command]) -> tuple[Book, int, list[Any]]:
    """Apply one after the other to the book. Each is done or refused, or has met a defect of ours.

    What a defect has left in the book nobody knows, so then it is opened anew and all the others are applied again.
    """
    failed: dict[int, Exception] = {}
    while True:
        book, xid = await _open_book(connection, batch)
        outcomes: list[Any] = []
        for place, command in enumerate(batch):
            try:
                outcomes.append(failed[place] if place in failed else command.apply(book))
            except errors.LedgerError as refusal:
                outcomes.append(refusal)
            except Exception as defect:
                log.exception("a request failed", command=type(command).__name__)
                failed[place] = defect
                break
        else:
            return book, xid, outcomes


async def _open_book(connection: Connection, batch: Sequence[Command]) -> tuple[Book, int]:
    """Lock what the batch works on and read it. Holds and originals are read first only to learn their accounts."""
    account_ids = {account for command in batch for account in command.accounts()}
    hold_ids = [hold for command in batch for hold in command.hold_ids()]
    original_ids = [transfer for command in batch for transfer in command.original_ids()]
    originals = await store.transfers(connection, original_ids) if original_ids else {}
    if hold_ids:
        account_ids.update(hold.account for hold in (await store.holds(connection, hold_ids)).values())
    for original in originals.values():
        account_ids.update((original.debit_account, original.credit_account))
    locked = await store.lock(connection, account_ids)
    book = Book(
        accounts=locked.accounts, now_us=locked.now_us, ids=iter(ids.many(sum(command.size for command in batch)))
    )
    book.originals = originals
    if hold_ids:
        book.holds = await store.holds(connection, hold_ids)
    if originals:
        book.reversed, book.reversals = await store.reversed_so_far(connection, list(originals))
    return book, locked.batch


def _origins(batch: Sequence[Command], outcomes: Sequence[Any]) -> list[tuple[Origin, list[UUID]]]:
    """What came of the commands from each origin. Those of one request have the same one."""
    found: dict[int, tuple[Origin, list[UUID]]] = {}
    for command, outcome in zip(batch, outcomes, strict=True):
        if command.origin is not None:
            found.setdefault(id(command.origin), (command.origin, []))[1].extend(commands.moved(outcome))
    return list(found.values())


def _is_defect(outcome: Any) -> bool:
    return isinstance(outcome, Exception) and not isinstance(outcome, errors.LedgerError)
