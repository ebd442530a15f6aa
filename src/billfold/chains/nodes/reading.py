"""Reads what nodes say, and takes nothing for granted: each function gives what it names or raises NodeWrong.

Numbers are whole and bounded; those with a point come as Decimal, never as float (RFC 8259 says nothing of either).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from typing import Any, NoReturn

from billfold.chains.errors import NodeWrong

#: Decimal digits of the largest number that a chain has (uint256 has 78).
DIGITS_MAX = 80
#: Heights, counts, times: what PostgreSQL's bigint holds.
WHOLE_MAX = 2**63 - 1
QUANTITY_MAX = 2**256 - 1
#: Of what a node says, no more is shown.
SHOWN_MAX = 200
#: Amounts are not rounded.
_EXACT = Context(prec=2 * DIGITS_MAX)
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
_DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def document(body: bytes) -> Any:
    """The JSON document.

    Raises:
        NodeWrong: it is none, is nested too deep, or has numbers that nobody could mean.
    """
    try:
        return _DECODER.decode(body.decode())
    except (ValueError, RecursionError):
        raise NodeWrong("A node sent what is no JSON document of a sane size and depth.") from None


def record(value: Any, what: str) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else _wrong(what, "is no object")


def member(value: Any, name: str) -> Any:
    """The member of an object; None where it says null."""
    found = record(value, f"what should have {name}")
    return found[name] if name in found else _wrong(name, "is missing")


def items(value: Any, what: str, *, most: int) -> Sequence[Any]:
    """A list of at most so many."""
    if not isinstance(value, list):
        return _wrong(what, "is no list")
    return value if len(value) <= most else _wrong(what, f"has more than {most} entries")


def text(value: Any, what: str, *, longest: int = 1_000) -> str:
    if not isinstance(value, str):
        return _wrong(what, "is no text")
    return value if len(value) <= longest else _wrong(what, "is too long")


def whole(value: Any, what: str, *, least: int = 0, most: int = WHOLE_MAX) -> int:
    """A JSON number without a point."""
    if not isinstance(value, int) or isinstance(value, bool):
        return _wrong(what, "is no whole number")
    return value if least <= value <= most else _wrong(what, "is out of bounds")


def digits(value: Any, what: str, *, least: int = 0, most: int = WHOLE_MAX) -> int:
    """A whole number that is written as text, as Horizon and SPL tokens have amounts and sequences."""
    if not isinstance(value, str) or len(value) > DIGITS_MAX or not re.fullmatch(r"-?[0-9]+", value):
        return _wrong(what, "is no whole number")
    return whole(int(value), what, least=least, most=most)


def quantity(value: Any, what: str, *, most: int = QUANTITY_MAX) -> int:
    """A number as Ethereum writes it, `0x1f`."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        return _wrong(what, "is no quantity")
    return whole(int(value, 16), what, most=most)


def data(value: Any, what: str, *, length: int | None = None, longest: int = 1_000_000) -> bytes:
    """Bytes as Ethereum writes them, `0xc0ffee`; of exactly `length` where it is given."""
    if not isinstance(value, str) or len(value) > 2 + 2 * longest or not _DATA.fullmatch(value):
        return _wrong(what, "is no hexadecimal data")
    found = bytes.fromhex(value[2:])
    return found if length in {None, len(found)} else _wrong(what, "has the wrong length")


def units(value: Any, what: str, *, scale: int, most: int = WHOLE_MAX) -> int:
    """An amount in display units, a number or text, as smallest units: 0.5 at scale 8 is 50000000."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return _wrong(what, "is no amount")
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", value):
        return _wrong(what, "is no amount")
    number = Decimal(value)
    if number.adjusted() > DIGITS_MAX:
        return _wrong(what, "is out of bounds")
    found = number.scaleb(scale, _EXACT)
    if found != found.to_integral_value():
        return _wrong(what, f"has more than {scale} decimals")
    return whole(int(found), what, most=most)


def shown(value: object) -> str:
    """What a node said, cut, in one line."""
    return _UNPRINTABLE.sub(" ", str(value))[:SHOWN_MAX]


def _wrong(what: str, sentence: str) -> NoReturn:
    raise NodeWrong(f"In a node's answer {what} {sentence}.")


def _integer(digits: str) -> int:
    if len(digits) > DIGITS_MAX:
        raise ValueError("too many digits")
    return int(digits)


def _decimal(digits: str) -> Decimal:
    if len(digits) > DIGITS_MAX:
        raise ValueError("too many digits")
    return Decimal(digits)


def _constant(_: str) -> NoReturn:
    raise ValueError("no number")


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_decimal, parse_constant=_constant)
