"""Bitcoin's addresses, and the scripts that they stand for: base58 with a checksum, BIP-173 and BIP-350."""

from __future__ import annotations

from embit import base58, bech32, hashes

from billfold.chains import errors
from billfold.chains.port import Network

#: The human-readable part of newer addresses, and the first byte of older ones to a key's and a script's hash.
_FORMS: dict[Network, tuple[str, int, int]] = {
    "main": ("bc", 0x00, 0x05),
    "test": ("tb", 0x6F, 0xC4),
    "sandbox": ("bcrt", 0x6F, 0xC4),
}
#: The longest that BIP-173 allows.
TEXT_MAX = 90
_KEY_HASH_BYTES = 20
#: Bytes of a program by witness version. Others have no meaning yet, and anybody could spend what is paid there.
_PROGRAMS = {0: (20, 32), 1: (32,)}
_OP_1 = 0x51
_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32M = 0x2BC830A3


def canonical(text: str, network: Network) -> str:
    """The address in its one form.

    Raises:
        AddressInvalid.
    """
    return address_of(script_of(text, network), network) or text


def script_of(text: str, network: Network) -> bytes:
    """The script that locks what is paid to an address.

    Raises:
        AddressInvalid: it says what is wrong.
    """
    if len(text) > TEXT_MAX:
        raise errors.AddressInvalid("No Bitcoin address is so long.")
    prefix = text.lower().partition("1")[0]
    if prefix in {form[0] for form in _FORMS.values()}:
        return _segwit(text, prefix, network)
    return _base58(text, network)


def address_of(script: bytes, network: Network) -> str | None:
    """The address of a script; None of one that has none."""
    hrp, key_hash, script_hash = _FORMS[network]
    match script[:1], len(script):
        case b"\x00", 22 | 34 if script[1] == len(script) - 2:
            return _encoded(hrp, 0, script[2:])
        case b"\x51", 34 if script[1] == 32:  # noqa: PLR2004 - taproot's length (BIP-341)
            return _encoded(hrp, 1, script[2:])
        case b"\x76", 25 if script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
            return str(base58.encode_check(bytes([key_hash]) + script[3:23]))
        case b"\xa9", 23 if script[:2] == b"\xa9\x14" and script[22:] == b"\x87":
            return str(base58.encode_check(bytes([script_hash]) + script[2:22]))
    return None


def script_of_key(public_key: bytes) -> bytes:
    """What locks coins of a single key (P2WPKH, BIP-141)."""
    return b"\x00\x14" + bytes(hashes.hash160(public_key))


def address_of_key(public_key: bytes, network: Network) -> str:
    """The address of a single key."""
    found = address_of(script_of_key(public_key), network)
    assert found is not None, "a witness program of version 0 has an address"
    return found


def is_of_key(script: bytes) -> bool:
    """Whether a single key unlocks it."""
    return script[:2] == b"\x00\x14" and len(script) == 2 + _KEY_HASH_BYTES


def _segwit(text: str, prefix: str, network: Network) -> bytes:
    hrp = _FORMS[network][0]
    if prefix != hrp:
        raise errors.AddressInvalid(f"This is an address of another network of Bitcoin: here they begin with {hrp}1.")
    version, program = bech32.decode(hrp, text)
    if version is None or program is None:
        raise errors.AddressInvalid("The checksum of the address is wrong: a character is missing or mistyped.")
    if len(program) not in _PROGRAMS.get(version, ()):
        raise errors.AddressInvalid("This kind of address is not in use yet; what is paid there could be lost.")
    return bytes([_OP_1 + version - 1 if version else 0, len(program), *program])


def _base58(text: str, network: Network) -> bytes:
    try:
        data: bytes = base58.decode_check(text)
    except Exception as error:
        # embit raises whatever its arithmetic meets.
        raise errors.AddressInvalid("This is not a Bitcoin address, or a character is missing or mistyped.") from error
    _, key_hash, script_hash = _FORMS[network]
    if len(data) != 1 + _KEY_HASH_BYTES or data[0] not in {byte for form in _FORMS.values() for byte in form[1:]}:
        raise errors.AddressInvalid("This is not a Bitcoin address.")
    if data[0] == key_hash:
        return b"\x76\xa9\x14" + data[1:] + b"\x88\xac"
    if data[0] == script_hash:
        return b"\xa9\x14" + data[1:] + b"\x87"
    raise errors.AddressInvalid("This is an address of another network of Bitcoin.")


def _encoded(hrp: str, version: int, program: bytes) -> str:
    """What embit's encoder gives, in a fiftieth of its time: a block has thousands of addresses (BIP-173, BIP-350)."""
    bits = 8 * len(program)
    padded = int.from_bytes(program, "big") << (-bits % 5)
    groups = -(-bits // 5)
    values = [version, *(padded >> 5 * (groups - 1 - at) & 31 for at in range(groups))]
    remainder = _remainder(_START[hrp], [*values, 0, 0, 0, 0, 0, 0]) ^ (_BECH32M if version else 1)
    checksum = [remainder >> 5 * (5 - at) & 31 for at in range(6)]
    return f"{hrp}1{''.join(map(_LETTERS.__getitem__, values + checksum))}"


def _remainder(start: int, values: list[int]) -> int:
    for value in values:
        start = (start & 0x1FFFFFF) << 5 ^ value ^ _TABLE[start >> 25]
    return start


def _table() -> list[int]:
    """What each five bits that fall out of the register add to it."""
    rows = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
    found = [0] * 32
    for top in range(32):
        for bit, row in enumerate(rows):
            if top >> bit & 1:
                found[top] ^= row
    return found


_TABLE = _table()
#: The register when the part before the 1 is in it.
_START = {
    hrp: _remainder(1, [*(ord(letter) >> 5 for letter in hrp), 0, *(ord(letter) & 31 for letter in hrp)])
    for hrp in ("bc", "tb", "bcrt")
}
