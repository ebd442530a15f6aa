"""Base 58 as Solana's nodes use it for bytes of any length."""

from __future__ import annotations

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
#: The time it takes grows with the square of the length.
LENGTH_MAX = 2_000


def encode(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    digits = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(_ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(digits))


def decode(text: str) -> bytes:
    """The bytes.

    Raises:
        ValueError: it is no base 58, or longer than anything that is sent so.
    """
    if len(text) > LENGTH_MAX:
        raise ValueError("too long")
    number = 0
    for character in text:
        if character not in _VALUES:
            raise ValueError("not base 58")
        number = number * 58 + _VALUES[character]
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
