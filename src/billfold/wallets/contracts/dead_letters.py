"""Messages of a queue, and those that could not be applied."""

from collections.abc import Mapping
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from billfold.wallets.contracts.fields import Instant

DeadLetterStatus = Literal["open", "retried", "discarded"]
#: What became of a delivery: applied, set aside as a dead letter, dropped since an operator has discarded it, or to be
#: taken again because something is not there.
Taken = Literal["applied", "refused", "discarded", "later"]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message as a queue has delivered it: which one of its stream, and how often it has come."""

    subject: str
    sequence: int
    deliveries: int
    headers: dict[str, str]
    body: bytes


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that could not be applied."""

    id: UUID
    status: Annotated[DeadLetterStatus, Meta(description="Open until a retry succeeds or an operator discards it.")]
    reason: Annotated[str, Meta(description="The code of the error that refused it last.")]
    detail: Annotated[str, Meta(description="That error's sentence.")]
    subject: Annotated[str, Meta(description="Where the queue had it when it came last: a subject, a partition.")]
    sequence: Annotated[int, Meta(description="Its number there; 0 where the broker numbers nothing.")]
    deliveries: Annotated[
        int, Meta(description="How often the queue has delivered it, repeats of the same content included.")
    ]
    retries: Annotated[int, Meta(description="How often an operator has tried it again.")]
    first_seen: Instant
    last_seen: Instant
    headers: Annotated[Mapping[str, str], Meta(description="The headers it came with.")]
    transfer_id: Annotated[UUID | None, Meta(description="What a successful retry has posted.")]
    size: Annotated[int, Meta(description="Bytes of its content.")]


class DeadLetterContent(DeadLetter, frozen=True, kw_only=True):
    """A message that could not be applied, with its content."""

    content: Annotated[bytes, Meta(description="The message byte for byte, in base64.")]
