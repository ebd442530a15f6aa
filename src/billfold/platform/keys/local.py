"""Master keys in a file of this machine, each on a line of its own, the newest last.

    billfold-master-key-v1 <id> <256 random bits in base64url>

The newest wraps; all of them unwrap, so that what was sealed before a new one came can still be opened. The id is a
hash of the key: it says which key wrapped a value, and shows a line that was mistyped.

A wrapped key is AES-256-GCM with a random nonce of 96 bits, for which a key is good for 2^32 values (SP 800-38D, 8.3):

    version (1 byte) | id of the master key (8 bytes) | nonce (12) | ciphertext and tag
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
import stat
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from billfold.kernel import errors
from billfold.platform import host
from billfold.platform.keys.envelope import KEY_BYTES, NONCE_BYTES, KeysUnavailable, SealBroken

#: Far more than anybody's rotations; a larger file is another file.
KEYS_MAX = 100
FILE_MAX_BYTES = 64 * 1024

_MARK = "billfold-master-key-v1"
_VERSION = b"\x01"
_ID_BYTES = 8
_HEADER_BYTES = len(_VERSION) + _ID_BYTES
_LINE = re.compile(rf"{_MARK} [0-9a-f]{{{2 * _ID_BYTES}}} ([A-Za-z0-9_-]{{43}}=)", re.ASCII)
_INTRODUCTION = """\
# The master keys of Billfold: the last one seals, all of them open. Keep a copy in a safe place, apart from those of
# the database: without this file everything that is sealed in there is lost.
"""


class KeyFileInvalid(errors.BillfoldError):
    """The file of master keys can't be used."""

    code = "key_file_invalid"


class LocalProvider:
    """The keys of a file, read once."""

    def __init__(self, keys: Mapping[bytes, bytes]) -> None:
        """`keys` by their ids, the newest last."""
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._newest = next(reversed(self._keys))

    async def newest(self) -> str:
        """The id of the last key in the file."""
        return self._newest.hex()

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """`key`, sealed for this context under the newest master key."""
        header, nonce = _VERSION + self._newest, secrets.token_bytes(NONCE_BYTES)
        return header + nonce + self._keys[self._newest].encrypt(nonce, key, header + context)

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key that was wrapped for this context.

        Raises:
            KeysUnavailable: the file has not the master key that wrapped it.
            SealBroken: it was changed, or wrapped for another context.
        """
        header, rest = wrapped[:_HEADER_BYTES], wrapped[_HEADER_BYTES:]
        if header[: len(_VERSION)] != _VERSION or len(rest) < NONCE_BYTES:
            raise SealBroken
        master = self._keys.get(header[len(_VERSION) :])
        if master is None:
            raise KeysUnavailable(
                f"Something is sealed under the master key {header[len(_VERSION) :].hex()}, which the file has not."
            )
        try:
            return master.decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], header + context)
        except InvalidTag as error:
            raise SealBroken from error


def load(path: Path) -> LocalProvider:
    """The provider of the file's keys.

    Raises:
        KeyFileInvalid: it is not there, is not as it should be, or others may read it.
    """
    return LocalProvider(_read(path))


def create(path: Path) -> str:
    """Make the file with one new key in it, and return the key's id. A file that is there is never touched.

    Raises:
        KeyFileInvalid: there is one, or none can be made there.
    """
    key = secrets.token_bytes(KEY_BYTES)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        host.write_private(draft, _INTRODUCTION + _line(key))
        try:
            # A link, unlike a rename, fails where there is a file: a master key that is lost is lost for ever.
            os.link(draft, path)
        finally:
            draft.unlink()
        host.sync_folder(path.parent)
    except FileExistsError as error:
        raise KeyFileInvalid(f"{path} is there already, and stays as it is; --add puts a new key into it.") from error
    except OSError as error:
        raise KeyFileInvalid(f"{path} can't be made: {error.strerror}.") from error
    return _id_of(key).hex()


def add(path: Path) -> str:
    """Put a new key into the file, which seals from the next start of a process on; return its id.

    Raises:
        KeyFileInvalid: there is no such file, or it can't be used or written.
    """
    if len(_read(path)) >= KEYS_MAX:
        raise KeyFileInvalid(f"{path} has {KEYS_MAX} keys, and takes no more.")
    key = secrets.token_bytes(KEY_BYTES)
    text = path.read_text(encoding="ascii")
    try:
        host.write_private(path, text.rstrip("\n") + "\n" + _line(key))
    except OSError as error:
        raise KeyFileInvalid(f"{path} can't be written: {error.strerror}.") from error
    return _id_of(key).hex()


def _read(path: Path) -> dict[bytes, bytes]:
    try:
        with path.open("rb") as file:
            _check_private(path, os.fstat(file.fileno()))
            content = file.read(FILE_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise KeyFileInvalid(
            f"{path} is not there: put it back from where you keep a copy, or make the first one with "
            f"`billfold keys create-master {path}`."
        ) from error
    except OSError as error:
        raise KeyFileInvalid(f"{path} can't be read: {error.strerror}.") from error
    if len(content) > FILE_MAX_BYTES:
        raise KeyFileInvalid(f"{path} is too large for a file of master keys.")
    return _parsed(path, content.decode("ascii", errors="replace"))


def _check_private(path: Path, seen: os.stat_result) -> None:
    """Go on only if nobody else may get at it.

    As PostgreSQL has it for its private keys, a group may read what root owns: systemd and Kubernetes hand a service
    its secrets in such files.
    """
    if not stat.S_ISREG(seen.st_mode):
        raise KeyFileInvalid(f"{path} is no file.")
    if seen.st_uid not in (0, os.geteuid()):
        raise KeyFileInvalid(f"{path} belongs to another user, {seen.st_uid}; it must be ours or root's.")
    refused = 0o077 if seen.st_uid == os.geteuid() else 0o037
    if seen.st_mode & refused:
        raise KeyFileInvalid(f"Others than its owner may get at {path}; run `chmod 600 {path}`.")


def _parsed(path: Path, text: str) -> dict[bytes, bytes]:
    keys: dict[bytes, bytes] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        key = _key_of(line.strip())
        if key is None:
            raise KeyFileInvalid(f"Line {number} of {path} is not a whole master key; put back a copy of the file.")
        keys[_id_of(key)] = key
    if not keys:
        raise KeyFileInvalid(f"{path} has no master key in it; put back a copy of the file.")
    if len(keys) > KEYS_MAX:
        raise KeyFileInvalid(f"{path} has more than {KEYS_MAX} keys.")
    return keys


def _key_of(line: str) -> bytes | None:
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    try:
        key = base64.urlsafe_b64decode(found[1])
    except binascii.Error:
        return None
    return key if _line(key) == line + "\n" else None


def _id_of(key: bytes) -> bytes:
    return sha256(b"billfold master key " + key).digest()[:_ID_BYTES]


def _line(key: bytes) -> str:
    return f"{_MARK} {_id_of(key).hex()} {base64.urlsafe_b64encode(key).decode()}\n"
