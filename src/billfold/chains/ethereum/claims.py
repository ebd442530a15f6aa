"""Sentences signed by the key of an address as wallets do for `personal_sign`: version 0x45 of EIP-191.

What is hashed begins with the byte 0x19, which neither a transaction of RLP nor one of EIP-2718 begins with.
https://eips.ethereum.org/EIPS/eip-191
"""

from __future__ import annotations

from typing import Final

import coincurve
from eth_utils import crypto

from billfold.chains.ethereum import addresses
from billfold.chains.port import Network

_BYTES: Final = 65
#: What is added to the parity of the key in the last byte (Bitcoin's way, which EIP-191 has kept).
_PARITY: Final = 27


def digest(text: str) -> bytes:
    """What the key signs."""
    said = text.encode()
    return bytes(crypto.keccak(b"\x19Ethereum Signed Message:\n" + str(len(said)).encode() + said))


def encoded(recoverable: bytes) -> str:
    """r, s and v in hexadecimal; of a signature whose last byte is the parity."""
    return "0x" + (recoverable[:-1] + bytes([_PARITY + recoverable[-1]])).hex()


def is_signed(text: str, signature: str, *, address: str, network: Network) -> bool:  # noqa: ARG001 - one address on all
    """Whether the key of the address has signed the sentence."""
    if not signature.startswith("0x") or len(signature) != 2 + 2 * _BYTES:
        return False
    try:
        made = bytes.fromhex(signature[2:])
        recoverable = made[:-1] + bytes([made[-1] - _PARITY])
        key = coincurve.PublicKey.from_signature_and_message(recoverable, digest(text), hasher=None)
    # The library says so in several ways.
    except Exception:  # noqa: BLE001
        return False
    return addresses.of_public_key(key.format(compressed=False)) == address
