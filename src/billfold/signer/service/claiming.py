"""Claims addresses for proofs of reserves. Each sentence is written here, and logged before it is given away signed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from uuid import UUID

from billfold.chains.claims import ROOT_BYTES
from billfold.chains.signing_port import Place
from billfold.kernel.clock import Clock
from billfold.kernel.errors import BillfoldError, Unavailable
from billfold.platform.postgres.database import Database
from billfold.signer import errors
from billfold.signer.contracts import CLAIMS_MAX, INDEX_END
from billfold.signer.domain import claiming
from billfold.signer.domain.claiming import Claiming
from billfold.signer.service.chains import Chains, Tools, guarded
from billfold.signer.service.recording import Recorder
from billfold.signer.service.seeds import Secret, Seeds
from billfold.signer.store import log, policy, trees


class Claims:
    """Does one at a time, since few are asked for."""

    def __init__(self, *, database: Database, seeds: Seeds, chains: Chains, clock: Clock) -> None:
        self._database = database
        self._seeds = seeds
        self._chains = chains
        self._clock = clock
        self._one = asyncio.Lock()

    async def claim(
        self, *, tree_id: UUID, snapshot: UUID, root: bytes, places: Mapping[str, Place]
    ) -> Mapping[str, str]:
        """See SigningService."""
        if len(root) != ROOT_BYTES or not 1 <= len(places) <= CLAIMS_MAX:
            raise errors.RequestInvalid(f"A claim has a root of {ROOT_BYTES} bytes, and 1 to {CLAIMS_MAX} addresses.")
        if any(not 0 <= place.index < INDEX_END for place in places.values()):
            raise errors.RequestInvalid("The index of a key is below 2^31.")
        asked = Claiming(tree_id=tree_id, snapshot=snapshot, root=root, places=places)
        async with self._one:
            return await self._claim(asked)

    async def _claim(self, asked: Claiming) -> Mapping[str, str]:
        async with self._database.connection() as connection:
            row = (await trees.find(connection, [asked.tree_id])).get(asked.tree_id)
            if row is None:
                raise errors.TreeNotFound
            allowed = await policy.claims(connection, row.chain, row.network)
        try:
            claiming.check(row.network, allowed=allowed)
            tools = await asyncio.to_thread(self._chains, row.chain)
            signatures = await asyncio.to_thread(_signed, asked, row, tools, await self._seeds.open(row))
        except BillfoldError as error:
            if not isinstance(error, Unavailable):
                await self._record(asked, row, error)
            raise
        await self._record(asked, row, None)
        return signatures

    async def _record(self, asked: Claiming, row: trees.Row, error: BillfoldError | None) -> None:
        """Write it down, unless the same is there already."""
        about = {**asked.about, "chain": row.chain, "network": row.network}
        async with self._database.transaction() as connection:
            recorder = await Recorder.begin(connection, now=self._clock.now())
            if error is None:
                if asked.digest in await log.claimed(connection, asked.snapshot):
                    return
                recorder.add_of("claimed", about, request_id=asked.snapshot, digest=asked.digest)
            else:
                if (asked.snapshot, asked.digest, error.code) in await log.refusals(connection, [asked.snapshot]):
                    return
                about |= {"code": error.code}
                recorder.add_of("refused", about, request_id=asked.snapshot, digest=asked.digest, code=error.code)
            await recorder.write()


def _signed(asked: Claiming, row: trees.Row, tools: Tools, secret: Secret) -> dict[str, str]:
    found = {}
    for address, text in asked.texts(chain=row.chain, network=row.network).items():
        place = asked.places[address]
        (derived,) = guarded(
            tools.keys.addresses,
            secret.seed,
            purpose=place.purpose,
            first=place.index,
            count=1,
            network=row.network,
        )
        if derived != address:
            raise errors.NotAsExpected(f"The key at {place.purpose} {place.index} has another address.")
        found[address] = guarded(
            tools.signing.claim, text, secret.seed, address=address, place=place, network=row.network
        )
    return found
