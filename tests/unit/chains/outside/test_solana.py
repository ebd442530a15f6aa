"""A message of Solana that others sign, and everything that is refused when it comes back."""

from __future__ import annotations

import base64
from collections.abc import Callable

import msgspec
import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import from_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from billfold.chains import errors
from billfold.chains.solana import orders, outside, sweeps

PAYER = Keypair.from_seed(bytes([4] * 32))
OTHER = str(Keypair.from_seed(bytes([5] * 32)).pubkey())
ORDER = orders.Order(
    payer=str(PAYER.pubkey()),
    blockhash=str(Hash(bytes([7] * 32))),
    units=2_000,
    micro_lamports=5,
    pays=(orders.Pay(address=OTHER, amount=9),),
)
GOOD = orders.message(ORDER)
MINE = str(PAYER.pubkey())


def signed(message: bytes = GOOD, signature: Signature | None = None) -> str:
    read = from_bytes_versioned(message)
    made = VersionedTransaction.populate(read, [signature or PAYER.sign_message(message)])
    return base64.b64encode(bytes(made)).decode()


def of(**other: object) -> bytes:
    return orders.message(msgspec.structs.replace(ORDER, **other))


def test_what_another_library_signs_is_taken_as_it_is() -> None:
    message = from_bytes_versioned(base64.b64decode(outside.shown(GOOD, network="main", public=None, places={})))
    theirs = VersionedTransaction(message, [PAYER])
    found = outside.accepted(GOOD, base64.b64encode(bytes(theirs)).decode(), network="main")
    assert (found.raw, found.chain_tx) == (bytes(theirs), str(theirs.signatures[0]))


def test_there_is_no_public_key_and_only_addresses_of_keys_are_listed() -> None:
    with pytest.raises(errors.PublicKeyInvalid):
        outside.checked(OTHER, network="main")
    assert outside.listed(OTHER, network="main") == OTHER
    program, _ = Pubkey.find_program_address([b"x"], PAYER.pubkey())
    for text in (str(program), OTHER[:-1], "0" + OTHER[1:]):
        with pytest.raises(errors.AddressInvalid):
            outside.listed(text, network="main")


REFUSED: dict[str, tuple[Callable[[], str], type[errors.ChainError]]] = {
    "nothing": (lambda: "", errors.SignedUnreadable),
    "no base64": (lambda: "§§§", errors.SignedUnreadable),
    "the message alone": (lambda: base64.b64encode(GOOD).decode(), errors.SignedUnreadable),
    "one byte more": (
        lambda: base64.b64encode(base64.b64decode(signed()) + b"\0").decode(),
        errors.SignedUnreadable,
    ),
    "another destination": (lambda: signed(of(pays=(orders.Pay(address=MINE, amount=9),))), errors.SignedDiffers),
    "another amount": (lambda: signed(of(pays=(orders.Pay(address=OTHER, amount=10),))), errors.SignedDiffers),
    "another fee": (lambda: signed(of(micro_lamports=6)), errors.SignedDiffers),
    "another recent block": (lambda: signed(of(blockhash=str(Hash(bytes([8] * 32))))), errors.SignedDiffers),
    "not signed": (lambda: signed(signature=Signature.default()), errors.SignatureMissing),
    "a stranger's key": (
        lambda: signed(signature=Keypair.from_seed(bytes([5] * 32)).sign_message(GOOD)),
        errors.SignatureWrong,
    ),
    "a signature of something else": (
        lambda: signed(signature=PAYER.sign_message(GOOD + b"\0")),
        errors.SignatureWrong,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_exactly_that_is_refused(name: str) -> None:
    made, refusal = REFUSED[name]
    with pytest.raises(refusal):
        outside.accepted(GOOD, made(), network="main")


OWNER = Keypair.from_seed(bytes([6] * 32))
SWEPT = sweeps.message(
    sweeps.Sweep(
        payer=MINE,
        owner=str(OWNER.pubkey()),
        token=OTHER,
        amount=9,
        decimals=6,
        opens=True,
        blockhash=ORDER.blockhash,
        units=2_000,
        micro_lamports=5,
    )
)


def signed_by(*signatures: Signature) -> str:
    made = VersionedTransaction.populate(from_bytes_versioned(SWEPT), list(signatures))
    return base64.b64encode(bytes(made)).decode()


def test_a_sweep_takes_the_signatures_of_its_payer_and_its_owner() -> None:
    payer, owner = PAYER.sign_message(SWEPT), OWNER.sign_message(SWEPT)
    assert outside.accepted(SWEPT, signed_by(payer, owner), network="main").chain_tx == str(payer)
    with pytest.raises(errors.SignatureMissing):
        outside.accepted(SWEPT, signed_by(payer, Signature.default()), network="main")
    for wrong in ((owner, payer), (payer, payer)):
        with pytest.raises(errors.SignatureWrong):
            outside.accepted(SWEPT, signed_by(*wrong), network="main")
