"""What callers send where the wallets' contracts differ from it: part of an order stands in the path."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from billfold.kernel import forms
from billfold.kernel.money import Money
from billfold.wallets import contracts
from billfold.wallets.contracts import Description, EffectiveAt, Metadata, Order, PayeeName, Reference, WalletOrAlias

#: In Python $ also matches before a last line feed; this means the same to JSON Schema and to Python.
_END = r"$(?!\n)"
_CODE = forms.pattern(r"^[A-Z0-9._-]{2,20}" + _END, "2 to 20 capital letters, digits, points, hyphens or underscores")
_CHAIN = forms.pattern(r"^[a-z0-9-]+" + _END, "small letters, digits and hyphens")
_CONTRACT = forms.pattern(r"^[!-~]+" + _END, "visible ASCII characters")
_CHAIN_MAX = 40
_NAME_MAX = 100
#: A Stellar asset's issuer with its code is the longest name of a token.
_CONTRACT_MAX = 100


class TransferOrder(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"source": "from", "target": "to"},
):
    """Money to move from one of your wallets to anybody's."""

    source: WalletOrAlias
    target: WalletOrAlias
    payee: PayeeName | None = None
    money: Money
    reference: Reference = ""
    description: Description = ""
    metadata: Metadata = msgspec.field(default_factory=dict)
    effective_at: EffectiveAt = None

    def order(self) -> Order:
        """The order that it stands for."""
        return Order(
            source=self.source,
            target=self.target,
            payee=self.payee,
            money=self.money,
            reference=self.reference,
            description=self.description,
            metadata=self.metadata,
            effective_at=self.effective_at,
        )


class ExternalOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money to move between a wallet and the world outside."""

    money: Money
    reference: Reference = ""
    description: Description = ""
    metadata: Metadata = msgspec.field(default_factory=dict)
    effective_at: EffectiveAt = None

    def deposit(self, wallet: str) -> Order:
        """The order that brings the money into `wallet`."""
        return Order(kind="deposit", target=wallet, **msgspec.structs.asdict(self))

    def withdrawal(self, wallet: str) -> Order:
        """The order that takes the money out of `wallet`."""
        return Order(kind="withdrawal", source=wallet, **msgspec.structs.asdict(self))


class BulkOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Many orders in one request."""

    items: Annotated[list[Order], Meta(min_length=1, max_length=contracts.BULK_MAX)]
    #: Post all or nothing. Otherwise each item that fits is posted.
    atomic: bool = False


class ReversalOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of a transfer to send back; all that is left of it when absent."""

    money: Money | None = None


class NewAsset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An asset to add. It can't be changed: its scale gives every stored amount its meaning."""

    code: Annotated[str, Meta(description="Its code.", examples=["USDC"], pattern=_CODE)]
    scale: Annotated[int, Meta(description="How many decimals it has.", examples=[6], ge=0, le=36)]
    kind: Literal["fiat", "native", "token"]
    name: Annotated[
        str,
        Meta(description="Its name.", examples=["USD Coin"], min_length=1, max_length=_NAME_MAX, pattern=forms.NO_NUL),
    ]
    chain: Annotated[str, Meta(examples=["ethereum"], min_length=1, max_length=_CHAIN_MAX, pattern=_CHAIN)] | None = (
        None
    )
    contract: Annotated[str, Meta(min_length=1, max_length=_CONTRACT_MAX, pattern=_CONTRACT)] | None = None
