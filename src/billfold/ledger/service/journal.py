"""The journal as its own outbox: a batch leaves one row that points at its transfers, and the relay reads them back."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from uuid import UUID

from billfold.kernel import ids, money
from billfold.kernel.events import Event
from billfold.kernel.money import Money
from billfold.ledger import events
from billfold.ledger.contracts import Hold, Transfer
from billfold.ledger.domain.book import Book, HoldStep
from billfold.ledger.service.assets import Assets
from billfold.ledger.store import batch as store
from billfold.platform.postgres.database import Connection

#: The kind of an outbox row whose payload is a pointer.
OUTBOX_KIND = "ledger.batch"

_POINTER = struct.Struct(">16s16sI")


def pointer(span: store.Span) -> bytes:
    """Where a batch's transfers are."""
    return _POINTER.pack(span.first.bytes, span.last.bytes, span.batch)


class Journal:
    """Turns transfers and holds into events."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets

    async def expand(self, connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
        """The events of each batch that a payload points at, in the order of posting."""
        spans = [
            store.Span(UUID(bytes=first), UUID(bytes=last), batch)
            for first, last, batch in map(_POINTER.unpack, payloads)
        ]
        batches = await store.transfers_of(connection, spans)
        scales: dict[str, int] = {}
        for code in {transfer.asset for transfers in batches for transfer in transfers}:
            scales[code] = (await self._assets.get(code, connection=connection)).scale
        return [
            [events.transfer_posted(_posted(transfer, scales[transfer.asset])) for transfer in transfers]
            for transfers in batches
        ]

    async def hold_events(self, connection: Connection, book: Book) -> list[Event]:
        """The events of all that the batch did to holds, in order."""
        return [await self._hold_event(connection, step, hold, book) for step, hold in book.hold_steps]

    async def _hold_event(self, connection: Connection, step: HoldStep, hold: Hold, book: Book) -> Event:
        scale = (await self._assets.get(hold.asset, connection=connection)).scale
        changed = events.HoldChanged(
            id=str(hold.id),
            account=str(hold.account),
            status=hold.status,
            money=Money(money.format(hold.amount, scale), hold.asset),
            settled=money.format(hold.settled, scale),
            remaining=money.format(hold.remaining, scale),
            reference=hold.reference,
            expires_at=hold.expires_at,
        )
        return events.hold_changed(step, changed, event_id=str(ids.new()), time=book.now)


def _posted(transfer: Transfer, scale: int) -> events.TransferPosted:
    return events.TransferPosted(
        id=transfer.id,
        kind=transfer.kind,
        money=Money(money.format(transfer.amount, scale), transfer.asset),
        debit_account=transfer.debit_account,
        credit_account=transfer.credit_account,
        debit_version=transfer.debit_version,
        credit_version=transfer.credit_version,
        debit_balance=money.format(transfer.debit_balance, scale),
        credit_balance=money.format(transfer.credit_balance, scale),
        reference=transfer.reference,
        description=transfer.description,
        metadata=transfer.metadata,
        effective_at=transfer.effective_at,
        recorded_at=transfer.recorded_at,
    )
