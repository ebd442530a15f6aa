"""Where money that is sent to an alias arrives."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from billfold.wallets.contracts.fields import WalletId

#: Whoever has more assets than these leaves most of them to one wallet.
ALIAS_ASSETS_MAX = 50

_Default = Annotated[
    WalletId | None,
    Meta(
        description="The wallet for every asset that has none of its own here. Without it: your oldest open wallet.",
        examples=["019aa2c6-7a00-7000-8000-00000000a001"],
    ),
]


class NewAliasWallets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where money for an alias is to arrive. It replaces what was said before."""

    wallet: _Default = None
    by_asset: Annotated[
        dict[str, WalletId],
        Meta(
            description="The wallet for each of these assets, by the asset's code.",
            examples=[{"BTC": "019aa2c6-7a00-7000-8000-00000000a002"}],
            max_length=ALIAS_ASSETS_MAX,
        ),
    ] = msgspec.field(default_factory=dict)


class AliasWallets(msgspec.Struct, frozen=True, kw_only=True):
    """Where money for an alias arrives."""

    alias: str
    wallet: _Default
    by_asset: Mapping[str, str]
