"""What custody asks of a chain, one narrow protocol for each concern, and the data that cross it.

Amounts are whole smallest units of their asset (satoshi, wei, lamport, stroop; a token's own). Heights are block
numbers, slots, or ledger numbers. Addresses, hashes and transaction ids are text in the one form in which the chain's
own tools show them; an adapter never gives two forms of the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Literal, Protocol

import msgspec

#: Which of a chain's networks: that with money in it, the public one for tests, or one of this machine's own.
Network = Literal["main", "test", "sandbox"]
#: What a transaction uses up, so that it can happen only once: coins, the next number of its source, or a recent block.
Model = Literal["coins", "nonce", "recent_block"]
Speed = Literal["slow", "normal", "fast"]
#: So many coins are in what `estimate` says that a transaction costs; each more costs `coin_fee`.
COINS_ESTIMATED = 4


# --- watch -------------------------------------------------------------------------------------------------------


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The last block that a node knows."""

    height: int
    hash: str
    time: datetime


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """Money that arrived at an address, whoever's it is. Only what really took effect is one.

    What an outer success shows and an inner failure took back is none; of a token that keeps a part of each transfer,
    `amount` is what arrived.
    """

    chain_tx: str
    #: Its place in the transaction, by which the same one is never credited twice.
    index: str
    address: str
    #: None is the chain's own coin; else contract, mint, or CODE:ISSUER.
    token: str | None
    amount: int
    #: Of Stellar: the memo as `text:…`, `id:…`, `hash:…`, `return:…`, or the id of a muxed address as `id:…`.
    memo: str | None = None
    #: Who sent it, where the chain says so: to be shown, never to match by.
    sender: str | None = None
    #: Of newly made coins, which can't be spent for so many blocks.
    matures_after: int = 0
    #: Why it is no deposit, whosever the address is: it lies where nothing of ours would take it. A stable word.
    ignored: str | None = None


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """A coin that a transaction of a block has used up; only chains of the model `coins` have them."""

    chain_tx: str
    index: str
    by: str


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One block with all that it moved. `height` may leap over numbers that have no block; `parent` is what counts."""

    height: int
    hash: str
    parent: str
    time: datetime
    movements: Sequence[Movement]
    spent: Sequence[Spent] = ()
    #: Whether it may have moved more than the nodes show: of Ethereum, coin that contracts pay on where none traces.
    #: None: there was nothing to show.
    partial: bool | None = None


class Watch(Protocol):
    """Reads blocks."""

    async def head(self) -> Head:
        """The last block.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        ...

    async def block(self, height: int) -> Block | None:
        """The block at a height on what the node now takes for the main chain; None if that height has none (yet).

        Raises:
            NodeUnavailable, NodeWrong.
        """
        ...

    async def pending(self) -> Sequence[Movement]:
        """Movements that no block has yet, as far as the node shows them; nothing may be credited for them.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        ...


# --- addresses ---------------------------------------------------------------------------------------------------


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """Where money is to go, as the chain knows it now."""

    #: In its one form: of Ethereum with the checksum, of Stellar with the muxed id taken out into `memo`.
    address: str
    memo: str | None = None
    #: Why a payment there would be lost or refused: a stable word, and a sentence. None: nothing speaks against it.
    obstacle: str | None = None
    obstacle_detail: str = ""
    #: Costs of the first payment there beside the fee, in the chain's own coin: rent, reserve. Part of what it takes.
    opening: int = 0


class Addresses(Protocol):
    """Reads addresses as people write them."""

    def canonical(self, text: str) -> tuple[str, str | None]:
        """The address in its one form, and the memo that is part of it.

        Raises:
            AddressInvalid: it is none of this chain's and network's; it says what is wrong.
        """
        ...

    async def examine(self, address: str, *, memo: str | None, token: str | None, amount: int) -> Destination:
        """What would become of a payment.

        Raises:
            AddressInvalid, NodeUnavailable, NodeWrong.
        """
        ...


# --- fees --------------------------------------------------------------------------------------------------------


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """What is offered for a place in a block, in the chain's own numbers, all whole.

    bitcoin: {"sat_per_kvb"}; ethereum: {"max_fee_per_gas", "max_priority_fee_per_gas"} in wei; solana:
    {"micro_lamports"} per compute unit; stellar: {"stroops"} per operation.
    """

    numbers: Mapping[str, int]


class Hastening(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes to get a transaction into a block by a child, which spends a coin of it and pays for both."""

    #: What the transaction pays, of which a coin is to be spent.
    movements: Sequence[Movement]
    #: What the child has to offer for its own place, and what that is in all.
    rate: Rate
    fee: int
    #: A smaller coin leaves nothing worth having.
    least: int
    #: Why there can be no child: a stable word, and a sentence.
    obstacle: str | None = None
    obstacle_detail: str = ""


