"""What custody asks of a chain whose keys are elsewhere: addresses without a signer, and signatures that others made.

Each chain's package has a module `outside` with these. Nothing here makes a key or a signature: it derives from public
keys, writes what is to be signed as other people's programs want it, and holds what comes back against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

from billfold.chains.port import Network, Signed
from billfold.chains.signing_port import Place, Purpose

#: In what form it is handed out: a PSBT in base64, what EIP-2718 has signed in hexadecimal, a message of version 0 in
#: base64, an envelope of XDR in base64.
Form = Literal["psbt", "eip1559", "solana_message", "stellar_xdr"]


class PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    """The public key of an account, as it was imported."""

    text: str
    #: Of the master key, 8 hexadecimal digits, by which a hardware wallet knows its own; None where it was not told.
    fingerprint: str | None


class Outside(Protocol):
    """The module `outside` of a chain."""

    FORM: Form
    #: Whether what is handed out can't happen any more after a while.
    EXPIRES: bool

    def checked(self, public: str, *, network: Network) -> str:
        """The public key of an account in its one form.

        Raises:
            PublicKeyInvalid: it is none of this chain's and network's, or the chain has no such thing.
        """
        ...

    def path(self, public: str, place: Place, *, network: Network) -> str:
        """Where the key of a place is, such as m/84'/0'/0'/0/7."""
        ...

    def addresses(self, public: str, *, purpose: Purpose, first: int, count: int, network: Network) -> list[str]:
        """The addresses of `count` places in a row.

        Raises:
            AddressInvalid: there are no such places.
        """
        ...

    def listed(self, text: str, *, network: Network) -> str:
        """An address of a list in its one form.

        Raises:
            AddressInvalid: it is none of this chain's and network's, or none that we could pay from.
        """
        ...

    def shown(self, payload: bytes, *, network: Network, public: PublicKey | None, places: Mapping[str, Place]) -> str:
        """What was built, as it is handed out; `places` are those of addresses in it that come from `public`."""
        ...

    def accepted(self, payload: bytes, signed: str, *, network: Network) -> Signed:
        """What was handed in, made of nothing but what was built and the signatures for that.

        Raises:
            SignedUnreadable, SignedDiffers, SignatureMissing, SignatureWrong.
        """
        ...

    def named(self, payload: bytes) -> str | None:
        """The id under which the chain will know it; None where that comes from the signatures."""
        ...
