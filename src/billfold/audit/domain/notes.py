"""Tree heads as signed notes (C2SP signed-note and tlog-checkpoint), and keys as these are handed around.

    billfold/audit
    2048
    n4CjWv0gXm3S0mlVCZyZLj1+9BLP/Q3mOeYL5BuZZ8M=
    2026-01-31T12:00:00.123456Z

    — billfold/audit 1y4hFm9q…=

Name, size and root are what a checkpoint has; the time is a line that it may have. What signs is `service.signing`.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from datetime import datetime
from hashlib import sha256

import msgspec

from billfold.audit.domain import merkle
from billfold.kernel import clock

#: Who says so: the name of the log in each head, and of the key in each signature.
NAME = "billfold/audit"
#: Of the signatures that a note may have we make the first kind, Ed25519.
_ED25519 = b"\x01"
_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
_HASH_BYTES = 4
#: A head and a signature have less than 400; no stranger's note is read at length.
NOTE_MAX = 4_096
_SIZE = re.compile(r"0|[1-9]\d{0,17}")


class Unreadable(ValueError):
    """It is not what it should be; the text says why."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A tree as it was at a time: how many records, and the hash of all of them."""

    size: int
    root: bytes
    time: datetime


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A head, the text of it that is signed, and the signatures by the first bytes of their keys' hashes."""

    head: Head
    text: str
    signatures: dict[bytes, bytes]


class PublicKey(msgspec.Struct, frozen=True):
    """An Ed25519 key that heads are checked with."""

    raw: bytes

    @property
    def hash(self) -> bytes:
        """What signatures name it by."""
        return sha256(NAME.encode() + b"\n" + _ED25519 + self.raw).digest()[:_HASH_BYTES]

    def __str__(self) -> str:
        return f"{NAME}+{self.hash.hex()}+{b64encode(_ED25519 + self.raw).decode()}"


def text(head: Head) -> str:
    """What is signed."""
    return f"{NAME}\n{head.size}\n{b64encode(head.root).decode()}\n{clock.format(head.time)}\n"


def signed(signed_text: str, key: PublicKey, signature: bytes) -> str:
    """The note of a text and its signature."""
    return f"{signed_text}\n\u2014 {NAME} {b64encode(key.hash + signature).decode()}\n"


def read(note: str) -> Note:
    """The head in a note, and the signatures under it, which are not checked here.

    Raises:
        Unreadable: it is no note of ours.
    """
    if len(note) > NOTE_MAX:
        raise Unreadable("it is too long for a signed head")
    signed_text, separator, below = note.partition("\n\n")
    lines = signed_text.split("\n")
    if not separator or len(lines) != 4 or lines[0] != NAME or not _SIZE.fullmatch(lines[1]):  # noqa: PLR2004
        raise Unreadable(f"it is no signed head of {NAME}")
    try:
        time = clock.parse(lines[3])
    except clock.InvalidInstant as error:
        raise Unreadable("the time of the head is none") from error
    head = Head(size=int(lines[1]), root=_bytes(lines[2], merkle.HASH_BYTES), time=time)
    return Note(head=head, text=signed_text + "\n", signatures=dict(map(_signature, below.splitlines())))


def read_all(text: str) -> list[Note]:
    """The notes of a file that heads were added to: each has an empty line within and one behind it.

    Raises:
        Unreadable: there is something else in it.
    """
    parts = text.rstrip("\n").split("\n\n") if text.strip() else []
    if len(parts) % 2:
        raise Unreadable("a signed head in it is cut short")
    return [read(f"{signed_text}\n\n{below}\n") for signed_text, below in zip(parts[::2], parts[1::2], strict=True)]


def read_key(given: str) -> PublicKey:
    """A key as `str` has written it.

    Raises:
        Unreadable: it is none.
    """
    name, _, rest = given.strip().partition("+")
    named, _, coded = rest.partition("+")
    raw = _bytes(coded, len(_ED25519) + _KEY_BYTES)
    key = PublicKey(raw[len(_ED25519) :])
    if name != NAME or raw[: len(_ED25519)] != _ED25519 or key.hash.hex() != named:
        raise Unreadable(f"it is no public key of {NAME}, which is one line {NAME}+…+…")
    return key


def decoded(coded: str) -> bytes:
    """A hash that is written in base64.

    Raises:
        Unreadable: it is none.
    """
    return _bytes(coded, merkle.HASH_BYTES)


def _signature(line: str) -> tuple[bytes, bytes]:
    name, _, coded = line.removeprefix("\u2014 ").partition(" ")
    if name != NAME:
        # Others may have signed it as well.
        return b"", b""
    raw = _bytes(coded, _HASH_BYTES + _SIGNATURE_BYTES)
    return raw[:_HASH_BYTES], raw[_HASH_BYTES:]


def _bytes(coded: str, length: int) -> bytes:
    try:
        raw = b64decode(coded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unreadable("something in it is no base64") from error
    if len(raw) != length:
        raise Unreadable("something in it has the wrong length")
    return raw
