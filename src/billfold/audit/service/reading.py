"""Who may see which records, and the proofs about them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterable

import msgspec

from billfold.audit import contracts, errors
from billfold.audit.contracts import AuditRecord, Consistency, Filter, RecordProof, SignedHead
from billfold.audit.domain import exports, merkle, records
from billfold.audit.service import sealing
from billfold.audit.store import heads
from billfold.audit.store import records as store
from billfold.audit.store.heads import KeptHead
from billfold.kernel import paging
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database

#: Of an export so many records are in memory at a time.
BLOCK = 2_000
#: Positions and sizes are below.
_MAX = 2**63


class Reading:
    """Shows records and proves them."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def page(
        self, *, by: Principal, asked: Filter, limit: int | None = None, cursor: str | None = None
    ) -> paging.Page[AuditRecord]:
        """Everybody's records, the newest first.

        Raises:
            MissingScope, InvalidCursor, InvalidLimit.
        """
        by.require(contracts.READ)
        return await self._page(asked, limit=limit, cursor=cursor)

    async def own(
        self, *, by: Principal, limit: int | None = None, cursor: str | None = None
    ) -> paging.Page[AuditRecord]:
        """What the caller did, and what nobody who is known did with what is theirs, such as failed logins.

        Not what others did, to them either, by their credentials or at the machine: in such a record stands from where
        those others did it. `kernel.facts` says what a record that its actor sees may have in it.

        Raises:
            MissingScope, InvalidCursor, InvalidLimit.
        """
        by.require(contracts.OWN)
        return await self._page(Filter(told_to=_self(by)), limit=limit, cursor=cursor)

    async def prove(self, *, by: Principal, record_id: str) -> RecordProof:
        """A record, and the proof that it is sealed.

        Raises:
            MissingScope, RecordUnknown, NotSealedYet.
        """
        by.require(contracts.READ)
        return await self._prove(record_id, told_to=None)

    async def prove_own(self, *, by: Principal, record_id: str) -> RecordProof:
        """The same about one of the caller's own records.

        Raises:
            MissingScope, RecordUnknown, NotSealedYet.
        """
        by.require(contracts.OWN)
        return await self._prove(record_id, told_to=_self(by))

    async def heads(self, *, limit: int | None = None, cursor: str | None = None) -> paging.Page[SignedHead]:
        """Signed heads, the newest first. They tell nothing but how much was recorded when.

        Raises:
            InvalidCursor, InvalidLimit.
        """
        size = paging.check_limit(limit)
        before = paging.decode_number(cursor) if cursor is not None else None
        async with self._database.connection() as connection:
            found = await heads.page(connection, before=before, limit=size + 1)
        more = len(found) > size
        return paging.Page(
            [_shown(head) for head in found[:size]], paging.encode(found[size - 1].size) if more else None
        )

    async def newest(self) -> SignedHead | None:
        """The newest signed head, if there is one."""
        async with self._database.connection() as connection:
            head = await heads.latest(connection)
        return None if head is None else _shown(head)

    async def consistency(self, *, first: int, second: int) -> Consistency:
        """The proof that the head of `first` records begins that of `second`.

        Raises:
            HeadUnknown: there is none of one of these sizes, or the second is the smaller one.
        """
        async with self._database.connection() as connection:
            before, after = await heads.find(connection, first), await heads.find(connection, second)
            if before is None or after is None or before.size > after.size:
                raise errors.HeadUnknown
            steps = await sealing.proof(connection, merkle.consistency_ranges(before.size, after.size))
        return Consistency(first=before.note, second=after.note, proof=_coded(steps))

    async def exported(self, *, progress: Callable[[int, int], None] | None = None) -> AsyncIterator[bytes]:
        """The lines of an export: every sealed record, and each signed head behind the last one that it covers.

        For whoever is at the machine itself.
        """
        async with self._database.connection() as connection:
            sizes = await heads.sizes(connection)
            total = sizes[-1] if sizes else 0
            begin = 0
            for size in sizes:
                async for block in store.blocks(connection, begin, size, size=BLOCK):
                    for content in block:
                        yield content
                    if progress is not None:
                        progress(min(begin + len(block), total), total)
                    begin += len(block)
                head = await heads.find(connection, size)
                assert head is not None, "a head is never deleted"
                yield exports.head_line(head.note)

    async def _page(self, asked: Filter, *, limit: int | None, cursor: str | None) -> paging.Page[AuditRecord]:
        size = paging.check_limit(limit)
        before = paging.decode_number(cursor) if cursor is not None else None
        if before is not None and not 0 <= before < _MAX:
            raise paging.InvalidCursor(pointer="cursor")
        async with self._database.connection() as connection:
            found = await store.page(connection, asked, before=before, limit=size + 1)
        more = len(found) > size
        items = [record(each.content) for each in found[:size]]
        return paging.Page(items, paging.encode(found[size - 1].position) if more else None)

    async def _prove(self, record_id: str, *, told_to: str | None) -> RecordProof:
        async with self._database.connection() as connection:
            found = await store.find(connection, record_id, told_to=told_to)
            if found is None:
                raise errors.RecordUnknown
            head = await heads.latest(connection)
            if head is None or head.size <= found.position:
                raise errors.NotSealedYet
            steps = await sealing.proof(connection, merkle.inclusion_ranges(found.position, head.size))
        return RecordProof(record=found.content.decode(), proof=_coded(steps), head=head.note)


def record(content: bytes) -> AuditRecord:
    """A record as it is shown, from its text."""
    shown = records.shown(content)
    told = msgspec.structs.asdict(shown)
    return AuditRecord(**told | {"origin": msgspec.convert(shown.origin, contracts.Origin)})


def _self(principal: Principal) -> str:
    return str(principal.user_id or principal.owner_id)


def _shown(head: KeptHead) -> SignedHead:
    return SignedHead(size=head.size, sealed_at=head.sealed_at, note=head.note)


def _coded(steps: Iterable[bytes]) -> list[str]:
    return [b64encode(step).decode() for step in steps]
