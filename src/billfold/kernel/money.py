"""Money: a whole number of an asset's smallest unit, and its decimal text at the edges. No float, no rounding."""

from __future__ import annotations

import re

import msgspec

from billfold.kernel import errors

#: NUMERIC(78,0) holds every uint256, the widest amount of any chain that is served.
DIGITS_MAX = 78
UNITS_MAX = 10**DIGITS_MAX - 1
#: 78 digits and 36 decimals with sign and point; a longer text is refused before it is parsed.
TEXT_MAX = 128
SCALE_MAX = 36

_DECIMAL = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?", re.ASCII)


class InvalidAmount(errors.Invalid):
    """The amount is not a decimal number in plain notation, such as "12.34"."""

    code = "invalid_amount"


class AmountTooPrecise(errors.Invalid):
    """The amount has more decimals than the asset has."""

    code = "amount_too_precise"


class AmountTooLarge(errors.Invalid):
    """The amount is larger than any amount that can be held."""

    code = "amount_too_large"


class Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount as it is written for people: exact decimal text in the asset's display unit, and the asset's code."""

    amount: str
    asset: str


def parse(text: str, scale: int, *, pointer: str | None = None) -> int:
    """Smallest units of the decimal `text` for an asset with `scale` decimals.

    Raises:
        InvalidAmount: not plain decimal notation (exponents, signs other than "-", spaces, NaN).
        AmountTooPrecise: more decimals than `scale`, zeros included: what is written is what is meant.
        AmountTooLarge: more than 78 digits.
    """
    match = _DECIMAL.fullmatch(text) if len(text) <= TEXT_MAX else None
    if match is None:
        if len(text) > TEXT_MAX:
            raise AmountTooLarge(pointer=pointer)
        raise InvalidAmount(pointer=pointer)
    sign, whole, fraction = match.groups()
    fraction = fraction or ""
    if len(fraction) > scale:
        raise AmountTooPrecise(f"The asset has {scale} decimals; {len(fraction)} were given.", pointer=pointer)
    units = int(whole + fraction.ljust(scale, "0"))
    if units > UNITS_MAX:
        raise AmountTooLarge(pointer=pointer)
    return -units if sign else units


def format(units: int, scale: int) -> str:  # noqa: A001 - the module is spoken in full: money.format(...)
    """Decimal text of `units` with all `scale` decimals, so that text and precision always agree."""
    if scale == 0:
        return str(units)
    sign = "-" if units < 0 else ""
    digits = str(abs(units)).rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"


def thresholds(text: str) -> dict[str, str]:
    """Amounts by their asset, of a text such as USD=1000,BTC=0.5.

    Raises:
        ValueError: it is not written so.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        asset, _, amount = part.strip().partition("=")
        if not asset or asset in found or amount.startswith("-") or not _DECIMAL.fullmatch(amount):
            raise ValueError(f"{part.strip()!r} is no asset with an amount, such as USD=1000")
        found[asset] = amount
    return found


def threshold(text: str, scale: int) -> int:
    """Smallest units of a threshold. More decimals than the asset has are cut off: what is above it still is."""
    whole, _, decimals = text.partition(".")
    return parse(f"{whole}.{decimals[:scale]}" if decimals[:scale] else whole, scale)


def split(units: int, weights: list[int]) -> tuple[list[int], int]:
    """Shares of `units` in proportion to `weights`, each rounded towards zero, and the remainder that is left.

    The shares and the remainder add up to `units` exactly; the caller books the remainder to a named account (I12).
    """
    total = sum(weights)
    assert total > 0 and all(weight >= 0 for weight in weights), "weights are not negative and not all zero"
    size = abs(units)
    direction = -1 if units < 0 else 1
    shares = [direction * (size * weight // total) for weight in weights]
    return shares, units - sum(shares)
