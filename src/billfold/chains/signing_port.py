"""What the signer asks of a chain: keys from a seed, and signatures for transactions that it has read itself.

Each chain's package has a module `keys` and a module `signing` with these; only the signer imports them. A seed is the
64 bytes that BIP-39 makes of a mnemonic. Nothing here keeps a seed or a private key, or shows one in an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from billfold.chains.port import Network, Payment, Signed

#: What an address is for. `hot` pays withdrawals (index 0 is the omnibus that deposits are swept to); `deposit` is
#: shown to one wallet's holder; `change` takes what is left of coins; `channel` gives Stellar its sequence numbers.
Purpose = Literal["hot", "deposit", "change", "channel"]


class Place(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Where in the tree of a seed's keys a key is; the chain's `keys` says which path that is."""

    purpose: Purpose
    index: int


class Keys(Protocol):
    """The module `keys` of a chain."""

    def path(self, place: Place, *, network: Network) -> str:
        """The derivation path, such as m/84'/0'/0'/0/7."""
        ...

    def addresses(self, seed: bytes, *, purpose: Purpose, first: int, count: int, network: Network) -> list[str]:
        """The addresses of `count` places in a row."""
        ...

    def public(self, seed: bytes, *, network: Network) -> str | None:
        """What derives all addresses and no key (xpub and the like); None where the chain's curve has no such thing."""
        ...


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction does, read from its bytes alone by the code that signs it."""

    #: Whose signatures it takes, by address.
    sources: Sequence[str]
    #: Everything that it pays, change too. Of `memo` and `token` as in a Payment.
    payments: Sequence[Payment]
    #: The most that it can cost, in the chain's own coin.
    fee_max: int
    #: Such as `pay`, `cancel` (pays nothing), `open` (makes a token account or trustline).
    kind: str = "pay"


class Signing(Protocol):
    """The module `signing` of a chain."""

    def read(self, payload: bytes, *, network: Network) -> Shown:
        """What it does.

        Raises:
            PayloadRefused: it is not understood to the last byte, or is of another chain or network.
        """
        ...

    def sign(self, payload: bytes, seed: bytes, *, places: Mapping[str, Place], network: Network) -> Signed:
        """The signed transaction; `places` has the key of each source by its address.

        Raises:
            PayloadRefused: also where a place does not have the address that it is given for.
        """
        ...

    def destination(self, text: str, *, network: Network) -> str:
        """An address as `read` shows it where it is paid.

        Raises:
            AddressInvalid: nothing of this chain and network is paid there.
        """
        ...

    def claim(self, text: str, seed: bytes, *, address: str, place: Place, network: Network) -> str:
        """The sentence of a Claim, signed by the key of an address in a form that is no transaction of the chain.

        Raises:
            PayloadRefused: the place does not have this address.
        """
        ...