class Fees(Protocol):
    """Knows what a payment costs."""

    async def rates(self) -> Mapping[Speed, Rate]:
        """What is offered now for three speeds.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        ...

    async def estimate(self, payments: Sequence[Payment], *, source: str, rate: Rate) -> int:
        """The highest network fee of one transaction with these payments, in the chain's own coin.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        ...

    def coin_fee(self, *, rate: Rate) -> int:
        """What it costs to use up one more coin; nothing on chains of other models."""
        ...

    async def hastening(self, chain_tx: str, *, to: str, rate: Rate) -> Hastening | None:
        """What a child takes that gets a transaction at `rate` into a block; None if it does not wait for one.

        Only of the model `coins`. The child spends one coin of it and pays all that is left to the address `to`.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        ...

    async def sponsored(self, owner: str, *, token: str, payer: str, rate: Rate) -> tuple[int, int] | None:
        """How much of a token `payer` can get of `owner`'s, and the highest fee if it pays that; None: it can't here.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        ...

    def raised(self, rate: Rate) -> Rate:
        """The least rate at which nodes take a replacement of a transaction sent at `rate`.

        Raises:
            NotReplaceable: this chain replaces nothing.
        """
        ...


# --- build -------------------------------------------------------------------------------------------------------


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """Something to pay."""

    address: str
    amount: int
    token: str | None = None
    memo: str | None = None


class Coin(msgspec.Struct, frozen=True, kw_only=True):
    """A coin that is ours and not used up."""

    chain_tx: str
    index: str
    address: str
    amount: int


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction uses up, stored before it is built; no two living transactions have the same.

    Of the model `coins`: `coins` and `change`; of `nonce`: `nonce` (Ethereum's nonce, Stellar's sequence number); of
    `recent_block`: `anchor` and `last_height`, after which it can't happen any more; without the latter the anchor is
    a durable nonce, which one transaction uses up whenever it comes. Where `source` is one of Stellar's
    channels, which only gives its number, `change` is the account that pays; where it is one of Solana's owners of a
    token, whose fee somebody else pays, it is that one.
    """

    source: str
    coins: Sequence[Coin] = ()
    change: str | None = None
    nonce: int | None = None
    anchor: str | None = None
    last_height: int | None = None
    #: After this instant it can't happen any more (Stellar's time bounds).
    expires_at: datetime | None = None

    @property
    def endures(self) -> bool:
        """Whether its anchor is a durable nonce: any transaction that has the same one takes its place."""
        return self.anchor is not None and self.last_height is None


class Unsigned(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction without signatures, in the chain's own form for that: PSBT, EIP-2718 payload, message, XDR."""

    payload: bytes
    #: The most that it may cost, in the chain's own coin.
    fee_max: int


