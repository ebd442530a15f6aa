"""A copy of all seeds in one file, sealed under a key of its own: a passphrase gives that key, or enough of its shares.

The file and the shares are JSON and lines of text, so that they can be printed. What the file says in the open, such as
which trees it has, is authenticated with it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

import msgspec

from billfold.chains.port import Network
from billfold.platform.keys import SealBroken, passphrase
from billfold.signer import errors
from billfold.signer.domain import shamir
from billfold.signer.service.seeds import Secret

PASSPHRASE_MIN = 12
#: One share that opens it is a key in the open.
THRESHOLD_MIN = 2
#: A thousand trees take less.
FILE_MAX_BYTES = 4 * 1024 * 1024
_KEY_BYTES = 32
_CHECK_DIGITS = 8
_SHARE = re.compile(
    r"billfold-share-v1 ([0-9a-f]{16}) (\d{1,3}) of (\d{1,3}), any (\d{1,3}): ([0-9a-f]{64}) ([0-9a-f]{8})", re.ASCII
)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A tree with its seed. Its text form does not show that."""

    id: UUID
    chain: str
    network: Network
    seed: bytes
    entropy: bytes

    def __repr__(self) -> str:
        return f"Kept({self.id}, …)"

    @property
    def secret(self) -> Secret:
        return Secret(self.seed, self.entropy)


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A tree as the file names it in the open."""

    id: UUID
    chain: str
    network: Network


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """How the key is had: from a passphrase by `derived`, or from `threshold` shares of this id."""

    kind: Literal["passphrase", "shares"]
    derived: passphrase.Derived | None = None
    id: str | None = None
    threshold: int | None = None


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """The file."""

    lock: Lock
    trees: Sequence[Named]
    sealed: bytes
    format: Literal["billfold-signer-backup-v1"] = "billfold-signer-backup-v1"


def with_passphrase(trees: Sequence[Kept], text: str) -> bytes:
    """The file. Deriving the key takes a fraction of a second.

    Raises:
        RequestInvalid: the passphrase is too short.
    """
    if len(text) < PASSPHRASE_MIN:
        raise errors.RequestInvalid(f"A passphrase has at least {PASSPHRASE_MIN} characters.")
    derived = passphrase.salted()
    return _file(trees, derived.key(text), Lock(kind="passphrase", derived=derived))


def with_shares(trees: Sequence[Kept], *, threshold: int, shares: int) -> tuple[bytes, list[str]]:
    """The file, and the shares of its key: as many as there are people to keep one.

    Raises:
        RequestInvalid.
    """
    if not THRESHOLD_MIN <= threshold <= shares <= shamir.SHARES_MAX:
        raise errors.RequestInvalid(f"There are 2 to {shamir.SHARES_MAX} shares, of which any 2 or more give the key.")
    key, name = secrets.token_bytes(_KEY_BYTES), secrets.token_hex(8)
    split = shamir.split(key, threshold=threshold, shares=shares, random=secrets.token_bytes)
    file = _file(trees, key, Lock(kind="shares", id=name, threshold=threshold))
    lines = [f"billfold-share-v1 {name} {n} of {shares}, any {threshold}: {share.hex()}" for n, share in split.items()]
    return file, [f"{line} {_check(line)}" for line in lines]


def read(content: bytes) -> Backup:
    """A file.

    Raises:
        BackupInvalid.
    """
    if len(content) > FILE_MAX_BYTES:
        raise errors.BackupInvalid
    try:
        return msgspec.json.decode(content, type=Backup)
    except (msgspec.DecodeError, ValueError):
        raise errors.BackupInvalid from None


def opened(backup: Backup, *, text: str | None = None, shares: Sequence[str] = ()) -> list[Kept]:
    """What is in it.

    Raises:
        BackupInvalid: it was changed, or this is not its passphrase, or these are not its shares, or too few.
    """
    try:
        if backup.lock.kind == "passphrase":
            if backup.lock.derived is None or text is None:
                raise errors.BackupInvalid("The backup opens with its passphrase.")
            key = backup.lock.derived.key(text)
        else:
            key = _combined(backup.lock, shares)
        plain = passphrase.open_(key, backup.sealed, context=_context(backup.lock, backup.trees))
        return msgspec.msgpack.decode(plain, type=list[Kept])
    except (SealBroken, msgspec.DecodeError):
        raise errors.BackupInvalid from None


def _file(trees: Sequence[Kept], key: bytes, lock: Lock) -> bytes:
    named = [Named(id=tree.id, chain=tree.chain, network=tree.network) for tree in trees]
    sealed = passphrase.seal(key, msgspec.msgpack.encode(list(trees)), context=_context(lock, named))
    return msgspec.json.format(msgspec.json.encode(Backup(lock=lock, trees=named, sealed=sealed))) + b"\n"


def _context(lock: Lock, trees: Sequence[Named]) -> bytes:
    told: list[Any] = ["billfold-signer-backup-v1", lock, list(trees)]
    return msgspec.json.encode(told, order="deterministic")


def _combined(lock: Lock, lines: Sequence[str]) -> bytes:
    found: dict[int, bytes] = {}
    for number, line in enumerate(lines, start=1):
        match = _SHARE.fullmatch(" ".join(line.split()))
        if match is None or _check(match.string.rpartition(" ")[0]) != match[6]:
            raise errors.BackupInvalid(f"Line {number} is not a whole share; compare it with the paper.")
        if match[1] != lock.id:
            raise errors.BackupInvalid(f"The share in line {number} is of another backup, {match[1]}.")
        found[int(match[2])] = bytes.fromhex(match[5])
    if lock.threshold is None or len(found) < lock.threshold:
        raise errors.BackupInvalid(f"It takes {lock.threshold} different shares, and here are {len(found)}.")
    return shamir.combined(found)


def _check(line: str) -> str:
    """Finds a mistyped digit; it keeps nobody from anything."""
    return sha256(line.encode()).hexdigest()[:_CHECK_DIGITS]
