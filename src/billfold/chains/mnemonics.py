"""Mnemonics as BIP-39 has them: words of the English list that stand for 128 to 256 bits, and the seed they make.

The signer alone may import this, beside the chains' `keys` and `signing`.
"""

from __future__ import annotations

import unicodedata

from embit import bip39

from billfold.chains.errors import ChainError
from billfold.kernel import errors

#: Bytes of chance that a mnemonic has: 12, 15, 18, 21 or 24 words.
ENTROPY_BYTES = (16, 20, 24, 28, 32)
SEED_BYTES = 64
#: 24 words of at most eight letters, with room.
MNEMONIC_MAX = 500
PASSPHRASE_MAX = 500


class MnemonicInvalid(ChainError, errors.Invalid):
    """These words are no mnemonic of BIP-39: 12 to 24 of its English list, the last of which checks the others."""

    code = "mnemonic_invalid"


def words(entropy: bytes) -> str:
    """The mnemonic of 16 to 32 bytes."""
    assert len(entropy) in ENTROPY_BYTES, "BIP-39 has no other lengths"
    return str(bip39.mnemonic_from_bytes(entropy))


def entropy(mnemonic: str) -> bytes:
    """The bytes that the words stand for.

    Raises:
        MnemonicInvalid: it says nothing of the words.
    """
    try:
        found = bytes(bip39.mnemonic_to_bytes(_normal(mnemonic)))
    except (ValueError, IndexError):
        found = b""
    if len(found) not in ENTROPY_BYTES:
        raise MnemonicInvalid from None
    return found


def seed(mnemonic: str, passphrase: str = "") -> bytes:
    """The 64 bytes that the words, and a passphrase if there is one, make: PBKDF2 with 2,048 rounds of HMAC-SHA512.

    Raises:
        MnemonicInvalid.
    """
    entropy(mnemonic)
    return bytes(bip39.mnemonic_to_seed(_normal(mnemonic), unicodedata.normalize("NFKD", passphrase)))


def _normal(mnemonic: str) -> str:
    return " ".join(unicodedata.normalize("NFKD", mnemonic).split())
