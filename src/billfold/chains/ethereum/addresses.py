"""Ethereum's addresses: 20 bytes in hexadecimal, whose upper and lower case is a checksum (EIP-55)."""

from __future__ import annotations

import functools
import re

from eth_utils import crypto

from billfold.chains import errors

ZERO = "0x" + 40 * "0"
#: Up to here the protocol has contracts of its own, and keeps room for more; nobody has the keys.
PRECOMPILED_MAX = 0xFFFF
BYTES = 20
#: A block names the same tokens and senders again and again; these take some megabytes.
REMEMBERED = 32_768
_FORM = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_HASH = re.compile(r"(0x)?[0-9a-fA-F]{64}", re.ASCII)
_BARE = re.compile(r"[0-9a-fA-F]{40}", re.ASCII)


def canonical(text: str) -> str:
    """The address with its checksum. All lower or all upper case has none to be checked.

    Raises:
        AddressInvalid: it says what is wrong.
    """
    if not _FORM.fullmatch(text):
        raise errors.AddressInvalid(_why(text))
    digits = text[2:]
    checked = checksummed(bytes.fromhex(digits))
    if digits not in (digits.lower(), digits.upper()) and checked != text:
        raise errors.AddressInvalid("The address has a slip in it: its upper and lower case letters do not fit.")
    return checked


@functools.lru_cache(REMEMBERED)
def checksummed(address: bytes) -> str:
    """The one form of an address (https://eips.ethereum.org/EIPS/eip-55)."""
    digits = address.hex()
    digest = crypto.keccak(digits.encode("ascii")).hex()
    return "0x" + "".join(
        digit.upper() if int(nibble, 16) > 7 else digit  # noqa: PLR2004 - the highest bit of four
        for digit, nibble in zip(digits, digest, strict=False)
    )


def raw(address: str) -> bytes:
    """The bytes of an address in its one form."""
    return bytes.fromhex(address[2:])


def of_public_key(uncompressed: bytes) -> str:
    """The address of a key: 65 bytes that begin with 4."""
    return checksummed(crypto.keccak(uncompressed[1:])[-BYTES:])


def is_precompiled(address: str) -> bool:
    """Whether an address is the protocol's own."""
    return 0 < int(address, 16) <= PRECOMPILED_MAX


def _why(text: str) -> str:
    if not text.isascii():
        return "The address has letters in it that only look like those of an address of Ethereum."
    if _HASH.fullmatch(text):
        return "This is a transaction or a key, not an address of Ethereum."
    if _BARE.fullmatch(text):
        return "An address of Ethereum begins with 0x."
    if text.endswith(".eth"):
        return "Names are not resolved here; an address of Ethereum is 0x and 40 hexadecimal digits."
    return "An address of Ethereum is 0x and 40 hexadecimal digits."
