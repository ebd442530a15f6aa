"""Proofs of reserves: what is owed to each wallet at one instant, and which addresses hold money for it.

One is asked for, and made by a worker step by step; each step may be repeated. What a holder needs of it later is kept.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
import structlog

from billfold.chains import claims
from billfold.custody import errors
from billfold.custody.contracts.reserves import ASSETS_MAX, FORMAT, HolderProof, Liabilities, Reserves, ReserveSnapshot
from billfold.custody.domain import reserves as rules
from billfold.custody.service.house import House
from billfold.custody.service.reserves.holders import Proofs
from billfold.custody.service.reserves.holding import Holding
from billfold.custody.service.reserves.owing import Owing, WalletPages
from billfold.custody.service.served import Serving
from billfold.custody.store import reserves as store
from billfold.custody.store.reserves import Row, Tree
from billfold.kernel import errors as kernel_errors
from billfold.kernel import ids
from billfold.kernel.clock import Clock
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.signer.contracts import SigningService

#: The newest so many are listed.
LISTED_MAX = 100
#: What is held is read so soon after what is owed, or not at all: what is away is waited for no longer.
WAITS_MAX = timedelta(hours=1)
#: The newest so many have proofs for holders: a year's, when one is made each month.
KEPT_MAX = 12

log = structlog.get_logger(__name__)


class ReserveProofs:
    """Those of all chains that are served."""

    def __init__(
        self,
        *,
        serving: Serving,
        database: Database,
        ledger: Ledger,
        house: House,
        wallet_pages: WalletPages,
        signer: SigningService | None,
        clock: Clock,
    ) -> None:
        self._serving = serving
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._owing = Owing(database=database, ledger=ledger, house=house, wallet_pages=wallet_pages)
        self._holding = Holding(serving=serving, database=database, signer=signer)
        self._proofs = Proofs(database=database)

    async def request(self, *, asked_by: UUID, assets: Sequence[str] | None = None) -> ReserveSnapshot:
        """Have one made, of what is owed now; None are all assets of the chains whose keys are the signer's.

        Raises:
            AssetNotOnChain
            ReservesPending: another is being made.
            DatabaseUnavailable.
        """
        # Of keys that are elsewhere nobody here can have anything signed.
        chains = {one.name for one in self._serving.all if one.outside is None}
        known = {code for code, one in (await self._ledger.assets()).items() if one.chain in chains}
        wanted = sorted(known if assets is None else set(assets))
        if not wanted or len(wanted) > ASSETS_MAX or not known.issuperset(wanted):
            raise errors.AssetNotOnChain
        async with self._database.transaction() as connection:
            row = await store.request(
                connection,
                ids.new(),
                at=await self._ledger.now(),
                assets=wanted,
                secret=secrets.token_bytes(rules.SECRET_BYTES),
                asked_by=asked_by,
            )
        if row is None:
            raise errors.ReservesPending
        return _told(row)

    async def snapshots(self) -> list[ReserveSnapshot]:
        """The newest first."""
        async with self._database.connection() as connection:
            return [_told(row) for row in await store.latest(connection, limit=LISTED_MAX)]

    async def snapshot(self, *, snapshot_id: UUID) -> ReserveSnapshot:
        """How far one is made.

        Raises:
            ReservesUnknown.
        """
        async with self._database.connection() as connection:
            row = await store.get(connection, snapshot_id)
        if row is None:
            raise errors.ReservesUnknown
        return _told(row)

    async def document(self, *, snapshot_id: UUID) -> Reserves:
        """The published file of one that is done.

        Raises:
            ReservesUnknown.
        """
        async with self._database.connection() as connection:
            found = await store.document(connection, snapshot_id)
        if found is None:
            raise errors.ReservesUnknown
        return msgspec.json.decode(found, type=Reserves)

    async def proof(self, *, wallet_id: UUID, snapshot_id: UUID | None = None) -> HolderProof:
        """A wallet's own proof, of the newest that is done if none is named; of nothing where nothing was owed to it.

        Raises:
            ReservesUnknown: there is none, or it is so old that holders' proofs are not kept.
        """
        async with self._database.connection() as connection:
            newest = await store.latest(connection, limit=KEPT_MAX, done=True)
        row = next((one for one in newest if snapshot_id in {None, one.id}), None)
        if row is None:
            raise errors.ReservesUnknown
        return await self._proofs.of(row, wallet_id)

    async def step(self) -> bool:
        """Make the one that is asked for; whether there was one. What is away is waited for a while, the rest is final.

        Raises:
            Unavailable: what it takes is away; call it again.
        """
        async with self._database.connection() as connection:
            row = await store.requested(connection)
        if row is None:
            return False
        try:
            await self._make(row)
        except kernel_errors.BillfoldError as error:
            away = isinstance(error, kernel_errors.Unavailable) and self._clock.now() - row.at < WAITS_MAX
            async with self._database.transaction() as connection:
                await store.note(connection, row.id, reason=f"{error.code}: {error.detail}", failed=not away)
            if away:
                raise
            log.exception("a proof of reserves has failed", snapshot=str(row.id), code=error.code)
        return True

    async def _make(self, row: Row) -> None:
        await self._owing.take(row)
        async with self._database.connection() as connection:
            trees = await store.trees(connection, row.id)
        # The root does not depend on what is held, which is known only when it is signed for.
        assets = [_liabilities(tree, held=0) for tree in trees]
        root = rules.root_of(row.id, row.at, assets)
        chains = await self._holding.claimed(row.id, root, trees)
        held = {
            tree.asset: sum(int(one.amounts.get(tree.asset, "0")) for part in chains for one in part.addresses)
            for tree in trees
        }
        assets = [_liabilities(tree, held=held[tree.asset]) for tree in trees]
        published = Reserves(format=FORMAT, snapshot=row.id, at=row.at, root=root.hex(), assets=assets, chains=chains)
        try:
            rules.check(published, is_signed=claims.is_signed)
        except rules.Refuted as refuted:
            raise errors.ReservesIncomplete(f"Our own checker refuses it: {refuted}") from refuted
        async with self._database.transaction() as connection:
            await store.finish(
                connection,
                row.id,
                root=root,
                document=msgspec.json.encode(published),
                now=self._clock.now(),
                kept=KEPT_MAX,
            )


def _liabilities(tree: Tree, *, held: int) -> Liabilities:
    return Liabilities(
        asset=tree.asset,
        scale=tree.scale,
        chain=tree.chain,
        token=tree.token,
        owed=str(tree.owed),
        depth=tree.depth,
        top=tree.top.hex(),
        below_zero=str(tree.below_zero),
        held=str(held),
    )


def _told(row: Row) -> ReserveSnapshot:
    return ReserveSnapshot(
        id=row.id,
        at=row.at,
        assets=row.assets,
        status=row.state,  # type: ignore[arg-type] # the table has a check
        root=None if row.root is None else row.root.hex(),
        reason=row.reason,
    )
