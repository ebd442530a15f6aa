"""Exports for tests: records, and heads signed by a key of their own."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from billfold.audit.contracts import Checked
from billfold.audit.domain import exports, merkle, records
from billfold.audit.domain.notes import Head
from billfold.audit.service import signing
from billfold.kernel.facts import Fact
from billfold.kernel.origin import Origin

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SIGNER, _ = signing.Signer.new()


def fact(number: int) -> Fact:
    return Fact(
        type="wallet.frozen.v1",
        source="/billfold/wallets",
        id=f"id-{number}",
        subject=f"wallet-{number}",
        time="2026-01-31T12:00:00.000000Z",
        origin=Origin(channel="api", address="192.0.2.1", owner_id=UUID(int=number)),
        data={"owner_id": f"owner-{number}", "name": "Ada's, “ä”"},
    )


def record(position: int) -> bytes:
    return records.text(fact(position), position=position, salt=bytes(16))


def head(lines: Sequence[bytes]) -> Head:
    tree = merkle.Frontier()
    for line in lines:
        tree.append(merkle.leaf_hash(line))
    return Head(size=len(lines), root=tree.root, time=NOW)


def export(size: int, *, every: int = 3) -> list[bytes]:
    """Records with a head behind every few of them, and behind the last."""
    lines: list[bytes] = []
    kept: list[bytes] = []
    for position in range(size):
        kept.append(record(position))
        lines.append(kept[-1])
        if len(kept) % every == 0 or len(kept) == size:
            lines.append(exports.head_line(SIGNER.sign(head(kept))))
    return lines


def check(lines: Iterable[bytes], *, signer: signing.Signer = SIGNER, known: Iterable[Head] = ()) -> Checked:
    return exports.check(lines, trusted=partial(signing.signed_by, keys=[signer.public]), known=known)
