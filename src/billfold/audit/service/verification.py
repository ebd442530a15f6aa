"""Checks an export or a proof with public keys, and with heads that were kept elsewhere. It takes no database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain

from billfold.audit import errors
from billfold.audit.contracts import Checked
from billfold.audit.domain import exports, notes
from billfold.audit.domain.notes import Head, PublicKey, Unreadable
from billfold.audit.service import signing

#: The document of a proof may be written over several lines; an export has none that begins so.
_PROOF_BEGINS = b"{"
_PROOF_MAX = 4 * 1024 * 1024


def verify(lines: Iterable[bytes], *, keys: Sequence[str], heads: str | None = None) -> Checked:
    """What is wrong with an export, or with the document of one proof. `heads` are notes as they were published.

    Raises:
        KeyInvalid, HeadsInvalid.
    """
    public = [_key(key) for key in keys]
    trusted = partial(signing.signed_by, keys=public)
    known = [] if heads is None else _known(heads, trusted)
    iterator = iter(lines)
    first = next(iterator, None)
    if first is None:
        return exports.check((), trusted=trusted, known=known)
    if first.strip() == _PROOF_BEGINS or exports.read_proof(first) is not None:
        document = exports.read_proof(_joined(first, iterator))
        if document is not None:
            return exports.check_proof(document, trusted=trusted, known=known)
    return exports.check(chain((first,), iterator), trusted=trusted, known=known)


def _joined(first: bytes, rest: Iterator[bytes]) -> bytes:
    whole = bytearray(first)
    for line in rest:
        whole += line
        if len(whole) > _PROOF_MAX:
            break
    return bytes(whole)


def _key(given: str) -> PublicKey:
    try:
        return notes.read_key(given)
    except Unreadable as error:
        raise errors.KeyInvalid(f"--key can't be used: {error}.") from error


def _known(given: str, trusted: exports.Trusted) -> list[Head]:
    """The heads that were published; what is not signed by a key that is trusted proves nothing."""
    try:
        found = notes.read_all(given)
    except Unreadable as error:
        raise errors.HeadsInvalid(f"The published heads can't be read: {error}.") from error
    if not found:
        # Of what was not fetched nothing differs: to say that all is well would be to say it without a comparison.
        raise errors.HeadsInvalid("There is no published head to compare with: the file of --heads is empty.")
    for note in found:
        if trusted(note) is None:
            raise errors.HeadsInvalid(f"The published head of {note.head.size} is not signed by a key that is trusted.")
    return [note.head for note in found]
