"""Ids, amounts, instants and words as they are written in messages. What is missing or malformed is named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.timestamp_pb2 import Timestamp

from billfold.kernel import clock, ids, money
from billfold.ledger.rpc.v1 import ledger_pb2 as pb
from billfold.platform.rpc.errors import MessageInvalid

_UNITS = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_MICROSECONDS = 1_000_000


def missing(pointer: str) -> MessageInvalid:
    """A field that has to be set is not."""
    return MessageInvalid(f"The field {pointer[1:].replace('/', '.')} is missing.", pointer=pointer)


def read_id(text: str, pointer: str) -> UUID:
    """An id.

    Raises:
        MessageInvalid: there is none.
        InvalidId: it is not a UUID in its usual form.
    """
    if not text:
        raise missing(pointer)
    return ids.parse(text, pointer=pointer)


def read_text(text: str, pointer: str) -> str:
    """A text that must be there.

    Raises:
        MessageInvalid: it is not.
    """
    if not text:
        raise missing(pointer)
    return text


def read_units(text: str, pointer: str) -> int:
    """An amount of smallest units, with its sign.

    Raises:
        MessageInvalid: there is none.
        InvalidAmount: it is not a whole number.
        AmountTooLarge: it has more digits than any that can be held.
    """
    if not text:
        raise missing(pointer)
    if len(text) > money.DIGITS_MAX + 1:
        raise money.AmountTooLarge(pointer=pointer)
    if _UNITS.fullmatch(text) is None:
        raise money.InvalidAmount(
            'The amount is not a whole number of smallest units in plain notation, such as "1250".', pointer=pointer
        )
    return int(text)


def read_instant(stamp: Any, pointer: str) -> datetime:
    """An instant; of nanoseconds the microseconds count.

    Raises:
        InvalidInstant: it is none of the years 1000 to 9999.
    """
    try:
        instant = clock.EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1_000)
    except OverflowError:
        raise clock.InvalidInstant(pointer=pointer) from None
    return clock.checked(instant, pointer=pointer)


def read_duration(length: Any) -> timedelta:
    """A length of time; what no calendar holds is the longest there is."""
    try:
        return timedelta(seconds=length.seconds, microseconds=length.nanos // 1_000)
    except OverflowError:
        return timedelta.max if length.seconds > 0 else timedelta.min


def seconds_of(at: datetime) -> tuple[int, int]:
    """An instant in seconds since 1970, and the nanoseconds beyond."""
    seconds, microseconds = divmod(clock.microseconds(at), _MICROSECONDS)
    return seconds, microseconds * 1_000


def instant(at: datetime) -> Timestamp:
    """An instant as a message."""
    seconds, nanos = seconds_of(at)
    return Timestamp(seconds=seconds, nanos=nanos)


def duration(length: timedelta) -> Duration:
    """A length of time as a message."""
    microseconds = length // timedelta(microseconds=1)
    return Duration(seconds=microseconds // _MICROSECONDS, nanos=microseconds % _MICROSECONDS * 1_000)


class Words:
    """The words of a contract's Literal, and their numbers in an enum."""

    def __init__(self, enum: EnumTypeWrapper, prefix: str) -> None:
        numbers: Mapping[str, int] = dict(enum.items())
        #: Any, since the compiler's stubs take the enum's own type, which is a number when it runs.
        self.number: Mapping[str, Any] = {
            name.removeprefix(prefix).lower(): number for name, number in numbers.items() if number
        }
        self.word: Mapping[int, Any] = {number: word for word, number in self.number.items()}

    def read(self, number: int, pointer: str, *, default: str | None = None) -> Any:
        """The word of a number.

        Raises:
            MessageInvalid: it is not set and there is no default, or it is none of ours.
        """
        if number == 0:
            if default is None:
                raise missing(pointer)
            return default
        word = self.word.get(number)
        if word is None:
            raise MessageInvalid(f"{number} is none of the values of {pointer[1:].replace('/', '.')}.", pointer=pointer)
        return word


TRANSFER_KINDS = Words(pb.TransferKind, "TRANSFER_KIND_")
ACCOUNT_KINDS = Words(pb.AccountKind, "ACCOUNT_KIND_")
ACCOUNT_STATUSES = Words(pb.AccountStatus, "ACCOUNT_STATUS_")
HOLD_STATUSES = Words(pb.HoldStatus, "HOLD_STATUS_")
ASSET_KINDS = Words(pb.AssetKind, "ASSET_KIND_")
DIRECTIONS = Words(pb.Direction, "DIRECTION_")
BASES = Words(pb.Basis, "BASIS_")
