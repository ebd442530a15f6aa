"""The journal as its own outbox: a batch leaves one row that points at its transfers, and the relay reads them back.

Where an audit is kept, the row also says where each command came from, and stands for the facts of the audit as well.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from billfold.kernel import clock, facts, ids, money
from billfold.kernel.events import Event
from billfold.kernel.facts import Fact
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
#: The kind where an audit is kept.
AUDITED_KIND = "ledger.audited"
#: What an earlier version has left for the audit beside a pointer, and may be waiting when workers are exchanged.
EARLIER_AUDIT_KIND = "ledger.audit"

#: Turns payloads of rows of one kind into the events of each; those that carry facts are of all of them together.
Expander = Callable[[Connection, Sequence[bytes]], Awaitable[list[list[Event]]]]

_POINTER = struct.Struct(">16s16sI")
#: For each transfer that is traced: the transfer, its trace, and the span below which it was posted.
_TRACED = struct.Struct(">16s16s8s")


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


class _Audited(msgspec.Struct, array_like=True, frozen=True):
    """What stands behind the pointer where an audit is kept."""

    traced: bytes
    packed: list[_Packed]


_pack = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_unpack = msgspec.msgpack.Decoder(_Audited).decode
_unpack_earlier = msgspec.msgpack.Decoder(list[_Packed]).decode
_encode = msgspec.json.Encoder().encode


def row(span: store.Span, book: Book, provenance: Provenance) -> store.OutboxRow:
    """What tells of a batch: where its transfers are, which of them are traced, and where their commands came from."""
    pointer = _POINTER.pack(span.first.bytes, span.last.bytes, span.batch)
    traced = b"".join(
        _TRACED.pack(moved.bytes, place.trace_id.to_bytes(16), place.span_id.to_bytes(8))
        for moved, place in provenance.traced.items()
        if span.first <= moved <= span.last
    )
    posted = {transfer.id.bytes for transfer in book.transfers} if provenance.origins else ()
    packed = [
        _Packed(
            (known.channel, known.address, known.request_id, known.credential_id, known.owner_id, known.user_id,
             known.on_behalf_of),
            moved,
        )
        for known, found in provenance.origins
        if (moved := b"".join(each for one in found if (each := one.bytes) in posted))
    ]  # fmt: skip
    if not packed:
        return store.OutboxRow(OUTBOX_KIND, pointer + traced)
    return store.OutboxRow(AUDITED_KIND, pointer + _pack(_Audited(traced, packed)))


def _origins(packed: Iterable[_Packed]) -> dict[bytes, Origin]:
    """Where the command came from that each transfer came of, by the bytes of its id."""
    return {
        one.moved[begin : begin + 16]: origin
        for one in packed
        for origin in (_origin(one),)
        for begin in range(0, len(one.moved), 16)
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


def _traced(packed: bytes) -> dict[UUID, str]:
    return {
        UUID(bytes=moved): Place(int.from_bytes(trace_id), int.from_bytes(span_id)).traceparent()
        for moved, trace_id, span_id in _TRACED.iter_unpack(packed)
    }


class Journal:
    """Turns transfers and holds into events."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets

    @property
    def expanders(self) -> Mapping[str, Expander]:
        """How the rows of each kind become events."""
        return {
            OUTBOX_KIND: self.expand,
            AUDITED_KIND: self._expand_audited,
            EARLIER_AUDIT_KIND: self._expand_earlier_audit,
        }

    async def expand(self, connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
        """The events of each batch that a payload points at, in the order of posting."""
        traced = [_traced(payload[_POINTER.size :]) for payload in payloads]
        return await self._told(connection, payloads, traced)

    async def _expand_audited(self, connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
        """The events of each batch, and behind those of the last one the events that carry the facts of all.

        A broker that syncs stores some large messages sooner than many small ones. No other facts stand between these
        batches: the relay sees to that.
        """
        audited = [_unpack(memoryview(payload)[_POINTER.size :]) for payload in payloads]
        batches = await self._told(connection, payloads, [_traced(one.traced) for one in audited])
        came_from = _origins([packed for one in audited for packed in one.packed])
        batches[-1] += _carrying([event for told in batches for event in told], came_from)
        return batches

    async def _expand_earlier_audit(self, connection: Connection, payloads: Sequence[bytes]) -> list[list[Event]]:
        """The events that carry the facts of each batch."""
        batches = await self._told(connection, payloads, [{}] * len(payloads))
        packed = [_unpack_earlier(memoryview(payload)[_POINTER.size :]) for payload in payloads]
        return [list(_carrying(told, _origins(one))) for told, one in zip(batches, packed, strict=True)]

    async def _told(
        self, connection: Connection, payloads: Sequence[bytes], traced: Sequence[Mapping[UUID, str]]
    ) -> list[list[Event]]:
        """The events of the transfers that each payload points at."""
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
                events.transfer_posted(_posted(transfer, scales[transfer.asset]), traceparent=places.get(transfer.id))
                for transfer in transfers
            ]
            for transfers, places in zip(batches, traced, strict=True)
        ]

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


def _carrying(told: Sequence[Event], came_from: Mapping[bytes, Origin]) -> Iterator[Event]:
    """The events that carry the facts of those events whose origin is known.

    What carries the same facts is the same event, whatever else was read with them: a relay may come to tell it again.
    """
    for some in facts.in_parts(_facts(told, came_from)):
        yield facts.carried(some, key="ledger", time=clock.parse(some[0].time))


def _facts(told: Sequence[Event], came_from: Mapping[bytes, Origin]) -> Iterator[tuple[Fact, int]]:
    """The facts of those events, each with the size of what is told of it."""
    for event in told:
        known = came_from.get(bytes.fromhex(event.id.replace("-", "")))
        if known is None:
            continue
        assert isinstance(event.data, events.TransferPosted), "as events.transfer_posted has it"
        data = events.transfer_recorded(event.data)
        yield facts.of_event(event, known, data=data), len(data)


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
