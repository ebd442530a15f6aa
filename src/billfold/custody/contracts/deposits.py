"""Deposits, addresses and chains, as callers see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from billfold.chains.port import Network
from billfold.kernel.money import Money

#: What a depositor is told. A deposit is `detected` from the first sight of it, also without a block.
DepositState = Literal["detected", "credited", "releasable", "reverted"]
#: Why a deposit with all its confirmations is not credited yet.
Waits = Literal["below_minimum", "account_frozen", "balance_too_large"]
OpeningState = Literal["waiting", "opening", "open"]
ChainStatus = Literal["starting", "reading", "behind", "silent", "halted"]
Verdict = Literal[
    "not_seen",
    "pending",
    "waiting",
    "below_minimum",
    "held_up",
    "credited",
    "releasable",
    "reverted",
    "unmatched",
    "refunded",
    "ignored",
]

#: Looking after chains, and after money of nobody known.
OPERATOR = "operator"
READ = "wallets:read"
#: So many channels are enough: a ledger of Stellar has a place for some hundred transactions of everybody.
CHANNELS_MAX = 100
#: Sending money out; of everybody's, together with the one above.
WITHDRAW = "withdrawals:write"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the deposits of a chain."""

    #: Confirmations with which one is credited, and with which it may leave on a chain again.
    credit_after: int
    release_after: int
    #: More blocks than this are taken back by an operator's word alone.
    reorg_limit: int
    #: The least that is credited at once, by asset, as decimal text.
    minimum: Mapping[str, str] = msgspec.field(default_factory=dict)


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What the house needs on a chain and has to have opened before it can use it."""

    kind: Literal["channel", "nonce", "trustline"]
    #: The address of the channel or of the nonce's account, or the token.
    subject: str
    state: OpeningState
    #: Why it waits.
    reason: str


class ChainState(msgspec.Struct, frozen=True, kw_only=True):
    """A chain as it is read now."""

    id: str
    network: Network
    #: The code of its own coin.
    coin: str
    status: ChainStatus
    #: The last block that was read; None before the first.
    height: int | None
    #: The last block that the nodes know, and how many are still to be read.
    head: int | None
    lag: int | None
    #: When the last block was read was made.
    block_time: datetime | None
    #: Confirmations with which a deposit is credited, and with which it may leave on a chain again.
    credit_after: int
    release_after: int
    #: Of one that is halted: why.
    halted: str | None = None
    halted_detail: str | None = None
    #: From this block on the nodes do not show all that blocks move: of Ethereum, coin that contracts pay on.
    partial_from: int | None = None
    #: Of Stellar the channels that withdrawals are sent through, and the trustlines of the house; of Solana the
    #: accounts for durable nonces.
    openings: Sequence[Opening] = ()


class DepositAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where money for a wallet goes on a chain."""

    chain: str
    network: Network
    address: str
    #: Without it nobody knows whose money it is; None where the address says it all.
    memo: str | None
    #: Address and memo in one, for senders that know such addresses.
    muxed: str | None
    #: What a wallet program opens: BIP-21, EIP-681, Solana Pay, SEP-7.
    uri: str
    #: Whether it is the one to show. Older ones stay good for ever.
    current: bool
    created_at: datetime


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """Where what has arrived for nobody known is to be sent, by whose word."""

    address: str
    memo: str | None
    asked_by: UUID
    reason: str


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """How what has arrived for nobody known is sent back."""

    #: What arrives: the deposit less the network fee, at most a quarter more than it is estimated.
    money: Money
    to: str
    memo: str | None
    #: As of any withdrawal: `held`, `sent`, `mined`, `settled` … After `failed` it is nobody's again.
    status: str
    #: The transaction that pays it.
    chain_tx: str | None
    #: How the operator knows.
    reason: str
    #: Why it waits, or failed.
    waits: str


class Deposit(msgspec.Struct, frozen=True, kw_only=True):
    """Money that arrived on a chain."""

    id: UUID
    chain: str
    #: The transaction, and the place in it.
    chain_tx: str
    index: str
    wallet_id: UUID | None
    address: str
    memo: str | None
    money: Money
    state: DepositState
    #: How many blocks have confirmed it; 0 while none has it.
    confirmations: int
    credit_after: int
    release_after: int
    height: int | None
    sender: str | None
    waits: str | None
    detected_at: datetime
    credited_at: datetime | None
    releasable_at: datetime | None
    reverted_at: datetime | None
    #: The transfer that has credited it.
    transfer_id: UUID | None
    #: Of one that nobody is known to own: how it was sent back last, or is.
    refund: Refund | None = None


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one thing that a transaction did."""

    verdict: Verdict
    #: A sentence for whoever asks.
    why: str
    chain: str | None = None
    deposit: Deposit | None = None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a transaction's money is where it is."""

    chain_tx: str
    found: list[Explained]
