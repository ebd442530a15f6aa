"""Shares of a secret: enough of them give it, fewer say nothing."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold.signer.domain import shamir


@pytest.mark.parametrize(
    ("left", "right", "product"),
    [
        # FIPS 197, 4.2 and 4.2.1.
        (0x57, 0x83, 0xC1),
        (0x57, 0x13, 0xFE),
        (0x57, 0x02, 0xAE),
        (0x57, 0x04, 0x47),
        (0x57, 0x08, 0x8E),
        (0x57, 0x10, 0x07),
        (0x57, 0x01, 0x57),
        (0x57, 0x00, 0x00),
    ],
)
def test_the_field_is_that_of_aes(left: int, right: int, product: int) -> None:
    assert shamir.multiplied(left, right) == shamir.multiplied(right, left) == product


def test_every_element_but_zero_has_an_inverse() -> None:
    # 0x53 and 0xCA are those of FIPS 197's S-box example.
    assert shamir.inverse(0x53) == 0xCA
    assert all(shamir.multiplied(element, shamir.inverse(element)) == 1 for element in range(1, 256))


@given(st.data())
def test_any_so_many_shares_give_the_secret(data: st.DataObject) -> None:
    secret = data.draw(st.binary(min_size=1, max_size=40))
    threshold = data.draw(st.integers(1, 5))
    number = data.draw(st.integers(threshold, 7))
    shares = shamir.split(
        secret, threshold=threshold, shares=number, random=lambda n: data.draw(st.binary(min_size=n, max_size=n))
    )
    assert list(shares) == list(range(1, number + 1))
    chosen = data.draw(st.permutations(list(shares)))[:threshold]
    assert shamir.combined({each: shares[each] for each in chosen}) == secret


def test_a_known_polynomial_has_the_known_shares() -> None:
    """42 + 7x + 3x²: at 1 42^7^3, at 2 42^14^12, at 3 42^9^15, reckoned by hand, since nothing passes x^7."""
    shares = shamir.split(b"\x2a", threshold=3, shares=3, random=lambda _: bytes([7, 3]))
    assert shares == {1: bytes([42 ^ 7 ^ 3]), 2: bytes([42 ^ 14 ^ 12]), 3: bytes([42 ^ 9 ^ 15])}


def test_too_few_shares_fit_every_secret_equally_well() -> None:
    """Of two shares that three are needed of, each of the 256 secrets has exactly one polynomial."""
    known = {2: 0x5C, 5: 0xE1}
    by = {factor: [shamir.multiplied(element, factor) for element in range(256)] for factor in (2, 4, 5, 17)}
    assert (by[2][2], by[5][5]) == (4, 17), "the squares of 2 and 5"
    over_four = [shamir.multiplied(element, shamir.inverse(4)) for element in range(256)]
    fits = dict.fromkeys(range(256), 0)
    for secret, first in itertools.product(range(256), repeat=2):
        # The third coefficient follows from the first share; the second share tells whether it is right.
        second = over_four[known[2] ^ secret ^ by[2][first]]
        fits[secret] += secret ^ by[5][first] ^ by[17][second] == known[5]
    assert set(fits.values()) == {1}
