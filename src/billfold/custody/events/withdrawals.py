"""What becomes of money that leaves for a chain. Fields of a payload are only ever added within a version."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from billfold.custody.events.deposits import SOURCE
from billfold.kernel.events import Event
from billfold.kernel.money import Money

WithdrawalEventType = Literal[
    "withdrawal.requested.v1",
    "withdrawal.sent.v1",
    "withdrawal.settled.v1",
    "withdrawal.failed.v1",
    "withdrawal.cancelled.v1",
]


class WithdrawalChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A withdrawal as it is after what the event's type names."""

    withdrawal_id: UUID
    wallet_id: UUID
    owner_id: UUID
    chain: str
    #: What arrives.
    money: Money
    service_fee: Money
    #: The most that is charged for the network; from the end on, what was charged.
    network_fee: Money
    address: str
    memo: str | None
    chain_tx: str | None
    #: Why it failed.
    reason: str


PAYLOADS: Final[Mapping[str, type[msgspec.Struct]]] = dict.fromkeys(
    (
        "withdrawal.requested.v1",
        "withdrawal.sent.v1",
        "withdrawal.settled.v1",
        "withdrawal.failed.v1",
        "withdrawal.cancelled.v1",
    ),
    WithdrawalChanged,
)


def withdrawal_event(*, event_id: str, kind: WithdrawalEventType, changed: WithdrawalChanged, time: datetime) -> Event:
    """What has become of a withdrawal."""
    subject = str(changed.withdrawal_id)
    return Event(id=event_id, type=kind, source=SOURCE, subject=subject, time=time, key=subject, data=changed)
