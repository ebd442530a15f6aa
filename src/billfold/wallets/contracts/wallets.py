"""Wallets themselves."""

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from billfold.kernel.money import Money
from billfold.wallets.contracts.fields import CREDIT_LIMITS_MAX, ExternalId, Instant, Metadata, Name, WalletStatus


class NewWallet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A wallet to create."""

    name: Name
    external_id: ExternalId | None = None
    metadata: Metadata = msgspec.field(default_factory=dict)


class WalletChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a wallet; what is left out stays."""

    name: Name | UnsetType = UNSET
    #: Replaces all metadata.
    metadata: Metadata | UnsetType = UNSET


class CreditLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far the available balance of each asset may go below zero. Assets left out keep theirs."""

    credit_limits: Annotated[list[Money], Meta(min_length=1, max_length=CREDIT_LIMITS_MAX)]


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet as it is now."""

    id: str
    owner_id: str
    name: str
    external_id: Annotated[str | None, Meta(description="Your own id for it.")]
    status: Annotated[
        WalletStatus, Meta(description="Nothing enters or leaves a frozen wallet; a closed one is so for ever.")
    ]
    metadata: Mapping[str, str]
    created_at: Instant
    assets: Annotated[list[str], Meta(description="Codes of the assets that it has held.")]
    accounts: Annotated[
        Mapping[str, str], Meta(description="The ledger account of each of these assets, as events name it.")
    ]


class AccountHolder(msgspec.Struct, frozen=True, gc=False):
    """Whose a ledger account is, and which wallet keeps which asset in it."""

    owner_id: UUID
    wallet: str
    asset: str
