"""Decoding what strangers have written, also where AMQP forbids it.

RabbitMQ takes bytes that are no UTF-8 where AMQP wants text, and times that no calendar has. The client's codec (pamqp,
checked with 3.3.0) raises an error at them while it reads from the connection, which ends the connection, and the same
message would be the first to come on the next one: nobody would ever get what is behind it. So such a message is read
as far as it can be, and those who take it decide what becomes of it.

The client finds its decoders in two tables, one for fields of the protocol and one for values in headers. They are
replaced there, for the whole process, in which nobody but this adapter speaks AMQP.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pamqp import decode

#: The number of bytes that are used, and what they say.
_Decoded = tuple[int, Any]
_LENGTH_BYTES = 4
_NUMBER_BYTES = 8
#: Kinds of values that begin with their length: texts, bytes, arrays and tables.
_WITH_LENGTH = (b"S", b"x", b"A", b"F")


def use() -> None:
    """Let the client decode with these."""
    fields: dict[str, Callable[[bytes], _Decoded]] = {"shortstr": _short, "timestamp": _time, "table": _table}
    decode.METHODS.update(fields)
    decode.TABLE_MAPPING.update({b"T": _time, b"F": _table, b"A": _array})


def _short(value: bytes) -> _Decoded:
    end = 1 + value[0]
    return end, value[1:end].decode(errors="replace")


def _time(value: bytes) -> tuple[int, datetime | None]:
    try:
        return decode.timestamp(value)
    except (ValueError, OverflowError, OSError):
        return _NUMBER_BYTES, None


def _table(value: bytes) -> _Decoded:
    """What is said twice under one name becomes a list. RabbitMQ puts its own beside that of senders then."""
    end = _sized(value)
    found: defaultdict[str, list[Any]] = defaultdict(list)
    place = _LENGTH_BYTES
    while place < end:
        used, name = _short(value[place : place + 256])
        place += used
        content = value[place : place + 1 + _size(value, place)]
        try:
            used, said = decode.embedded_value(content)
        except RecursionError:
            # Tables in tables in tables: of these nobody wants anything.
            used, said = len(content), None
        found[name].append(said)
        place += used
    return end, {name: said if len(said) > 1 else said[0] for name, said in found.items()}


def _array(value: bytes) -> _Decoded:
    """Nothing that we read is in one."""
    return _sized(value), None


def _size(value: bytes, place: int) -> int:
    """How long the value can be whose kind is there."""
    kind, rest = value[place : place + 1], value[place + 1 : place + 1 + _LENGTH_BYTES]
    return _sized(rest) if kind in _WITH_LENGTH else _NUMBER_BYTES


def _sized(value: bytes) -> int:
    """The length of what begins with its length."""
    return _LENGTH_BYTES + int.from_bytes(value[:_LENGTH_BYTES])
