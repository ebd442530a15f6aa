"""What chains hold, held against what the ledger says. Amounts in text are decimal, in the asset's display unit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

Outcome = Literal["clean", "break", "unsettled"]
#: Why the chain holds another amount than the ledger says, where that is as it should be.
TermName = Literal[
    "deposits_unconfirmed",
    "deposits_below_minimum",
    "deposits_held_up",
    "deposits_being_credited",
    "deposits_to_be_taken_back",
    "deposits_being_taken_back",
    "unlisted_token",
    "withdrawals_not_settled",
    "network_fees_not_settled",
    "withdrawals_not_mined",
    "coins_missing",
]
#: Rows that one term names; it says how many there are.
IDS_MAX = 20


class ReconcilingTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for the reconciliation of one chain."""

    #: At most every so many seconds, while blocks come.
    every_s: int = 30
    #: A difference above this stops withdrawals, by asset, as decimal text; of others any does.
    bound: Mapping[str, str] = msgspec.field(default_factory=dict)


class Explaining(msgspec.Struct, frozen=True, kw_only=True):
    """One reason why the chain and the ledger differ."""

    name: TermName
    #: What the chain holds more than the ledger for this, or (with a minus) less. `0` is told for the reader alone.
    amount: str
    #: How much is on its way, where that makes no difference yet.
    on_its_way: str = "0"
    #: How many rows it is, and the ids of the first: of deposits, withdrawals, transactions of ours, or coins.
    count: int
    ids: list[str]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was found for one asset: `chain_holds` - `ledger_owes` - all amounts of `explained` = `difference`."""

    id: UUID
    chain: str
    asset: str
    outcome: Outcome
    #: Why it came to no result.
    reason: str = ""
    #: The block that it is of; None where it did not come so far.
    height: int | None
    block: str | None
    chain_holds: str
    #: Of that: at addresses of the house by their purpose, and at `deposit` addresses.
    places: Mapping[str, str]
    ledger_owes: str
    explained: list[Explaining]
    difference: str
    #: Whether withdrawals of the asset are stopped.
    stopped: bool
    #: Addresses or coins that the chain was asked for; of others the last answer counts, since nothing has moved them.
    asked: int
    made_at: datetime


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """What one run has found."""

    items: list[Report]
    #: Whatever was asked before is not asked again for this run when it is given with the next.
    since: datetime
    #: Addresses and coins that the chain was not asked for since then.
    remaining: int
