"""Stellar with its keys elsewhere: an envelope goes out as XDR in base64, and comes back signed.

It is a fee bump, so it takes signatures on two levels: first on the transaction within, of its source and of who pays,
then on the fee bump, whose hash covers those.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from stellar_sdk import FeeBumpTransactionEnvelope, Keypair
from stellar_sdk.decorated_signature import DecoratedSignature
from stellar_sdk.exceptions import BadSignatureError, SdkError
from xdrlib3 import Error as XdrError

from billfold.chains import errors
from billfold.chains.hardened import addresses, checked, path
from billfold.chains.outside_port import Form, PublicKey
from billfold.chains.port import Network, Signed
from billfold.chains.signing_port import Place
from billfold.chains.stellar import addresses as forms
from billfold.chains.stellar.networks import PASSPHRASES

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

FORM: Form = "stellar_xdr"
#: It has time bounds.
EXPIRES = True
#: As much as the signer takes, in base64, with room for signatures.
_TEXT_MAX = 64 * 1024


def listed(text: str, *, network: Network) -> str:  # noqa: ARG001 - an address is the same on every network
    """The address of an account.

    Raises:
        AddressInvalid.
    """
    found, number = forms.canonical(text)
    if number is not None:
        raise errors.AddressInvalid("There is a number in this address; the account's own, which begins with G, is.")
    return found


def shown(payload: bytes, *, network: Network, public: PublicKey | None, places: Mapping[str, Place]) -> str:  # noqa: ARG001
    """The envelope."""
    return base64.b64encode(payload).decode()


def accepted(payload: bytes, signed: str, *, network: Network) -> Signed:
    """The same envelope with its signatures, no more and no less.

    Raises:
        SignedUnreadable, SignedDiffers, SignatureMissing, SignatureWrong.
    """
    envelope = _envelope(signed, network)
    if _bare(signed, network) != payload:
        raise errors.SignedDiffers
    inner = envelope.transaction.inner_transaction_envelope
    within = [inner.transaction.source, *(each.source for each in inner.transaction.operations)]
    sources = dict.fromkeys(each.account_id for each in within if each is not None)
    _signed_by(list(sources), inner.signatures, inner.hash(), "the transaction within the fee bump")
    payer = envelope.transaction.fee_source.account_id
    _signed_by([payer], envelope.signatures, envelope.hash(), "the fee bump")
    return Signed(raw=envelope.to_xdr_object().to_xdr_bytes(), chain_tx=envelope.hash().hex())


def named(payload: bytes) -> str | None:  # noqa: ARG001 - as every chain has it
    """None: signatures within are part of what the fee bump's hash covers."""
    return None


def _envelope(text: str, network: Network) -> FeeBumpTransactionEnvelope:
    text = text.strip()
    try:
        given = base64.b64decode(text[:_TEXT_MAX], validate=True)
        if not FeeBumpTransactionEnvelope.is_fee_bump_transaction_envelope(text[:_TEXT_MAX]):
            raise errors.SignedUnreadable("This is no fee bump, and it was one that was handed out.")
        found = FeeBumpTransactionEnvelope.from_xdr(text[:_TEXT_MAX], PASSPHRASES[network])
        again = found.to_xdr_object().to_xdr_bytes()
    except _STUMBLES as error:
        raise errors.SignedUnreadable("This is no envelope of Stellar in XDR, as base64.") from error
    if again != given:
        raise errors.SignedUnreadable("The envelope has bytes that mean nothing.")
    return found


def _bare(text: str, network: Network) -> bytes:
    """The envelope without its signatures."""
    envelope = _envelope(text, network)
    envelope.signatures = []
    envelope.transaction.inner_transaction_envelope.signatures = []
    return envelope.to_xdr_object().to_xdr_bytes()


def _signed_by(accounts: list[str], signatures: Sequence[DecoratedSignature], digest: bytes, what: str) -> None:
    """Pass if each account has signed once, and nobody else."""
    if len(signatures) < len(accounts):
        raise errors.SignatureMissing(f"Of {what} {len(accounts) - len(signatures)} signatures are missing.")
    waiting = list(accounts)
    for one in signatures:
        by = next((each for each in waiting if _verified(each, one, digest)), None)
        if by is None:
            raise errors.SignatureWrong(f"A signature of {what} is of another key, transaction or network.")
        waiting.remove(by)


def _verified(account: str, signature: DecoratedSignature, digest: bytes) -> bool:
    pair = Keypair.from_public_key(account)
    try:
        pair.verify(digest, signature.signature)
    except BadSignatureError:
        return False
    return pair.signature_hint() == signature.signature_hint


_STUMBLES = (
    *(ValueError, KeyError, TypeError, EOFError, NotImplementedError, AssertionError),
    *(SdkError, XdrError),
)
