"""Sentences signed by the key of an address, in the form `simple` of BIP-322: the witness of a spend that can't happen.

What is spent is an output of a transaction whose own input is no coin (id 0, index 2^32 - 1), so no chain has it.
https://github.com/bitcoin/bips/blob/master/bip-0322.mediawiki
"""

from __future__ import annotations

import base64
import binascii
from hashlib import sha256
from typing import Final, NamedTuple

import coincurve
from embit import hashes
from embit.script import Script, p2pkh_from_p2wpkh
from embit.transaction import Transaction, TransactionInput, TransactionOutput

from billfold.chains import errors
from billfold.chains.bitcoin import addresses
from billfold.chains.port import Network

SIGHASH_ALL: Final = 1
_TAG: Final = sha256(b"BIP0322-signed-message").digest()
_NO_COIN: Final = (bytes(32), 0xFFFFFFFF)
_RETURN: Final = b"\x6a"
#: Two lengths, a signature of at most 72 bytes with its kind of hash, a key of 33: in base64.
_TEXT_MAX: Final = 200
_KEY_BYTES: Final = 33
_PARTS: Final = 2


class Spend(NamedTuple):
    """The two transactions of BIP-322."""

    spent: Transaction
    signed: Transaction


def spend(text: str, script: bytes) -> Spend:
    """Those that stand for a sentence, of the address with this script."""
    digest = sha256(_TAG + _TAG + text.encode()).digest()
    spent = Transaction(
        version=0,
        locktime=0,
        vin=[TransactionInput(*_NO_COIN, script_sig=Script(b"\x00\x20" + digest), sequence=0)],
        vout=[TransactionOutput(0, Script(script))],
    )
    signed = Transaction(
        version=0,
        locktime=0,
        vin=[TransactionInput(spent.txid(), 0, sequence=0)],
        vout=[TransactionOutput(0, Script(_RETURN))],
    )
    return Spend(spent, signed)


def digest(text: str, script: bytes) -> bytes:
    """What the key of a witness program of version 0 signs (BIP-143)."""
    found: bytes = spend(text, script).signed.sighash_segwit(0, p2pkh_from_p2wpkh(Script(script)), 0, SIGHASH_ALL)
    return found


def encoded(signature: bytes, public_key: bytes) -> str:
    """The witness in base64; the signature has its kind of hash behind it."""
    parts = (signature, public_key)
    witness = bytes([len(parts)]) + b"".join(bytes([len(part)]) + part for part in parts)
    return base64.b64encode(witness).decode()


def is_signed(text: str, signature: str, *, address: str, network: Network) -> bool:
    """Whether the key of the address has signed the sentence."""
    try:
        script = addresses.script_of(address, network)
        if addresses.address_of(script, network) != address:
            return False
        made, public_key = _witness(signature)
        if script != b"\x00\x14" + hashes.hash160(public_key) or made[-1] != SIGHASH_ALL:
            return False
        return coincurve.PublicKey(public_key).verify(made[:-1], digest(text, script), hasher=None)
    except (ValueError, errors.AddressInvalid):
        return False


def _witness(text: str) -> tuple[bytes, bytes]:
    """The two parts of the witness.

    Raises: ValueError.
    """
    if len(text) > _TEXT_MAX:
        raise ValueError("it is too long")
    try:
        found = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("it is not base64") from error
    if len(found) < _KEY_BYTES + 4 or found[0] != _PARTS:
        raise ValueError("it is no witness of two parts")
    end = 2 + found[1]
    made, rest = found[2:end], found[end:]
    if not made or len(rest) != _KEY_BYTES + 1 or rest[0] != _KEY_BYTES:
        raise ValueError("it is not a signature and a key")
    return made, rest[1:]
