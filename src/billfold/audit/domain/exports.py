"""Checks what was exported, with nothing but the export and the keys: no database, no network.

An export is lines of JSON. A line is a record, byte for byte as it was hashed, or `{"head": …}` with a signed head of
all records above it. A head stands behind the last record that it covers, so that what does not fit is found between
two heads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from billfold.audit.contracts import Checked, Fault, RecordProof
from billfold.audit.domain import merkle, notes
from billfold.audit.domain.notes import Head, Note, PublicKey, Unreadable
from billfold.kernel import clock

#: So many faults are told; where everything is wrong nobody reads on.
FAULTS_MAX = 100

#: Which of the keys that are trusted has made one of the signatures under the note; None if none of them has.
Trusted = Callable[[Note], PublicKey | None]


class HeadLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line with a signed head."""

    head: str


class _Position(msgspec.Struct, frozen=True):
    position: int


def head_line(note: str) -> bytes:
    """The line of a signed head."""
    return msgspec.json.encode(HeadLine(note))


_read_head = msgspec.json.Decoder(HeadLine).decode
_read_proof = msgspec.json.Decoder(RecordProof).decode
_read_position = msgspec.json.Decoder(_Position).decode


def read_proof(content: bytes) -> RecordProof | None:
    """The document of one record and its proof, if it is one."""
    found: RecordProof | None = _attempt(_read_proof, content)
    return found


class Checker:
    """Reads an export line by line. `known` are heads from elsewhere that it must begin with or be."""

    def __init__(self, *, trusted: Trusted, known: Iterable[Head] = ()) -> None:
        self._trusted = trusted
        self._tree = merkle.Frontier()
        self._known: dict[int, list[Head]] = {}
        for head in known:
            self._known.setdefault(head.size, []).append(head)
        self._lines = self._heads = self._sealed = self._kept = 0
        self._last: Head | None = None
        #: Which key has signed last, and which have before it: those sign nothing any more.
        self._signer: PublicKey | None = None
        self._replaced: set[PublicKey] = set()
        self._faults: list[Fault] = []
        #: So many of the faults are that no key that is trusted has signed, or follow from that.
        self._unsigned = 0
        #: The newest head of those covers so many records.
        self._unsigned_size = 0
        #: Whether a head has failed already: every later one does too.
        self._broken = False
        self._compare_known()

    def read(self, line: bytes) -> None:
        """Take the next line, without its end."""
        self._lines += 1
        head = _attempt(_read_head, line)
        if head is None:
            self._record(line)
        else:
            self._head(head.head)

    def end(self) -> Checked:
        """What was found, once all lines are read."""
        if self._heads == 0:
            self._fault("there is no signed head in it")
        elif self._sealed < self._tree.size and not self._broken:
            self._fault(
                f"records {self._sealed} to {self._tree.size - 1} stand behind the last head: nothing seals them"
            )
            self._unsigned += self._unsigned_size == self._tree.size
        for size in sorted(self._known):
            if size > self._tree.size:
                self._fault(f"it ends with {self._tree.size} records; a published head has {size}")
        return Checked(
            records=self._tree.size,
            sealed=self._sealed,
            heads=self._heads,
            sealed_at=_time(self._last),
            kept=self._kept,
            faults=self._faults[:FAULTS_MAX],
            unknown_signer=0 < self._unsigned == len(self._faults),
        )

    def _record(self, line: bytes) -> None:
        found = _attempt(_read_position, line)
        expected = self._tree.size
        if found is None:
            self._fault("it is neither a record nor a head")
        elif found.position != expected:
            self._fault(f"it is record {found.position}, where {expected} should be")
        self._tree.append(merkle.leaf_hash(line))
        self._compare_known()

    def _head(self, text: str) -> None:
        self._heads += 1
        try:
            note = notes.read(text)
        except Unreadable as error:
            self._fault(f"the head can't be read: {error}")
            return
        head = note.head
        signer = self._trusted(note)
        if signer is None:
            self._fault(f"the head of {head.size} records is not signed by a key that is trusted")
            self._unsigned, self._unsigned_size = self._unsigned + 1, head.size
        elif signer in self._replaced:
            self._fault(f"the head of {head.size} records is signed by a key that was replaced before")
        elif head.size != self._tree.size:
            self._fault(f"the head of {head.size} records stands behind {self._tree.size}")
        elif head.root != self._tree.root:
            self._differs(head, "the signed head")
        else:
            self._sealed, self._last = head.size, head
            if self._signer not in (None, signer):
                self._replaced.add(self._signer)
            self._signer = signer

    def _compare_known(self) -> None:
        for head in self._known.get(self._tree.size, ()):
            if head.root == self._tree.root:
                self._kept += 1
            else:
                self._differs(head, "a published head")

    def _differs(self, head: Head, by: str) -> None:
        if self._broken:
            return
        self._broken = True
        where = f"records {self._sealed} to {head.size - 1}" if self._sealed < head.size else "the records"
        self._fault(f"{where} are not what was sealed, by {by} of {head.size} records")

    def _fault(self, what: str) -> None:
        self._faults.append(Fault(self._lines, what))


def check(lines: Iterable[bytes], *, trusted: Trusted, known: Iterable[Head] = ()) -> Checked:
    """Check an export as a whole."""
    checker = Checker(trusted=trusted, known=known)
    for line in lines:
        checker.read(line)
    return checker.end()


def check_proof(document: RecordProof, *, trusted: Trusted, known: Iterable[Head] = ()) -> Checked:
    """Check one record and its proof."""
    faults: list[Fault] = []
    head = None
    kept = 0
    unsigned = False
    try:
        note = notes.read(document.head)
        head = note.head
        unsigned = trusted(note) is None
        if unsigned:
            faults.append(Fault(1, "the head is not signed by a key that is trusted"))
        if not _fits(document, head):
            faults.append(Fault(1, "the proof does not lead from this record to the head"))
        same_size = [other for other in known if other.size == head.size]
        kept = sum(other.root == head.root for other in same_size)
        if kept < len(same_size):
            faults.append(Fault(1, "the head is not the one that was published"))
    except Unreadable as error:
        faults.append(Fault(1, f"it can't be read: {error}"))
    return Checked(
        records=1,
        sealed=0 if faults else 1,
        heads=1,
        sealed_at=_time(head),
        kept=kept,
        faults=faults,
        unknown_signer=unsigned and len(faults) == 1,
    )


def _fits(document: RecordProof, head: Head) -> bool:
    record = document.record.encode()
    found = _attempt(_read_position, record)
    if found is None:
        raise Unreadable("the record is none")
    return merkle.is_included(
        leaf=merkle.leaf_hash(record),
        index=found.position,
        size=head.size,
        proof=[notes.decoded(step) for step in document.proof],
        root=head.root,
    )


def _time(head: Head | None) -> str | None:
    return None if head is None else clock.format(head.time)


def _attempt(read: Callable[[bytes], Any], line: bytes) -> Any:
    try:
        return read(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
