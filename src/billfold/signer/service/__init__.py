"""The facade of the signer."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from billfold.chains import mnemonics
from billfold.chains.port import Network, Signed
from billfold.chains.signing_port import Place, Purpose
from billfold.kernel.clock import Clock, SystemClock
from billfold.kernel.errors import BillfoldError
from billfold.platform.keys import Keyring
from billfold.platform.postgres.database import Database
from billfold.platform.postgres.groups import Groups
from billfold.signer import errors
from billfold.signer.contracts import (
    ADDRESSES_MAX,
    INDEX_END,
    PAYLOAD_MAX_BYTES,
    PAYMENTS_MAX,
    PLACES_MAX,
    Decision,
    Expected,
    Tree,
)
from billfold.signer.domain.requests import Request
from billfold.signer.service import backups
from billfold.signer.service import chains as known_chains
from billfold.signer.service.administration import Administration
from billfold.signer.service.chains import Chains, guarded
from billfold.signer.service.claiming import Claims
from billfold.signer.service.exports import Exports
from billfold.signer.service.recording import Recorder
from billfold.signer.service.seeds import Secret, Seeds
from billfold.signer.service.signing import Signing
from billfold.signer.service.steady import SteadyClock
from billfold.signer.store import trees as kept

#: A tree for each chain is the rule; many more would be somebody's mistake.
TREES_MAX = 1_000
#: Bytes of chance in a new seed: 24 words.
ENTROPY_BYTES = 32
#: Callers of one process wait in a row for the seeds' derivation, so that it leaves room for signatures.
_DERIVING_MAX = 2

Random = Callable[[int], bytes]


class Signer(Administration):
    """Everything that the signer does. What custody may ask of it is `contracts.SigningService`."""

    def __init__(self, *, database: Database, keyring: Keyring, chains: Chains, clock: Clock, random: Random) -> None:
        super().__init__(database=database, seeds=Seeds(keyring), keyring=keyring, clock=clock, chains=chains)
        self._random = random
        #: Who may be given seeds; for those at the signer's machine.
        self.exports = Exports(database=database, seeds=self._seeds, clock=clock)
        self._signing = Signing(database=database, seeds=self._seeds, chains=chains, clock=clock)
        self._claims = Claims(database=database, seeds=self._seeds, chains=chains, clock=clock)
        self._groups: Groups[Request, Signed | BillfoldError] = Groups("sign", self._signing.run)
        self._deriving = asyncio.Semaphore(_DERIVING_MAX)

    @classmethod
    def start(
        cls,
        *,
        database: Database,
        keyring: Keyring,
        chains: Chains = known_chains.of,
        clock: Clock | None = None,
        random: Random = secrets.token_bytes,
    ) -> Signer:
        """The signer of this database, with seeds under this keyring."""
        clock = clock or SteadyClock(SystemClock())
        return cls(database=database, keyring=keyring, chains=chains, clock=clock, random=random)

    async def create(self, *, tree_id: UUID, chain: str, network: Network) -> Tree:
        """See SigningService."""
        if (before := await self._tree(tree_id)) is not None:
            return _same(before, chain, network)
        secret = Secret.of_words(mnemonics.words(self._random(ENTROPY_BYTES)))
        return _same(await self._add(tree_id, chain, network, secret, "created"), chain, network)

    async def import_mnemonic(
        self, *, tree_id: UUID, chain: str, network: Network, mnemonic: str, passphrase: str = ""
    ) -> Tree:
        """A tree of a seed that comes from elsewhere. The passphrase is not kept, only the seed that it has made.

        Raises:
            MnemonicInvalid, ChainNotSigned.
            TreeDiffers: there is a tree of this id, of another chain, network or seed.
            KeysUnavailable, DatabaseUnavailable.
        """
        secret = await asyncio.to_thread(Secret.of_words, mnemonic, passphrase)
        return await self.plant(tree_id, chain, network, secret, "imported")

    async def plant(self, tree_id: UUID, chain: str, network: Network, secret: Secret, decision: Decision) -> Tree:
        """A tree of this seed.

        Raises:
            ChainNotSigned, TreeDiffers, KeysUnavailable, DatabaseUnavailable.
        """
        row = await self._add(tree_id, chain, network, secret, decision)
        if (await self._seeds.open(row)).seed != secret.seed:
            raise errors.TreeDiffers
        return _same(row, chain, network)

    async def trees(self) -> Sequence[Tree]:
        """See SigningService."""
        async with self._database.connection() as connection:
            return [_tree(row) for row in await kept.every(connection, limit=TREES_MAX)]

    async def addresses(self, *, tree_id: UUID, purpose: Purpose, first: int, count: int) -> Sequence[str]:
        """See SigningService."""
        if not (1 <= count <= ADDRESSES_MAX and first >= 0 and first + count <= INDEX_END):
            raise errors.RequestInvalid(f"There are 1 to {ADDRESSES_MAX} addresses at a time, of indexes below 2^31.")
        row = await self._tree(tree_id)
        if row is None:
            raise errors.TreeNotFound
        keys = (await asyncio.to_thread(self._chains, row.chain)).keys
        async with self._deriving:
            secret = await self._seeds.open(row)
            return await asyncio.to_thread(
                guarded, keys.addresses, secret.seed, purpose=purpose, first=first, count=count, network=row.network
            )

    async def sign(
        self, *, request_id: UUID, tree_id: UUID, payload: bytes, places: Mapping[str, Place], expected: Expected
    ) -> Signed:
        """See SigningService."""
        _check_size(payload, places, expected)
        request = Request(request_id=request_id, tree_id=tree_id, payload=payload, places=places, expected=expected)
        answer = await self._groups.do(request)
        if isinstance(answer, BillfoldError):
            raise answer
        return answer

    async def claim(
        self, *, tree_id: UUID, snapshot: UUID, root: bytes, places: Mapping[str, Place]
    ) -> Mapping[str, str]:
        """See SigningService."""
        return await self._claims.claim(tree_id=tree_id, snapshot=snapshot, root=root, places=places)

    async def export(self, *, request_id: UUID, tree_id: UUID, recipient: bytes) -> bytes:
        """See SigningService."""
        return await self.exports.export(request_id=request_id, tree_id=tree_id, recipient=recipient)

    async def backup(self, *, text: str) -> bytes:
        """A file with all seeds, sealed under a passphrase.

        Raises:
            RequestInvalid, KeysUnavailable, SealBroken, DatabaseUnavailable.
        """
        return await asyncio.to_thread(backups.with_passphrase, await self._all(), text)

    async def backup_in_shares(self, *, threshold: int, shares: int) -> tuple[bytes, list[str]]:
        """A file with all seeds, and the shares of its key, of which any `threshold` open it.

        Raises:
            RequestInvalid, KeysUnavailable, SealBroken, DatabaseUnavailable.
        """
        return backups.with_shares(await self._all(), threshold=threshold, shares=shares)

    async def restore(self, content: bytes, *, text: str | None = None, shares: Sequence[str] = ()) -> Sequence[Tree]:
        """Plant every tree of a file; those that are there stay.

        Raises:
            BackupInvalid.
            TreeDiffers: there is another tree of the same id.
            ChainNotSigned, KeysUnavailable, DatabaseUnavailable.
        """
        found = await asyncio.to_thread(backups.opened, backups.read(content), text=text, shares=shares)
        return [await self.plant(one.id, one.chain, one.network, one.secret, "restored") for one in found]

    async def load(self) -> None:
        """Load what all chains take, which lasts seconds. A call that comes earlier loads what it needs itself."""
        await asyncio.to_thread(known_chains.load)

    async def check(self) -> None:
        """Pass if the database answers.

        Raises:
            DatabaseUnavailable.
        """
        async with self._database.connection() as connection:
            await kept.count(connection)

    async def _tree(self, tree_id: UUID) -> kept.Row | None:
        async with self._database.connection() as connection:
            return (await kept.find(connection, [tree_id])).get(tree_id)

    async def _all(self) -> list[backups.Kept]:
        async with self._database.transaction() as connection:
            rows = await kept.every(connection, limit=TREES_MAX)
            recorder = await Recorder.begin(connection, now=self._clock.now())
            recorder.add("backed_up", {"trees": [str(row.id) for row in rows]})
            await recorder.write()
        secrets_of = [(row, await self._seeds.open(row)) for row in rows]
        return [
            backups.Kept(id=row.id, chain=row.chain, network=row.network, seed=found.seed, entropy=found.entropy)
            for row, found in secrets_of
        ]

    async def _add(self, tree_id: UUID, chain: str, network: Network, secret: Secret, decision: Decision) -> kept.Row:
        """Keep the tree, or find the one of this id."""
        tools, at = await asyncio.to_thread(self._chains, chain), self._clock.now()
        row = await self._seeds.sealed(secret, tree_id=tree_id, chain=chain, network=network, tools=tools, at=at)
        async with self._database.transaction() as connection:
            recorder = await Recorder.begin(connection, now=at)
            if await kept.count(connection) >= TREES_MAX:
                raise errors.RequestInvalid(f"There are {TREES_MAX} trees of keys, and no more are made.")
            if await kept.insert(connection, row):
                recorder.add(decision, about_tree(row))
                await recorder.write()
                return row
            return (await kept.find(connection, [tree_id]))[tree_id]


def about_tree(row: kept.Row) -> dict[str, Any]:
    """A tree, for a line of the log."""
    return {
        "tree": str(row.id),
        "chain": row.chain,
        "network": row.network,
        "version": row.version,
        "provider": row.provider,
        "master_key": row.master_key,
    }


def _tree(row: kept.Row) -> Tree:
    return Tree(id=row.id, chain=row.chain, network=row.network, public=row.public, created_at=row.created_at)


def _same(row: kept.Row, chain: str, network: Network) -> Tree:
    if (row.chain, row.network) != (chain, network):
        raise errors.TreeDiffers
    return _tree(row)


def _check_size(payload: bytes, places: Mapping[str, Place], expected: Expected) -> None:
    if not 1 <= len(payload) <= PAYLOAD_MAX_BYTES:
        raise errors.RequestInvalid(f"A transaction has 1 to {PAYLOAD_MAX_BYTES} bytes.")
    if not 1 <= len(places) <= PLACES_MAX or len(expected.payments) > PAYMENTS_MAX:
        raise errors.RequestInvalid(f"A transaction has 1 to {PLACES_MAX} places and up to {PAYMENTS_MAX} payments.")
    if any(not 0 <= place.index < INDEX_END for place in places.values()):
        raise errors.RequestInvalid("The index of a key is below 2^31.")
    if expected.fee_max < 0 or any(payment.amount < 0 for payment in expected.payments):
        raise errors.RequestInvalid("Amounts are not negative.")
