"""Solana with its keys elsewhere: a message of version 0 goes out in base64, the signed transaction comes back."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from billfold.chains import errors
from billfold.chains.hardened import addresses, checked, path
from billfold.chains.outside_port import Form, PublicKey
from billfold.chains.port import Network, Signed
from billfold.chains.signing_port import Place
from billfold.chains.solana import addresses as forms
from billfold.chains.solana import orders

__all__ = [
    "EXPIRES",
    "FORM",
    "accepted",
    "addresses",
    "checked",
    "listed",
    "named",
    "path",
    "shown",
]

FORM: Form = "solana_message"
#: Its recent block counts for 150 blocks, about a minute.
EXPIRES = True


def listed(text: str, *, network: Network) -> str:  # noqa: ARG001 - an address is the same on every network
    """An address that a key has.

    Raises:
        AddressInvalid.
    """
    found = forms.canonical(text)
    if not Pubkey.from_string(found).is_on_curve():
        raise errors.AddressInvalid("No key has this address, so nothing could be paid from it.")
    return found


def shown(payload: bytes, *, network: Network, public: PublicKey | None, places: Mapping[str, Place]) -> str:  # noqa: ARG001
    """What is signed."""
    return base64.b64encode(payload).decode()


def accepted(payload: bytes, signed: str, *, network: Network) -> Signed:  # noqa: ARG001 - its recent block says which
    """A signed transaction in base64.

    Raises:
        SignedUnreadable, SignedDiffers, SignatureMissing, SignatureWrong.
    """
    try:
        raw = base64.b64decode(signed.strip()[: 2 * orders.BYTES_MAX], validate=True)
        given = VersionedTransaction.from_bytes(raw)
        same, signatures = to_bytes_versioned(given.message) == payload, given.signatures
        # One of several forms of the same bytes would have another length on its way.
        exact = bytes(given) == raw
    except ValueError as error:
        raise errors.SignedUnreadable("This is no signed transaction of Solana in base64.") from error
    if not exact:
        raise errors.SignedUnreadable("There is more than a transaction.")
    if not same:
        raise errors.SignedDiffers
    if not signatures or Signature.default() in signatures:
        raise errors.SignatureMissing
    # Who signs stands first among the keys, in the order of the signatures.
    keys = given.message.account_keys[: given.message.header.num_required_signatures]
    if len(signatures) != len(keys):
        raise errors.SignatureWrong
    if not all(signature.verify(key, payload) for signature, key in zip(signatures, keys, strict=True)):
        raise errors.SignatureWrong
    return Signed(raw=raw, chain_tx=str(signatures[0]))


def named(payload: bytes) -> str | None:  # noqa: ARG001 - as every chain has it
    """None: the signature is the id."""
    return None
