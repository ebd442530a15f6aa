"""The drill: restore, derive, compare, scan if asked to, and write down that it was done."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from hashlib import sha256
from typing import Final

import msgspec

from billfold.app.drilling import scratch
from billfold.app.drilling.comparing import Compared, Comparing, Difference
from billfold.app.drilling.scanning import Held, Scanning
from billfold.custody import Custody
from billfold.custody.contracts import IssuedAddress
from billfold.signer import Drills, Signer
from billfold.signer.contracts import Drill
from billfold.signer.errors import BackupInvalid

#: The outcome of a drill that has found something.
DIFFERS: Final = "addresses_differ"

#: What was done of how many addresses.
Advance = Callable[[int, int], None]


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """A backup, and what opens it. Its text form shows neither."""

    content: bytes
    text: str | None = None
    shares: Sequence[str] = ()

    def __repr__(self) -> str:
        return "Opening(…)"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    good: bool
    #: SHA-256 of the file.
    backup: str
    trees: int
    issued: int
    derived: int
    equal: int
    differences: Sequence[Difference]
    #: What the chains say that the addresses hold, where they were asked.
    held: Sequence[Held] | None
    #: Whether the signer's log has the time of this drill.
    logged: bool


async def run(
    backup: Opening,
    *,
    custody: Custody,
    drills: Drills | None,
    advance: Advance,
    tokens: Mapping[str, Sequence[str]] | None = None,
    place: Callable[[], AbstractAsyncContextManager[Signer]] = scratch.signer,
) -> Report:
    """Do it. The chains are asked for what the addresses hold if `tokens` are given, which may be none.

    Raises:
        BackupInvalid: nothing could be restored, which is written down as well.
        ServerNotInstalled, ChildFailed, DatabaseUnavailable, NodeUnavailable, NodeWrong.
    """
    digest, held = sha256(backup.content).hexdigest(), None
    async with place() as signer:
        try:
            restored = await signer.restore(backup.content, text=backup.text, shares=backup.shares)
        except BackupInvalid as error:
            await _write_down(custody, drills, _told(digest, Compared(), error.code))
            raise
        total = await custody.issued.count()
        comparing = Comparing(signer=signer, restored=restored, trees=await custody.issued.trees())
        pages = comparing.run(custody.issued.pages(), advance=lambda done: advance(done, total))
        if tokens is None:
            await _read(pages)
        else:
            scanning = Scanning(custody=custody, tokens=tokens)
            await scanning.run(pages)
            held = scanning.held
    found = comparing.found
    drill = _told(digest, found, None if found.equal == found.issued else DIFFERS)
    await _write_down(custody, drills, drill)
    return Report(
        good=drill.fault is None,
        backup=digest,
        trees=len(restored),
        issued=found.issued,
        derived=found.derived,
        equal=found.equal,
        differences=found.differences,
        held=held,
        logged=drills is not None,
    )


async def _read(pages: AsyncIterator[Sequence[IssuedAddress]]) -> None:
    async for _ in pages:
        pass


def _told(digest: str, found: Compared, fault: str | None) -> Drill:
    return Drill(backup=digest, issued=found.issued, derived=found.derived, equal=found.equal, fault=fault)


async def _write_down(custody: Custody, drills: Drills | None, drill: Drill) -> None:
    await custody.issued.drilled(backup=drill.backup, outcome=drill.fault or "done", data=drill)
    if drills is not None:
        await drills.record(drill)
