"""Seeds: made, sealed, and opened for the moment in which one is used."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from billfold.chains import mnemonics
from billfold.chains.mnemonics import SEED_BYTES
from billfold.chains.port import Network
from billfold.kernel import errors as kernel_errors
from billfold.platform.keys import Keyring, SealBroken
from billfold.signer.service.chains import Tools, guarded
from billfold.signer.store import trees


class Secret(msgspec.Struct, frozen=True):
    """A seed, and the bytes that its words stand for. Its text form shows neither."""

    seed: bytes
    entropy: bytes

    def __repr__(self) -> str:
        return "Secret(…)"

    @classmethod
    def of_words(cls, mnemonic: str, passphrase: str = "") -> Secret:
        """That of a mnemonic.

        Raises:
            MnemonicInvalid.
        """
        return cls(mnemonics.seed(mnemonic, passphrase), mnemonics.entropy(mnemonic))


class Seeds:
    """Seals and opens them by a keyring. What is sealed opens for the same tree, chain and version of its key alone."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    async def sealed(
        self, secret: Secret, *, tree_id: UUID, chain: str, network: Network, tools: Tools, at: datetime
    ) -> trees.Row:
        """A new tree's row.

        Raises:
            KeysUnavailable.
        """
        public = await asyncio.to_thread(guarded, tools.keys.public, secret.seed, network=network)
        row = trees.Row(tree_id, chain, network, public, 0, "", "", b"", at)
        return await self._seal(row, secret)

    async def resealed(self, row: trees.Row) -> trees.Row:
        """The same seed under a new data key, which the newest master key wraps.

        Raises:
            KeysUnavailable, SealBroken.
        """
        return await self._seal(row, await self.open(row))

    async def _seal(self, row: trees.Row, secret: Secret) -> trees.Row:
        version = row.version + 1
        newest = await self._keyring.newest()
        sealed = await self._keyring.seal(secret.seed + secret.entropy, context=_context(row, version))
        return msgspec.structs.replace(
            row, version=version, provider=newest.provider, master_key=newest.key, sealed=sealed
        )

    async def open(self, row: trees.Row) -> Secret:
        """The seed of a tree.

        Raises:
            KeysUnavailable: the provider that has wrapped its key does not answer; nobody else is asked.
            SealBroken.
        """
        plain = await self._keyring.open(row.sealed, provider=row.provider, context=_context(row, row.version))
        if len(plain) < SEED_BYTES:
            raise SealBroken
        return Secret(plain[:SEED_BYTES], plain[SEED_BYTES:])

    async def open_all(self, rows: Iterable[trees.Row]) -> Mapping[UUID, Secret | kernel_errors.BillfoldError]:
        """The seeds of some trees, by their ids; of one that can't be opened why."""
        wanted = list(rows)
        opened = await asyncio.gather(*map(self._opened, wanted))
        return {row.id: found for row, found in zip(wanted, opened, strict=True)}

    async def _opened(self, row: trees.Row) -> Secret | kernel_errors.BillfoldError:
        try:
            return await self.open(row)
        except kernel_errors.BillfoldError as error:
            return error


def _context(row: trees.Row, version: int) -> str:
    """What a seed is sealed for: id of the tree, version of its key, chain."""
    return f"signer.tree {row.id} {version} {row.chain} {row.network}"
