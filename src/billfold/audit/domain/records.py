"""A record as it is hashed: the text of a JSON object in one canonical form, which is kept and never written anew.

The names of every object stand in the order of their letters, with nothing between the parts; so a record that is put
together again from the same facts has the same text. The salt, 128 bits of chance in each record, keeps the hash of a
record from telling what is in it to whoever can guess: a proof about one's own record shows hashes of its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from billfold.audit.contracts import AuditRecord
from billfold.kernel.facts import Fact

SALT_BYTES = 16
#: A text that records are found by stands in an index, which takes no long ones.
FOUND_BY_MAX_BYTES = 1_000

_encode = msgspec.json.Encoder(order="sorted").encode


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the text of a record, read back."""

    position: int
    type: str
    source: str
    id: str
    subject: str
    time: str
    outcome: str
    origin: dict[str, Any]
    before: Any
    data: Any


_decode = msgspec.json.Decoder(Shown).decode


def text(fact: Fact, *, position: int, salt: bytes) -> bytes:
    """The record number `position`, counted from 0, as it is hashed, kept and exported."""
    assert len(salt) == SALT_BYTES, "guessing it must be hopeless"
    return _encode({**msgspec.structs.asdict(fact), "position": position, "salt": salt.hex()})


def is_of(record: bytes, fact: Fact) -> bool:
    """Whether the text is that of this very fact."""
    kept = msgspec.json.decode(record)
    return record == text(fact, position=kept["position"], salt=bytes.fromhex(kept["salt"]))


def found_by(given: str) -> str:
    """A text as records are found by it. In what is hashed it stands as it came."""
    legible = given.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace")
    return legible[:FOUND_BY_MAX_BYTES].decode(errors="ignore")


def shown(record: bytes) -> Shown:
    """What the text says.

    Raises:
        msgspec.DecodeError: it is not the text of a record.
    """
    return _decode(record)


def actor(fact: Fact | AuditRecord) -> str | None:
    """The owner who did it: a person, or what a program's key belongs to."""
    found = fact.origin.user_id or fact.origin.owner_id
    return str(found) if found else None


def owner(fact: Fact | AuditRecord) -> str | None:
    """Whose things it is about, where it says so."""
    data = fact.data if isinstance(fact.data, Mapping) else {}
    found = data.get("owner_id")
    return str(found) if found else None
