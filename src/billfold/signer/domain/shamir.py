"""Shamir's secret sharing over GF(2^8), byte by byte: any `threshold` shares give the secret, fewer say nothing of it.

A. Shamir, "How to share a secret", CACM 22 (1979); the field is that of AES (FIPS 197, 4.2), x^8 + x^4 + x^3 + x + 1.
Share number x has, for each byte of the secret, the value at x of a polynomial of its own, whose constant is that byte.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

#: Share numbers are the field's elements but 0, where the secret is.
SHARES_MAX = 255
_POLYNOMIAL = 0x11B


def multiplied(left: int, right: int) -> int:
    """The product of two elements of the field. Every product takes the same steps."""
    product = 0
    for _ in range(8):
        product ^= -(right & 1) & left
        left = (left << 1) ^ (-(left >> 7) & _POLYNOMIAL)
        right >>= 1
    return product


def inverse(element: int) -> int:
    """What gives 1 with the element: its 254th power."""
    assert element, "0 has none"
    result = 1
    for _ in range(254):
        result = multiplied(result, element)
    return result


def split(secret: bytes, *, threshold: int, shares: int, random: Callable[[int], bytes]) -> dict[int, bytes]:
    """So many shares by their numbers, 1 and on."""
    assert 1 <= threshold <= shares <= SHARES_MAX, "callers check it"
    higher = [random(threshold - 1) for _ in secret]
    return {
        number: bytes(_at(number, [byte, *rest]) for byte, rest in zip(secret, higher, strict=True))
        for number in range(1, shares + 1)
    }


def combined(shares: Mapping[int, bytes]) -> bytes:
    """The secret. Of too few shares, or wrong ones, something else: whoever has kept it checks that by other means."""
    weights = {number: _weight(number, shares) for number in shares}
    secret = bytearray(len(next(iter(shares.values()))))
    for number, share in shares.items():
        for place, value in enumerate(share):
            secret[place] ^= multiplied(value, weights[number])
    return bytes(secret)


def _at(number: int, coefficients: Sequence[int]) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = multiplied(value, number) ^ coefficient
    return value


def _weight(number: int, others: Mapping[int, bytes]) -> int:
    """Of Lagrange's interpolation at 0."""
    weight = 1
    for other in others:
        if other != number:
            weight = multiplied(weight, multiplied(other, inverse(other ^ number)))
    return weight
