"""Ethereum with its keys elsewhere: what EIP-2718 has signed goes out in hexadecimal, the transaction comes back.

All is below one account, m/44'/60'/account': deposits at …/0/i, the house's own at …/1/i.
"""

from __future__ import annotations

from collections.abc import Mapping

import coincurve
from eth_utils import crypto

from billfold.chains import errors, extended
from billfold.chains.ethereum import addresses as forms
from billfold.chains.ethereum import transactions
from billfold.chains.outside_port import Form, PublicKey
from billfold.chains.port import Network, Signed
from billfold.chains.signing_port import Place, Purpose

FORM: Form = "eip1559"
#: A number stays good until a block has another transaction with it.
EXPIRES = False
_XPUB = bytes.fromhex("0488b21e")
_BRANCHES: dict[Purpose, int] = {"deposit": 0, "hot": 1}
#: The order of the curve (SEC 2, secp256k1). Of two signatures the one with the lower half counts (EIP-2).
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def checked(public: str, *, network: Network) -> str:  # noqa: ARG001 - the same on every network
    """The public key of an account.

    Raises:
        PublicKeyInvalid.
    """
    if extended.read(public).version != _XPUB:
        raise errors.PublicKeyInvalid("Here a key of BIP-44 is wanted, which begins with xpub.")
    return public.strip()


def path(public: str, place: Place, *, network: Network) -> str:  # noqa: ARG001 - the same on every network
    """The derivation path."""
    return f"m/44'/60'/{extended.read(public).number}'/{_branch(place.purpose)}/{place.index}"


def addresses(public: str, *, purpose: Purpose, first: int, count: int, network: Network) -> list[str]:  # noqa: ARG001
    """The addresses of `count` places in a row."""
    account, branch = extended.read(public), _branch(purpose)
    keys = (extended.descendant(account, branch, first + number) for number in range(count))
    return [forms.of_public_key(coincurve.PublicKey(key).format(compressed=False)) for key in keys]


def listed(text: str, *, network: Network) -> str:  # noqa: ARG001 - the same on every network
    """An address with its checksum.

    Raises:
        AddressInvalid: also of one that has no checksum, where a mistyped one would not be found.
    """
    found = forms.canonical(text)
    if text.strip() != found:
        raise errors.AddressInvalid("The address has no checksum, which is in the case of its letters (EIP-55).")
    return found


def shown(payload: bytes, *, network: Network, public: PublicKey | None, places: Mapping[str, Place]) -> str:  # noqa: ARG001
    """What is signed."""
    return "0x" + payload[forms.BYTES :].hex()


def accepted(payload: bytes, signed: str, *, network: Network) -> Signed:  # noqa: ARG001 - the chain's id is in it
    """A signed transaction in hexadecimal.

    Raises:
        SignedUnreadable, SignedDiffers, SignatureWrong.
    """
    try:
        raw = bytes.fromhex(signed.strip().removeprefix("0x")[: 2 * transactions.PAYLOAD_MAX + 2])
        call, parity, r, s = transactions.decode_signature(raw)
    except ValueError as error:
        raise errors.SignedUnreadable(f"This is no signed transaction of type 2 in hexadecimal: {error}.") from error
    unsigned = payload[forms.BYTES :]
    if transactions.encode(call) != unsigned:
        raise errors.SignedDiffers
    if parity > 1 or not 0 < r < _ORDER or not 0 < s <= _ORDER // 2:
        raise errors.SignatureWrong("The signature is not in the one form that nodes take (EIP-2).")
    if _signer(unsigned, parity, r, s) != forms.checksummed(payload[: forms.BYTES]):
        raise errors.SignatureWrong("The transaction is signed by another key than that of the address that pays.")
    return Signed(raw=raw, chain_tx=transactions.hash_of(raw))


def named(payload: bytes) -> str | None:  # noqa: ARG001 - as every chain has it
    """None: the signature is part of the hash."""
    return None


def _branch(purpose: Purpose) -> int:
    if purpose not in _BRANCHES:
        raise errors.AddressInvalid(f"Ethereum has no addresses for {purpose}.")
    return _BRANCHES[purpose]


def _signer(unsigned: bytes, parity: int, r: int, s: int) -> str | None:
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([parity])
    try:
        key = coincurve.PublicKey.from_signature_and_message(signature, crypto.keccak(unsigned), hasher=None)
    except Exception:  # noqa: BLE001 - the library raises that itself, where no key has made it
        return None
    return forms.of_public_key(key.format(compressed=False))
