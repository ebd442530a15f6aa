"""What one person asks for and another one has to approve."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from billfold.kernel import forms, idempotency
from billfold.kernel.principal import Principal

ApprovalStatus = Literal["pending", "approved", "executed", "failed", "rejected", "cancelled", "expired"]
REASON_MAX = 500


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person has asked for, and what another person has said to it."""

    id: str
    kind: Annotated[
        str,
        Meta(
            description="What is asked for: movement, bulk, reversal, hold, settlement, release, limits, roles, "
            "key_export, chain_key, chain_addresses, unsigned_discard."
        ),
    ]
    status: Annotated[
        ApprovalStatus,
        Meta(description="An approved one is carried out at once, and then executed; or it has failed."),
    ]
    content: Annotated[Mapping[str, Any], Meta(description="What is carried out, exactly so.")]
    resolved: Annotated[
        list[str],
        Meta(
            description="Where the aliases in it led when it was asked for: this is what is approved. When they lead "
            "elsewhere by the time it is carried out, it fails.",
            examples=[["deposit outside → 019aa2c6-7a00-7000-8000-00000000a001 12.34 USD"]],
        ),
    ]
    maker_id: Annotated[str, Meta(description="Who asks.")]
    checker_id: Annotated[str | None, Meta(description="Who has decided.")]
    requested_at: datetime
    expires_at: Annotated[datetime, Meta(description="From when on nobody can approve it any more.")]
    decided_at: datetime | None
    ended_at: datetime | None
    reason: Annotated[str | None, Meta(description="Why it was rejected, or has failed.")]


class Rejection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No."""

    reason: Annotated[
        str,
        Meta(
            description="Why, for the one who has asked.",
            examples=["No invoice for this."],
            min_length=1,
            max_length=REASON_MAX,
            pattern=forms.NO_NUL,
        ),
    ]


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What is to wait for a second person."""

    kind: str
    #: Made of what JSON has. An executor of this kind gets it as it is here.
    content: Mapping[str, Any]
    #: The scopes that it takes.
    needs: frozenset[str]
    #: The owners of what it concerns.
    concerns: frozenset[UUID]
    #: What names in the content stand for now, in words that change when that does.
    resolved: frozenset[str] = frozenset()
    key: idempotency.Key
    #: The text of the key; empty for a request that has none. Such a one is the same as an equal one that still waits.
    key_text: str = ""


class Approved(msgspec.Struct, frozen=True):
    """What is to be carried out now, for the one who has asked."""

    id: UUID
    principal: Principal
    content: Mapping[str, Any]
    key_text: str


#: Carries out what was approved; any number of times, at any time, with the effect of once. Raises BillfoldError if it
#: can't be done: a retryable one is tried again.
Executor = Callable[[Approved], Awaitable[object]]
