"""What happened to a deposit, each ordered by it.

| type | when |
|---|---|
| `deposit.detected.v1` | money for us was seen, in a block or waiting for one |
| `deposit.credited.v1` | it has its confirmations, and the ledger has it |
| `deposit.releasable.v1` | it may leave on a chain again |
| `deposit.reverted.v1` | the chain has taken it back; so has the ledger, where it had it |
| `deposit.assign_requested.v1` | it is nobody's, and an operator gives it to a wallet |
| `deposit.assigned.v1` | it is the wallet's |
| `deposit.assign_failed.v1` | the wallet could not take it, and it is nobody's again |
| `deposit.refund_requested.v1` | it is nobody's, and an operator has it sent to an address |
| `deposit.refunded.v1` | the chain has paid that for good |
| `deposit.refund_failed.v1` | it could not be sent, and is nobody's again |
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, get_args
from uuid import UUID

import msgspec

from billfold.kernel.events import Event
from billfold.kernel.money import Money

SOURCE: Final = "/billfold/custody"
Step = Literal[
    "detected",
    "credited",
    "releasable",
    "reverted",
    "assign_requested",
    "assigned",
    "assign_failed",
    "refund_requested",
    "refunded",
    "refund_failed",
]


class Assigned(msgspec.Struct, frozen=True, kw_only=True):
    """To whom a deposit of nobody known is given, or was to be."""

    wallet_id: UUID
    #: The operator who has asked for it, and how they know.
    asked_by: UUID
    reason: str
    #: The code with which the wallet's account has not taken it.
    why: str | None = None


class Refunded(msgspec.Struct, frozen=True, kw_only=True):
    """How a deposit of nobody known is sent back, or was."""

    withdrawal_id: UUID
    address: str
    memo: str | None
    #: What arrives.
    money: Money
    #: The operator who has asked for it, and how they know.
    asked_by: UUID
    reason: str
    #: The transaction that has paid it.
    chain_tx: str | None


class DepositChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A deposit as it is after what the event's type names."""

    deposit_id: UUID
    #: None: nobody knows yet whose it is, or it is the house's.
    wallet_id: UUID | None
    chain: str
    chain_tx: str
    index: str
    address: str
    memo: str | None
    money: Money
    #: The block that has it; None while none has.
    height: int | None
    #: The transfer that has credited it, and the one that has taken it back.
    transfer_id: UUID | None
    reversal_id: UUID | None
    #: Of one that is sent back.
    refund: Refunded | None = None
    #: Of one that is given to a wallet by an operator.
    assignment: Assigned | None = None


PAYLOADS: Mapping[str, type[msgspec.Struct]] = {f"deposit.{step}.v1": DepositChanged for step in get_args(Step)}


def deposit_event(*, event_id: str, step: Step, data: DepositChanged, time: datetime) -> Event:
    """What has become of a deposit."""
    subject = str(data.deposit_id)
    return Event(
        id=event_id, type=f"deposit.{step}.v1", source=SOURCE, subject=subject, time=time, key=subject, data=data
    )
