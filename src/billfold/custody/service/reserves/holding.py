"""What is held: addresses with money, as our records and the chains' nodes have it, each claimed by its key."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from uuid import UUID

from billfold.chains.signing_port import Place
from billfold.custody import errors
from billfold.custody.contracts.reserves import ADDRESSES_MAX, HeldAddress, HeldOnChain
from billfold.custody.service.served import Served, Serving
from billfold.custody.store import cursors, holding, sources
from billfold.custody.store.holding import Held
from billfold.custody.store.reserves import Tree
from billfold.platform.postgres.database import Database
from billfold.signer.contracts import SigningService

#: Balances that a node is asked for at the same time.
_AT_ONCE = 8


class Holding:
    """Of the chains that carry the assets of a snapshot."""

    def __init__(self, *, serving: Serving, database: Database, signer: SigningService | None) -> None:
        self._serving = serving
        self._database = database
        self._signer = signer

    async def claimed(self, snapshot: UUID, root: bytes, trees: Sequence[Tree]) -> list[HeldOnChain]:
        """The addresses of each chain, with what they hold and a signature for this root.

        Raises:
            ReservesNotReady, SigningUnavailable, NodeUnavailable, NodeWrong, SignerError.
        """
        wanted: dict[str, dict[str, str | None]] = {}
        for tree in trees:
            wanted.setdefault(tree.chain, {})[tree.asset] = tree.token
        return [
            await self._on(self._serving.get(chain), tokens, snapshot, root) for chain, tokens in sorted(wanted.items())
        ]

    async def _on(self, served: Served, tokens: Mapping[str, str | None], snapshot: UUID, root: bytes) -> HeldOnChain:
        async with self._database.connection() as connection:
            cursor = await cursors.get(connection, served.name)
            tree_id = await sources.tree(connection, served.name)
            if cursor is None or tree_id is None:
                raise errors.ReservesNotReady(f"No block of {served.name} has been read yet, or it has no keys.")
            if served.chain.model == "coins":
                known, count = await holding.by_coins(
                    connection, served.name, height=cursor.height, limit=ADDRESSES_MAX
                )
            else:
                known, count = await holding.by_deposits(connection, served.name, limit=ADDRESSES_MAX)
        amounts = await self._amounts(served, known, tokens, cursor.height)
        places = {one.address: Place(purpose=one.purpose, index=one.place) for one in known if amounts[one.address]}
        signatures = await self._signatures(tree_id, snapshot, root, places)
        addresses = [
            HeldAddress(
                address=address,
                amounts={asset: str(amount) for asset, amount in sorted(amounts[address].items())},
                signature=signatures[address],
            )
            for address in places
        ]
        return HeldOnChain(
            chain=served.name,
            network=served.chain.network,
            height=cursor.height,
            addresses=addresses,
            left_out=count - len(known),
        )

    async def _amounts(
        self, served: Served, known: Sequence[Held], tokens: Mapping[str, str | None], height: int
    ) -> Mapping[str, Mapping[str, int]]:
        """What each address holds, by asset; nothing of what it has nothing of."""
        if served.chain.model == "coins":
            coins = [asset for asset, token in tokens.items() if token is None]
            return {one.address: dict.fromkeys(coins, one.amount) for one in known}
        room = asyncio.Semaphore(_AT_ONCE)

        async def ask(address: str, token: str | None) -> int:
            async with room:
                return await served.chain.balance(address, token=token, height=height)

        asked = [(one.address, asset, token) for one in known for asset, token in tokens.items()]
        found = await asyncio.gather(*(ask(address, token) for address, _, token in asked))
        amounts: dict[str, dict[str, int]] = {one.address: {} for one in known}
        for (address, asset, _), amount in zip(asked, found, strict=True):
            if amount > 0:
                amounts[address][asset] = amount
        return amounts

    async def _signatures(
        self, tree_id: UUID, snapshot: UUID, root: bytes, places: Mapping[str, Place]
    ) -> Mapping[str, str]:
        if not places:
            return {}
        if self._signer is None:
            raise errors.SigningUnavailable
        signatures = await self._signer.claim(tree_id=tree_id, snapshot=snapshot, root=root, places=places)
        if signatures.keys() != places.keys():
            raise errors.SigningUnavailable("The signer has answered with other addresses.")
        return signatures