class Build(Protocol):
    """Makes transactions. Given the same, it makes the same."""

    async def anchor(self) -> tuple[str, int]:
        """A recent block for an allocation of the model `recent_block`, and the last height at which it counts.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        ...

    async def nonce_accounts(self, source: str, *, count: int) -> Sequence[str]:
        """The first accounts of a source for durable nonces, open or not; none on chains that have no such thing.

        A payment of nothing to one opens it, by a transaction of its own that pays the rent. No node is asked.
        """
        ...

    async def durable_anchor(self, account: str, *, source: str) -> str | None:
        """The nonce of such an account as an anchor without a last height; None: it is not open for that source.

        It begins with a height, then its value and its account, with a colon between each.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        ...

    async def next_nonce(self, source: str) -> int:
        """The next number of a source as the chain has it, with nothing counted that no block has.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        ...

    def choose(self, coins: Sequence[Coin], payments: Sequence[Payment], *, rate: Rate) -> Sequence[Coin]:
        """Which coins to pay with; other models choose none.

        Raises:
            FundsShort: these coins are not enough for the payments and the fee.
        """
        ...

    async def build(self, payments: Sequence[Payment], allocation: Allocation, *, rate: Rate) -> Unsigned:
        """The transaction.

        Raises:
            FundsShort, PaymentInvalid, NodeUnavailable, NodeWrong.
        """
        ...


# --- broadcast and prove -----------------------------------------------------------------------------------------


class Fate(Enum):
    """What has become of a transaction that was signed."""

    #: No node that was asked knows it; it may yet happen.
    UNSEEN = "unseen"
    PENDING = "pending"
    #: A block has it. Whether it did what it should is another question.
    MINED = "mined"
    #: It can never happen: what it uses up was used up by another, or its time is over.
    DEAD = "dead"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A signed transaction as the chain knows it now."""

    fate: Fate
    #: Of one in a block.
    height: int | None = None
    block: str | None = None
    #: Whether it did what it should; a failed one has cost its fee and used up what it uses up.
    succeeded: bool = True
    #: What it cost, in the chain's own coin.
    fee: int | None = None
    #: Why it is dead, or failed.
    reason: str = ""


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent, and the id under which the chain will know it."""

    raw: bytes
    chain_tx: str
    #: What was signed, where whoever looks for it has kept that: Bitcoin's has the transactions that it spends from.
    payload: bytes | None = None


class Sought(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction that others were to sign, and that nobody has handed in, as the chain knows it now."""

    #: None: it may have happened, and the nodes can't say any more whether it has.
    fate: Fate | None
    #: As it is to be looked for from now on, where it was found for good. What a chain does not tell of it is as built.
    signed: Signed | None = None


class Send(Protocol):
    """Hands transactions to nodes and asks what has become of them."""

    async def broadcast(self, signed: Signed) -> None:
        """Hand it over; a node that knows it already is content.

        Raises:
            Refused: every node that answered says it can't be taken; it proves nothing about what was sent before.
            Uncertain: nobody knows whether a node has it.
        """
        ...

    async def find(self, signed: Signed, allocation: Allocation) -> Found:
        """What has become of it. DEAD is said only with proof from the chain's final part.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        ...

    async def seek(self, payload: bytes, allocation: Allocation) -> Sought:
        """What has become of one that others have signed, perhaps, and sent, perhaps. DEAD is said only with proof.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        ...


class Holdings(Protocol):
    """Says what addresses hold."""

    async def balance(self, address: str, *, token: str | None, height: int) -> int:
        """What the address holds after the block at `height`, or as near to it as the node can say.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        ...

    async def missing(self, coins: Sequence[Coin]) -> Sequence[Coin]:
        """Those of these coins that blocks do not have, or have used up. Other models have no coins: none.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        ...


class Chain(Watch, Addresses, Fees, Build, Send, Holdings, Protocol):
    """All of a chain. `open` of the chain's package makes one."""

    #: `bitcoin`, `ethereum`, `solana`, `stellar`.
    name: str
    network: Network
    model: Model
    #: The code of its own coin in the ledger.
    coin: str

    async def check(self) -> None:
        """Pass if the nodes are of this chain and network.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        ...

    async def close(self) -> None:
        """Give up connections."""
        ...
