"""Money that leaves a wallet for an address on a chain."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from billfold.custody.contracts import ADDRESS_MAX, MEMO_MAX, WithdrawalStatus
from billfold.kernel import forms, money
from billfold.kernel.money import Money
from billfold.wallets.contracts.fields import Instant, WalletId

Speed = Annotated[Literal["slow", "normal", "fast"], Meta(description="What is offered for a place in a block.")]
ChainAddress = Annotated[
    str,
    Meta(
        description="The address on the chain of the asset. A Stellar address may have its memo in it.",
        examples=["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"],
        min_length=1,
        max_length=ADDRESS_MAX,
        pattern=forms.NO_NUL,
    ),
]
Memo = Annotated[
    str,
    Meta(description="Of Stellar: text:…, id:…, hash:… or return:…", max_length=MEMO_MAX, pattern=forms.NO_NUL),
]
FeeMax = Annotated[
    str,
    Meta(
        description="The most that network and service fee may be together, in the asset of `money`; what the fees "
        "were said to be, in most cases.",
        examples=["0.00001763"],
        max_length=money.TEXT_MAX,
        pattern=forms.NO_NUL,
    ),
]


class NewChainWithdrawal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to leave. `money` is what arrives; fees come on top."""

    wallet: WalletId
    money: Money
    to: ChainAddress
    memo: Memo | None = None
    speed: Speed = "normal"
    #: Left out where nothing is said, so that a request without it means what it meant before there was one.
    max_fee: FeeMax | msgspec.UnsetType = msgspec.UNSET


class ChainWithdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """A withdrawal to a chain as it is now."""

    id: UUID
    wallet: str
    chain: str
    #: What arrives.
    money: Money
    service_fee: Money
    network_fee: Annotated[Money, Meta(description="The most that is charged for the network; the rest goes back.")]
    fee_paid: Annotated[Money | None, Meta(description="What was charged for the network in the end.")]
    to: str
    memo: str | None
    speed: str
    status: WithdrawalStatus
    chain_tx: Annotated[str | None, Meta(description="The transaction on the chain.")]
    height: Annotated[int | None, Meta(description="The block that has it.")]
    waits_until: Annotated[Instant | None, Meta(description="A new address waits until then.")]
    reason: Annotated[str, Meta(description="Why it waits, or failed.")]
    cancelling: Annotated[bool, Meta(description="Whether it is being tried to be sooner than what was sent.")]
    created_at: Instant
    changed_at: Instant


class SentOut(msgspec.Struct, frozen=True, kw_only=True):
    """A withdrawal, and whether this answers a repeated request."""

    withdrawal: ChainWithdrawal
    replayed: bool = False
