"""Sentences signed by the key of an address as Solana's off-chain messages of version 0.

They begin with the byte 0xff, which no message of a transaction begins with.
https://docs.anza.xyz/proposals/off-chain-message-signing
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from solders.pubkey import Pubkey
from solders.signature import Signature

from billfold.chains.port import Network

_DOMAIN: Final = b"\xffsolana offchain"
_VERSION: Final = b"\x00"
#: Of ours: no other program's message is taken for one of these.
APPLICATION: Final = sha256(b"billfold.reserves").digest()
#: Printable ASCII, which hardware wallets show.
_FORMAT: Final = b"\x00"
_SIGNERS: Final = b"\x01"


def message(text: str, *, signer: bytes) -> bytes:
    """What the key signs."""
    said = text.encode("ascii")
    head = _DOMAIN + _VERSION + APPLICATION + _FORMAT + _SIGNERS + signer
    return head + len(said).to_bytes(2, "little") + said


def is_signed(text: str, signature: str, *, address: str, network: Network) -> bool:  # noqa: ARG001 - one address on all
    """Whether the key of the address has signed the sentence."""
    try:
        key = Pubkey.from_string(address)
        made = Signature.from_string(signature)
        return str(key) == address and bool(made.verify(key, message(text, signer=bytes(key))))
    except ValueError:
        return False
