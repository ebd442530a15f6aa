"""A holder's own proof, of what was kept when the tree was made."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

from billfold.custody.contracts.reserves import PROOF_FORMAT, Beside, HolderProof, Step
from billfold.custody.domain import reserves as rules
from billfold.custody.domain import sum_trees
from billfold.custody.domain.sum_trees import Node
from billfold.custody.service.reserves.owing import CHUNK
from billfold.custody.store import reserves as store
from billfold.custody.store.reserves import Chunk, Row
from billfold.platform.postgres.database import Database


class Proofs:
    """Reads one chunk of each tree, and the tops of all."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def of(self, row: Row, holder: UUID) -> HolderProof:
        """That of a snapshot that is done, in each of its assets of which something was owed to the holder."""
        assert row.root is not None, "it is done"
        steps = [await self._step(row, asset, holder) for asset in row.assets]
        return HolderProof(
            format=PROOF_FORMAT,
            snapshot=row.id,
            at=row.at,
            root=row.root.hex(),
            holder=holder,
            assets=[step for step in steps if step is not None],
        )

    async def _step(self, row: Row, asset: str, holder: UUID) -> Step | None:
        salt = rules.salt(row.secret, asset, holder)
        mine = rules.holder_of(salt, holder)
        async with self._database.connection() as connection:
            if [one for one, _ in await store.leaves(connection, row.id, asset, first=mine, limit=1)] != [mine]:
                return None
            chunks = await store.chunks(connection, row.id, asset)
            chunk = max((one for one in chunks if one.first_holder <= mine), key=lambda one: one.number)
            here = await store.leaves(connection, row.id, asset, first=chunk.first_holder, limit=CHUNK)
        at = [one for one, _ in here].index(mine)
        # Some thousand hashes.
        path = await asyncio.to_thread(_path, chunks, chunk.number, here, at)
        return Step(
            asset=asset,
            amount=str(here[at][1]),
            salt=salt.hex(),
            index=chunk.number * len(here) + at,
            path=[Beside(hash=node.hash.hex(), sum=str(node.sum)) for node in path],
        )


def _path(chunks: Sequence[Chunk], number: int, here: Sequence[tuple[bytes, int]], at: int) -> list[Node]:
    below = sum_trees.path([sum_trees.leaf(*one) for one in here], at)
    return below + sum_trees.path([one.node for one in chunks], number)
