"""An envelope of Stellar that others sign, and everything that is refused when it comes back."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from stellar_sdk import (
    Asset,
    BumpSequence,
    FeeBumpTransaction,
    FeeBumpTransactionEnvelope,
    Keypair,
    MuxedAccount,
    Payment,
    Preconditions,
    TimeBounds,
    Transaction,
    TransactionEnvelope,
)
from stellar_sdk.operation import Operation

from billfold.chains import errors
from billfold.chains.port import Network
from billfold.chains.stellar import outside
from billfold.chains.stellar.networks import PASSPHRASES

HOT, CHANNEL, STRANGER = (Keypair.from_raw_ed25519_seed(bytes([number] * 32)) for number in (1, 2, 3))
THERE = STRANGER.public_key


def envelope(
    *operations: Operation,
    source: Keypair = HOT,
    fee: int = 400,
    number: int = 5,
    network: Network = "test",
    **told: Any,
) -> FeeBumpTransactionEnvelope:
    """As `building` makes it, unless told otherwise."""
    usual: dict[str, Any] = {"destination": THERE, "asset": Asset.native(), "amount": "1.5", "source": HOT.public_key}
    conditions = Preconditions(time_bounds=TimeBounds(1, 2_000_000_000))
    transaction = Transaction(
        source.public_key, number, 0, list(operations) or [Payment(**usual | told)], None, conditions
    )
    inner = TransactionEnvelope(transaction, PASSPHRASES[network])
    return FeeBumpTransactionEnvelope(FeeBumpTransaction(HOT.public_key, fee, inner), PASSPHRASES[network])


def bytes_of(made: FeeBumpTransactionEnvelope) -> bytes:
    return made.to_xdr_object().to_xdr_bytes()


def signed(
    made: FeeBumpTransactionEnvelope, *, within: tuple[Keypair, ...] = (HOT,), around: tuple[Keypair, ...] = (HOT,)
) -> str:
    for pair in within:
        made.transaction.inner_transaction_envelope.sign(pair)
    for pair in around:
        made.sign(pair)
    return made.to_xdr()


def inner() -> TransactionEnvelope:
    return envelope().transaction.inner_transaction_envelope


GOOD = bytes_of(envelope())


def test_what_another_library_signs_is_taken_as_it_is() -> None:
    shown = outside.shown(GOOD, network="test", public=None, places={})
    theirs = FeeBumpTransactionEnvelope.from_xdr(shown, PASSPHRASES["test"])
    text = signed(theirs)
    found = outside.accepted(GOOD, text, network="test")
    assert base64.b64encode(found.raw).decode() == text
    assert found.chain_tx == theirs.hash_hex()


def test_a_channel_signs_what_it_gives_its_number_to() -> None:
    made = envelope(source=CHANNEL)
    payload = bytes_of(made)
    assert outside.accepted(payload, signed(made, within=(HOT, CHANNEL)), network="test").chain_tx
    with pytest.raises(errors.SignatureMissing):
        outside.accepted(payload, signed(envelope(source=CHANNEL)), network="test")
    cancelling = envelope(BumpSequence(0), source=CHANNEL)
    alone = bytes_of(cancelling)
    assert outside.accepted(alone, signed(cancelling, within=(CHANNEL,)), network="test").chain_tx


def test_there_is_no_public_key_and_only_accounts_are_listed() -> None:
    with pytest.raises(errors.PublicKeyInvalid):
        outside.checked(THERE, network="main")
    assert outside.listed(THERE, network="main") == THERE
    for text in (STRANGER.secret, THERE[:-1], MuxedAccount(THERE, 5).account_muxed or ""):
        with pytest.raises(errors.AddressInvalid) as refused:
            outside.listed(text, network="main")
        assert STRANGER.secret not in str(refused.value)


def twice() -> str:
    made = envelope()
    signed(made)
    made.signatures *= 2
    return made.to_xdr()


REFUSED: dict[str, tuple[Callable[[], str], type[errors.ChainError]]] = {
    "nothing": (lambda: "", errors.SignedUnreadable),
    "no base64": (lambda: "§§§", errors.SignedUnreadable),
    "no envelope": (lambda: base64.b64encode(b"\0" * 200).decode(), errors.SignedUnreadable),
    "one byte more": (
        lambda: base64.b64encode(base64.b64decode(signed(envelope())) + b"\0").decode(),
        errors.SignedUnreadable,
    ),
    "no fee bump": (lambda: f"{inner().to_xdr()}", errors.SignedUnreadable),
    "another destination": (lambda: signed(envelope(destination=HOT.public_key)), errors.SignedDiffers),
    "another amount": (lambda: signed(envelope(amount="1.6")), errors.SignedDiffers),
    "another fee": (lambda: signed(envelope(fee=401)), errors.SignedDiffers),
    "another number": (lambda: signed(envelope(number=6)), errors.SignedDiffers),
    "not signed": (lambda: envelope().to_xdr(), errors.SignatureMissing),
    "signed outside alone": (lambda: signed(envelope(), within=()), errors.SignatureMissing),
    "signed within alone": (lambda: signed(envelope(), around=()), errors.SignatureMissing),
    "a stranger's key": (lambda: signed(envelope(), around=(STRANGER,)), errors.SignatureWrong),
    "a stranger's key within": (lambda: signed(envelope(), within=(STRANGER,)), errors.SignatureWrong),
    "one signature too many": (lambda: signed(envelope(), around=(HOT, STRANGER)), errors.SignatureWrong),
    "the same twice": (twice, errors.SignatureWrong),
    "another network": (lambda: signed(envelope(network="main")), errors.SignatureWrong),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_exactly_that_is_refused(name: str) -> None:
    made, refusal = REFUSED[name]
    with pytest.raises(refusal):
        outside.accepted(GOOD, made(), network="test")
