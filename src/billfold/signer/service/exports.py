"""Seeds for somebody else: sealed for a recipient that the signer's own policy names, and never in the open.

Whoever calls the signer can have asked two people or not; what leaves here opens for those alone whom the people at the
signer's machine have named. Without a recipient nothing is given out at all.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID

import msgspec

from billfold.chains import mnemonics
from billfold.kernel.clock import Clock
from billfold.platform.keys import SealBroken, recipients
from billfold.platform.postgres.database import Connection, Database
from billfold.signer import errors
from billfold.signer.contracts import Opened, Package, Recipient
from billfold.signer.service.recording import Recorder
from billfold.signer.service.seeds import Secret, Seeds
from billfold.signer.store import exports as store
from billfold.signer.store import trees

#: Few people have a safe place for seeds.
RECIPIENTS_MAX = 20
#: A package has one seed.
PACKAGE_MAX_BYTES = 16 * 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class Exports:
    """Recipients, and packages for them."""

    def __init__(self, *, database: Database, seeds: Seeds, clock: Clock) -> None:
        self._database = database
        self._seeds = seeds
        self._clock = clock

    async def recipients(self) -> Sequence[Recipient]:
        """Who may be given seeds.

        Raises:
            DatabaseUnavailable.
        """
        async with self._database.connection() as connection:
            return await store.recipients(connection, limit=RECIPIENTS_MAX)

    async def allow(self, name: str, public_key: bytes) -> None:
        """Let seeds be sealed for this key, from now on. The same again changes nothing.

        Raises:
            RequestInvalid: it is no name or key, another recipient has one of them, or there are too many.
            DatabaseUnavailable.
        """
        if _NAME.fullmatch(name) is None:
            raise errors.RequestInvalid("A name has up to 40 small letters, digits and hyphens.")
        await asyncio.to_thread(_check_key, public_key)
        async with self._database.transaction() as connection:
            recorder = await Recorder.begin(connection, now=self._clock.now())
            known = await store.recipients(connection, limit=RECIPIENTS_MAX)
            if any((one.name, one.public_key) == (name, public_key) for one in known):
                return
            if len(known) == RECIPIENTS_MAX:
                raise errors.RequestInvalid(f"There are {RECIPIENTS_MAX} recipients, and no more are allowed.")
            if not await store.put_recipient(connection, name, public_key, now=recorder.at):
                raise errors.RequestInvalid("There is a recipient of this name or key; remove that first.")
            recorder.add("policy", {"recipient": name, "key": public_key.hex(), "allowed": True})
            await recorder.write()

    async def remove(self, name: str) -> None:
        """Let nothing be sealed for a recipient any more.

        Raises:
            RecipientUnknown, DatabaseUnavailable.
        """
        async with self._database.transaction() as connection:
            recorder = await Recorder.begin(connection, now=self._clock.now())
            if not await store.remove_recipient(connection, name):
                raise errors.RecipientUnknown
            recorder.add("policy", {"recipient": name, "allowed": False})
            await recorder.write()

    async def export(self, *, request_id: UUID, tree_id: UUID, recipient: bytes) -> bytes:
        """See contracts.SigningService."""
        async with self._database.connection() as connection:
            if (before := await store.find(connection, request_id)) is not None:
                return _same(before, tree_id, recipient)
            row = (await trees.find(connection, [tree_id])).get(tree_id)
        if row is None:
            raise errors.TreeNotFound
        if len(recipient) != recipients.PUBLIC_BYTES:
            raise errors.RequestInvalid("The public key of a recipient has 32 bytes.")
        package = None
        async with self._database.connection() as connection:
            if await store.recipient(connection, recipient) is not None:
                package = await asyncio.to_thread(_sealed, row, await self._seeds.open(row), recipient)
        async with self._database.transaction() as connection:
            given = await self._give(connection, request_id, row, recipient, package)
        if given is None:
            # After the COMMIT: the log is to have it.
            raise errors.ExportNotAllowed
        return given

    async def _give(
        self, connection: Connection, request_id: UUID, row: trees.Row, recipient: bytes, package: bytes | None
    ) -> bytes | None:
        recorder = await Recorder.begin(connection, now=self._clock.now())
        # Under the log's lock: another one may have been quicker, and the policy may be another by now.
        if (before := await store.find(connection, request_id)) is not None:
            return _same(before, row.id, recipient)
        about = {"request": str(request_id), "tree": str(row.id), "chain": row.chain, "network": row.network}
        about["key"] = recipient.hex()
        allowed = await store.recipient(connection, recipient)
        if allowed is None or package is None:
            code = errors.ExportNotAllowed.code
            recorder.add("refused", {**about, "code": code}, code=code)
            await recorder.write()
            return None
        about |= {"recipient": allowed.name, "package": sha256(package).hexdigest()}
        position = recorder.add("exported", about)
        await recorder.write()
        await store.insert(connection, store.Export(request_id, row.id, recipient, package, position))
        return package


def opened(content: bytes, *, private: bytes) -> Opened:
    """What is in a package, for whoever has the recipient's private key.

    Raises:
        PackageInvalid: it was changed, or is for somebody else.
    """
    if len(content) > PACKAGE_MAX_BYTES:
        raise errors.PackageInvalid
    try:
        package = msgspec.json.decode(content, type=Package)
        plain = recipients.open_(private, package.sealed, context=_context(package))
        return msgspec.msgpack.decode(plain, type=Opened)
    except (msgspec.DecodeError, SealBroken, ValueError):
        raise errors.PackageInvalid from None


def _sealed(row: trees.Row, secret: Secret, recipient: bytes) -> bytes:
    package = Package(tree=row.id, chain=row.chain, network=row.network, recipient=recipient, sealed=b"")
    words = mnemonics.words(secret.entropy) if secret.entropy else None
    # Words that were imported with a passphrase make another seed without it.
    told = Opened(words=words, seed=secret.seed.hex(), passphrase=words is not None and not _makes(words, secret.seed))
    sealed = recipients.seal(recipient, msgspec.msgpack.encode(told), context=_context(package))
    return msgspec.json.encode(msgspec.structs.replace(package, sealed=sealed))


def _makes(words: str, seed: bytes) -> bool:
    return mnemonics.seed(words) == seed


def _context(package: Package) -> bytes:
    """What the package says in the open."""
    return msgspec.json.encode(msgspec.structs.replace(package, sealed=b""), order="deterministic")


def _check_key(public_key: bytes) -> None:
    try:
        if len(public_key) != recipients.PUBLIC_BYTES:
            raise SealBroken
        recipients.seal(public_key, b"", context=b"")
    except SealBroken:
        raise errors.RequestInvalid("This is no public key of a recipient.") from None


def _same(before: store.Export, tree_id: UUID, recipient: bytes) -> bytes:
    if (before.tree_id, before.recipient) != (tree_id, recipient):
        raise errors.RequestDiffers
    return before.package
