"""What money is counted in."""

from __future__ import annotations

from typing import Literal

import msgspec

AssetKind = Literal["fiat", "native", "token"]


class Asset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A currency or token. Immutable once money exists in it: its scale gives every stored integer its meaning."""

    #: Upper-case code, such as USD, BTC or USDC.
    code: str
    #: Decimals between the display unit and the smallest unit: USD 2, BTC 8, ETH 18.
    scale: int
    kind: AssetKind
    name: str
    #: The chain that carries it (native and token), and the contract, mint or issuer (token).
    chain: str | None = None
    contract: str | None = None
