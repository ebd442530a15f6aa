"""The sealer: folds new records into the tree, and signs its head. Nobody who moves money waits for it."""

from __future__ import annotations

from billfold.audit.contracts import SignedHead
from billfold.audit.domain import merkle
from billfold.audit.domain.merkle import Node
from billfold.audit.domain.notes import Head
from billfold.audit.service.signing import Signer
from billfold.audit.store import heads, records, tree
from billfold.audit.store.heads import KeptHead
from billfold.kernel.clock import Clock
from billfold.platform.keys import Envelope
from billfold.platform.postgres.database import Connection, Database

#: Subtrees of 256 that are folded and written at a time: 16,384 hashes are in memory then.
_AT_ONCE = 64
#: The private half opens with this and for nothing else.
_CONTEXT = "audit signing key"


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
        signer = await self._signer_now()
        async with self._database.transaction() as connection:
            await records.lock(connection)
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
