"""What the audit gives and takes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

#: The scope that shows everybody's records.
READ = "audit:read"
#: The scope that shows one's own: whatever one has done, logins and keys too, is in them, so it takes a login.
OWN = "account"


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a command came from."""

    channel: Annotated[str, Meta(description="`api`, `cli`, `worker` or `grpc`.")]
    address: Annotated[str, Meta(description="Of the client; at the command line the user and the machine.")] = ""
    request_id: str = ""
    credential_id: Annotated[str | None, Meta(description="The API key or the session.")] = None
    owner_id: Annotated[str | None, Meta(description="Whose that is.")] = None
    user_id: Annotated[str | None, Meta(description="The person behind it; none is a program.")] = None
    on_behalf_of: Annotated[str | None, Meta(description="Who has asked for what another one has approved.")] = None


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, as it was recorded."""

    position: Annotated[int, Meta(description="Its number, counted from 0 without a gap.")]
    type: str
    source: str
    id: str
    subject: str
    time: str
    outcome: Annotated[str, Meta(description="`done`, or the code of the refusal.")]
    origin: Origin
    before: Annotated[Any, Meta(description="What it was before, where that is known.")] = None
    data: Annotated[Any, Meta(description="What is told of it: of an event, its data.")] = None

    @property
    def key(self) -> str:
        """What it is known by where it is copied to: its source, and the id that this never gives twice."""
        return f"{self.source}/{self.id}"


class SignedHead(msgspec.Struct, frozen=True, kw_only=True):
    """A tree as it was sealed."""

    size: Annotated[int, Meta(description="How many records it covers: those before this position.")]
    sealed_at: datetime
    note: Annotated[str, Meta(description="Size, root and time as they were signed (C2SP tlog-checkpoint).")]


class RecordProof(msgspec.Struct, frozen=True, kw_only=True):
    """One record, and the proof that it is in the tree of a signed head. It says nothing about any other record."""

    record: Annotated[str, Meta(description="The text that is hashed; the JSON of the record is in it.")]
    proof: Annotated[list[str], Meta(description="The hashes that lead from it to the root, base64 (RFC 6962).")]
    head: Annotated[str, Meta(description="The signed head.")]


class Consistency(msgspec.Struct, frozen=True, kw_only=True):
    """The proof that the tree of one head is the beginning of another one's."""

    first: str
    second: str
    proof: Annotated[list[str], Meta(description="Hashes, base64 (RFC 6962).")]


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which records are meant; what is None does not matter."""

    #: A type, or the begin of some, such as "wallet.".
    type: str | None = None
    actor: str | None = None
    owner: str | None = None
    subject: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    #: Only what this owner did, or what is about them and was done by nobody who is known.
    told_to: str | None = None


class Fault(msgspec.Struct, frozen=True):
    """Something that is not as it was sealed: where, counted from 1, and what."""

    line: int
    what: str


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What was read, and what is wrong with it."""

    records: int
    #: Of these a head that is signed and fits says that they are as they were.
    sealed: int
    heads: int
    #: Of the newest head that fits.
    sealed_at: str | None
    #: So many of the heads that were kept elsewhere fit.
    kept: int
    faults: list[Fault]
    #: Nothing else is wrong but that no key that is trusted has signed: one is missing, or somebody else has signed.
    unknown_signer: bool = False
