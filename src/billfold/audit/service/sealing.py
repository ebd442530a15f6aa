"""The sealer: folds new records into the tree, and signs its head. Nobody who moves money waits for it.

Its key can be replaced. That is recorded, and sealed by the old key, in the one database transaction in which the new
one takes over: whoever trusts the old key reads in what it has signed which one comes next.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from billfold.audit.contracts import SignedHead
from billfold.audit.domain import merkle
from billfold.audit.domain.merkle import Node
from billfold.audit.domain.notes import Head
from billfold.audit.service import recording
from billfold.audit.service.signing import Signer
from billfold.audit.store import heads, records, tree
from billfold.audit.store.heads import KeptHead
from billfold.kernel import clock, ids, origin
from billfold.kernel.clock import Clock
from billfold.kernel.facts import Fact
from billfold.kernel.origin import Origin
from billfold.platform.keys import Envelope
from billfold.platform.postgres.database import Connection, Database

#: Subtrees of 256 that are folded and written at a time: 16,384 hashes are in memory then.
_AT_ONCE = 64
#: The private half opens with this and for nothing else.
_CONTEXT = "audit signing key"
#: Who tells that another key signs, and what that is called.
SOURCE = "/billfold/audit"
ROTATED = "audit.key_rotated.v1"


class Sealing:
    """Seals what was recorded."""

    def __init__(self, *, database: Database, envelope: Envelope, clock: Clock) -> None:
        self._database = database
        self._envelope = envelope
        self._clock = clock
        self._signer: tuple[str, Signer] | None = None

    async def seal(self) -> SignedHead | None:
        """Sign a head of all records there are; None if the last one covers them.

        Raises:
            DatabaseUnavailable, KeysUnavailable.
        """
        async with self._signing() as (connection, signer):
            return await self._seal(connection, signer)

    async def rotate(self, *, lost: bool = False) -> str:
        """Make a new key, which signs from now on, and say its public half. What the others have signed stays as it is.

        When the old key is `lost` with the master key that it was sealed under, the new one signs that too.

        Raises:
            DatabaseUnavailable, KeysUnavailable.
        """
        new, private = Signer.new()
        sealed = await self._envelope.seal(private, context=_CONTEXT)
        async with self._signing(new if lost else None) as (connection, signer):
            old = await heads.signing_key(connection)
            await recording.add(connection, [self._rotated(old and old[0], str(new.public))])
            await self._seal(connection, signer)
            await heads.insert_signing_key(connection, str(new.public), sealed)
        return str(new.public)

    def _rotated(self, old: str | None, new: str) -> Fact:
        return Fact(
            type=ROTATED,
            source=SOURCE,
            id=str(ids.new()),
            subject=new,
            time=clock.format(self._clock.now()),
            origin=origin.current() or Origin(channel="worker"),
            before={"key": old},
            data={"key": new},
        )

    @asynccontextmanager
    async def _signing(self, by: Signer | None = None) -> AsyncIterator[tuple[Connection, Signer]]:
        """A database transaction in which nobody else records or seals, and what signs in it: the newest, or `by`."""
        while True:
            # Opening the key may take a server that is far away, so it is done before; it is seldom replaced meanwhile.
            signer = by or await self._signer_now()
            async with self._database.transaction() as connection:
                await records.lock(connection)
                kept = await heads.signing_key(connection)
                if signer is by or (kept is not None and kept[0] == str(signer.public)):
                    yield connection, signer
                    return

    async def _seal(self, connection: Connection, signer: Signer) -> SignedHead | None:
        size = await records.count(connection)
        last = await heads.latest(connection)
        if size == (last.size if last is not None else 0):
            return None
        await _fold(connection, size)
        root = merkle.root(size, await tree.nodes(connection, merkle.covering((0, size))))
        head = Head(size=size, root=root, time=self._clock.now())
        note = signer.sign(head)
        await heads.insert(connection, KeptHead(size, root, head.time, note))
        return SignedHead(size=size, sealed_at=head.time, note=note)

    async def public_keys(self) -> list[str]:
        """What heads are checked with, the newest first; the first key is made when it is first needed.

        Raises:
            DatabaseUnavailable, KeysUnavailable.
        """
        async with self._database.connection() as connection:
            return await heads.public_keys(connection)

    async def _signer_now(self) -> Signer:
        async with self._database.connection() as connection:
            kept = await heads.signing_key(connection)
        if kept is None:
            kept = await self._first()
        if self._signer is None or self._signer[0] != kept[0]:
            self._signer = kept[0], Signer(await self._envelope.open(kept[1], context=_CONTEXT))
        return self._signer[1]

    async def _first(self) -> tuple[str, bytes]:
        """The first key, of however many processes that find none at the same time."""
        signer, private = Signer.new()
        sealed = await self._envelope.seal(private, context=_CONTEXT)
        async with self._database.transaction() as connection:
            await records.lock(connection)
            kept = await heads.signing_key(connection)
            if kept is None:
                kept = str(signer.public), sealed
                await heads.insert_signing_key(connection, *kept)
        return kept


async def _fold(connection: Connection, size: int) -> None:
    """Write the hashes of subtrees that have become complete, from the lowest kept level up."""
    level, below = 1, size
    while (complete := below >> tree.STEP) > 0:
        done = await tree.sealed(connection, level)
        while done < complete:
            end = min(complete, done + _AT_ONCE)
            hashes = await tree.elements(connection, level, done << tree.STEP, end << tree.STEP)
            made = [
                merkle.complete_root(hashes[begin : begin + tree.WIDTH]) for begin in range(0, len(hashes), tree.WIDTH)
            ]
            await tree.insert(connection, level, done, made)
            done = end
        level, below = level + 1, complete


async def proof(connection: Connection, ranges: list[merkle.Range]) -> list[bytes]:
    """The hashes of the ranges of a proof."""
    asked: set[Node] = {node for each in ranges for node in merkle.covering(each)}
    hashes = await tree.nodes(connection, asked)
    return [merkle.range_hash(each, hashes) for each in ranges]
