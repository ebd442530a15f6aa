"""Money that leaves for a chain, as callers give and get it. Amounts are whole smallest units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from billfold.chains.port import Speed
from billfold.custody.contracts.treasury import TreasuryTerms

#: As its owner sees it; what is `allocated` shows how far its transaction is, from `signed` to `mined`.
WithdrawalStatus = Literal[
    "requested",
    "waiting",
    "held",
    "allocated",
    "signed",
    "sent",
    "uncertain",
    "mined",
    "settling",
    "settled",
    "failed",
    "cancelled",
]
#: A new address waits so long, unless it is confirmed by a factor.
ADDRESS_WAIT = timedelta(hours=24)
#: The longest memo of any chain is a hash in hexadecimal with its kind before it.
MEMO_MAX = 128
ADDRESS_MAX = 200


class NewWithdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """What is to leave. `amount` is what arrives; fees come on top."""

    wallet_id: UUID
    owner_id: UUID
    #: The wallet's account in the ledger.
    account_id: UUID
    asset: str
    amount: int
    address: str
    memo: str | None = None
    speed: Speed = "normal"
    #: The most that network and service fee may be, in the asset's units; None: whatever they are now.
    max_fee: int | None = None
    #: Whether the address has been confirmed by a factor, so that it need not wait.
    confirmed: bool = False


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """A withdrawal as it is now."""

    id: UUID
    #: None: it sends back what has arrived for nobody known.
    wallet_id: UUID | None
    chain: str
    asset: str
    amount: int
    service_fee: int
    #: The most that is charged for the network; what is not needed goes back.
    network_fee: int
    #: What was charged in the end.
    fee_paid: int | None
    address: str
    memo: str | None
    speed: Speed
    status: WithdrawalStatus
    #: The transaction that has paid it, or is to pay it.
    chain_tx: str | None
    #: The block that has it.
    height: int | None
    #: A new address waits until then.
    waits_until: datetime | None
    #: Why it waits, or failed; or what was strange about how it was paid.
    reason: str
    #: Whether a replacement is to be sooner than what was sent already.
    cancelling: bool
    created_at: datetime
    changed_at: datetime


class Requested(msgspec.Struct, frozen=True):
    """A withdrawal, and whether this answers a repeated request."""

    withdrawal: Withdrawal
    replayed: bool = False


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What a withdrawal would cost, in its own asset, but for `house_fee`."""

    chain: str
    asset: str
    address: str
    memo: str | None
    amount: int
    service_fee: int
    network_fee: int
    #: The network fee of a token, in the chain's own coin, which the house pays.
    house_fee: int
    opening: int
    #: All that leaves the account at most.
    takes: int
    #: How old the chain's word about fees is, and whether it is older than it should be.
    age_s: float
    stale: bool

    @property
    def fees(self) -> int:
        """What is charged for it at most."""
        return self.network_fee + self.service_fee


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What a withdrawal costs at one speed, in its own asset, but for `house_fee`."""

    speed: Speed
    network_fee: str
    service_fee: str
    arrives: str
    #: All that leaves the wallet at most.
    takes: str
    #: The network fee of a token, in the chain's own coin: the house pays it.
    house_fee: str


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """What a withdrawal costs at each speed."""

    chain: str
    asset: str
    #: The chain's own.
    coin: str
    to: str
    memo: str | None
    offers: list[Offer]
    age_s: float
    stale: bool


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """What the house takes from an amount on, both in decimal text of the asset's display unit."""

    above: str = "0"
    flat: str = "0"
    per_mille: int = 0


class WithdrawalTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for withdrawals on one chain. Amounts are decimal text in their asset's display unit."""

    #: A transaction in so many blocks is final.
    confirmations: int = 1
    address_wait: timedelta = ADDRESS_WAIT
    #: So many payments fit one transaction; only chains of the model `coins` take more than one.
    batch_max: int = 50
    #: The most that the house pays for the network fee of one transaction with a token, in the chain's own coin.
    house_fee_max: str = "0"
    #: So many transactions of one source wait for a block at a time: nodes keep no more (geth's pool: 64).
    living_max: int = 60
    #: So many channels are to be open, which give transactions their numbers in parallel; of a chain that has them.
    channels: int = 0
    #: What the account of a channel is given when it is opened. Empty: the chain has none.
    channel_reserve: str = ""
    #: So many accounts for durable nonces are to be open, of a chain that has them and whose keys are elsewhere.
    durable_nonces: int = 0
    #: What lies at a deposit's address is swept when it is more than so many times the fee of that.
    sweep_worth: int = 10
    #: Of tokens, by asset: less than this is not swept. Others are not swept at all.
    sweep_minimum: Mapping[str, str] = msgspec.field(default_factory=dict)
    #: What the house takes, by asset; nothing of others.
    service_fees: Mapping[str, Sequence[Tier]] = msgspec.field(default_factory=dict)
    #: Less is not sent, by asset.
    minimum: Mapping[str, str] = msgspec.field(default_factory=dict)
    #: Where the house keeps what it need not have at hand.
    treasury: TreasuryTerms = TreasuryTerms()
