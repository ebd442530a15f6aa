"""Movements of money that are accepted now and carried out later."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from billfold.kernel.money import Money
from billfold.wallets.contracts.fields import Instant, OrderKind
from billfold.wallets.contracts.history import HistorySource
from billfold.wallets.contracts.movements import Moved

#: It goes on from the first to the second, and from either to one of the others, where it stays.
RequestStatus = Literal["accepted", "processing", "completed", "failed", "cancelled", "expired"]
#: Nobody waits longer in one request of HTTP: proxies cut it off.
WAIT_MAX_S = 30


class RequestLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests may wait at a time, and for how long."""

    open_max: int = 10_000
    open_per_owner_max: int = 1_000
    expire_after: timedelta = timedelta(hours=1)


class RequestError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why nothing was moved: as the problem details of the same request sent without `Prefer`."""

    code: str
    detail: str
    pointer: str | None = None


class MoneyRequest(msgspec.Struct, frozen=True, kw_only=True, rename={"source": "from", "target": "to"}):
    """A transfer, deposit or withdrawal that was accepted, and what has become of it."""

    id: UUID
    kind: OrderKind
    status: Annotated[RequestStatus, Meta(description="It never goes back; what is completed has a transfer.")]
    source: Annotated[str, Meta(description="The wallet or alias that the money leaves, or outside.")]
    target: Annotated[str, Meta(description="The wallet or alias that it goes to, or outside.")]
    money: Money
    reference: str
    description: str
    metadata: Mapping[str, str]
    accepted_at: Instant
    expires_at: Annotated[Instant, Meta(description="What is not carried out by then never is.")]
    started_at: Annotated[Instant | None, Meta(description="When it was first taken to be carried out.")]
    ended_at: Instant | None
    tries: Annotated[int, Meta(description="How often it was taken to be carried out.")]
    transfer_id: UUID | None
    error: Annotated[
        RequestError | None,
        Meta(description="Why it has failed; of one that is being processed, why its last try is repeated."),
    ]

    @property
    def is_open(self) -> bool:
        """Whether anything can become of it still."""
        return self.ended_at is None


class FoundRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request, and where it was read. In the copy are those alone that have ended, which never change."""

    request: MoneyRequest
    source: HistorySource = "postgresql"


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a request that need not be carried out at once: it waits, or it was carried out before."""

    request: MoneyRequest | None = None
    moved: Moved | None = None
    #: Whether it was accepted before with the same idempotency key.
    replayed: bool = False


class Backlog(msgspec.Struct, frozen=True):
    """How many requests are open, counted up to a limit, and how long the oldest has been."""

    count: int
    age_s: float


#: How many each outcome has had in one round: an ending status, or `retried`.
RequestOutcomes = Mapping[str, int]
