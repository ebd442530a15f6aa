"""The journal as its own outbox: a batch leaves one row that points at its transfers, and the relay reads them back.

Where an audit is kept it leaves another one, which also says where each command came from.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from billfold.kernel import facts, ids, money
from billfold.kernel.events import Event
from billfold.kernel.money import Money
from billfold.kernel.origin import Origin
from billfold.ledger import events
from billfold.ledger.contracts import Hold, Transfer
from billfold.ledger.domain.book import Book, HoldStep
from billfold.ledger.service.assets import Assets
from billfold.ledger.store import batch as store
from billfold.platform.postgres.database import Connection
from billfold.platform.telemetry.traces import Place

#: The kind of an outbox row whose payload is a pointer.
OUTBOX_KIND = "ledger.batch"
#: The kind of the row for the audit.
AUDIT_KIND = "ledger.audit"
#: So many facts go into one event: a fact is below a kilobyte but for what its caller has written into it, which is
#: 8 KiB at most, and an event takes 512.
FACTS_MAX = 50

_POINTER = struct.Struct(">16s16sI")
#: Behind it, for each transfer that is traced: the transfer, its trace, and the span below which it was posted.
_TRACED = struct.Struct(">16s16s8s")


def pointer(span: store.Span, traced: Mapping[UUID, Place]) -> bytes:
    """Where a batch's transfers are, and which of what is `traced` they are."""
    found = (
        _TRACED.pack(moved.bytes, place.trace_id.to_bytes(16), place.span_id.to_bytes(8))
        for moved, place in traced.items()
        if span.first <= moved <= span.last
    )
    return _POINTER.pack(span.first.bytes, span.last.bytes, span.batch) + b"".join(found)


class Provenance(NamedTuple):
    """Of what a batch has posted: the trace of each, where it has one, and where each command came from."""

    traced: Mapping[UUID, Place]
    origins: Sequence[tuple[Origin, Sequence[UUID]]]

    def origin_by_id(self) -> dict[UUID, Origin]:
        """Where the command came from that each came of."""
        return {moved: known for known, found in self.origins for moved in found}


class _Packed(msgspec.Struct, array_like=True, frozen=True):
    """An origin without the names of its fields, and ids one after the other."""

    origin: tuple[str, str, str, UUID | None, UUID | None, UUID | None, UUID | None]
    moved: bytes


_pack = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_unpack = msgspec.msgpack.Decoder(list[_Packed]).decode


def originated(span: store.Span, book: Book, provenance: Provenance) -> bytes | None:
    """Where a batch's transfers are, and where the commands came from that posted them; None if none is known."""
    posted = {transfer.id for transfer in book.transfers}
    packed = [
        _Packed(
            (known.channel, known.address, known.request_id, known.credential_id, known.owner_id, known.user_id,
             known.on_behalf_of),
            moved,
        )
        for known, found in provenance.origins
        if (moved := b"".join(each.bytes for each in found if each in posted))
    ]  # fmt: skip
    return _POINTER.pack(span.first.bytes, span.last.bytes, span.batch) + _pack(packed) if packed else None


def origins(payload: bytes) -> dict[UUID, Origin]:
    """What `originated` has packed: where the command came from that each transfer came of."""
    return {
        UUID(bytes=packed.moved[begin : begin + 16]): origin
        for packed in _unpack(payload[_POINTER.size :])
        for origin in (_origin(packed),)
        for begin in range(0, len(packed.moved), 16)
    }


def _origin(packed: _Packed) -> Origin:
    channel, address, request_id, credential_id, owner_id, user_id, on_behalf_of = packed.origin
    return msgspec.convert(
        {
            "channel": channel,
            "address": address,
            "request_id": request_id,
            "credential_id": credential_id,
            "owner_id": owner_id,
            "user_id": user_id,
            "on_behalf_of": on_behalf_of,
        },
        Origin,
    )


def _traced(payload: bytes) -> dict[UUID, str]:
    return {
        UUID(bytes=moved): Place(int.from_bytes(trace_id), int.from_bytes(span_id)).traceparent()
        for moved, trace_id, span_id in _TRACED.iter_unpack(payload[_POINTER.size :])
    }


class Journal:
    """Turns transfers and holds into events."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets

    async def expand(self, connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
        """The events of each batch that a payload points at, in the order of posting."""
        spans = [
            store.Span(UUID(bytes=first), UUID(bytes=last), batch)
            for first, last, batch in map(_POINTER.unpack_from, payloads)
        ]
        batches = await store.transfers_of(connection, spans)
        scales: dict[str, int] = {}
        for code in {transfer.asset for transfers in batches for transfer in transfers}:
            scales[code] = (await self._assets.get(code, connection=connection)).scale
        return [
            [
                events.transfer_posted(_posted(transfer, scales[transfer.asset]), traceparent=traced.get(transfer.id))
                for transfer in transfers
            ]
            for transfers, traced in zip(batches, map(_traced, payloads), strict=True)
        ]

    async def expand_audit(self, connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
        """The events that carry the facts of each batch: its transfers, and where each was asked for."""
        pointers = [payload[: _POINTER.size] for payload in payloads]
        batches = await self.expand(connection, pointers)
        return [list(_carrying(told, origins(payload))) for told, payload in zip(batches, payloads, strict=True)]

    async def hold_events(self, connection: Connection, book: Book, traced: Mapping[UUID, Place]) -> list[Event]:
        """The events of all that the batch did to holds, in order."""
        return [
            await self._hold_event(connection, step, hold, book, traced.get(hold.id)) for step, hold in book.hold_steps
        ]

    async def _hold_event(
        self, connection: Connection, step: HoldStep, hold: Hold, book: Book, trace: Place | None
    ) -> Event:
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
        return events.hold_changed(
            step, changed, event_id=str(ids.new()), time=book.now, traceparent=trace.traceparent() if trace else None
        )


def _carrying(told: Sequence[Event], came_from: Mapping[UUID, Origin]) -> Iterator[Event]:
    found = [facts.of_event(event, known) for event in told if (known := came_from.get(UUID(event.id))) is not None]
    for begin in range(0, len(found), FACTS_MAX):
        some = found[begin : begin + FACTS_MAX]
        yield facts.carried(some, key="ledger", time=told[0].time)


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
