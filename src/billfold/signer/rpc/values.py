"""Messages as contracts and back. Both sides check what they read."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, get_args
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from billfold.chains.port import Network, Payment
from billfold.chains.signing_port import Place, Purpose
from billfold.kernel import clock, ids, money
from billfold.platform.rpc.errors import MessageInvalid
from billfold.signer.contracts import TEXT_MAX, Tree
from billfold.signer.rpc.v1 import signer_pb2 as pb

_UNITS = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_MICROSECONDS = 1_000_000


def read_id(text: str, pointer: str) -> UUID:
    """An id.

    Raises:
        MessageInvalid, InvalidId.
    """
    return ids.parse(read_text(text, pointer), pointer=pointer)


def read_text(text: str, pointer: str) -> str:
    """A text that must be there.

    Raises:
        MessageInvalid: it is not, or has more than TEXT_MAX letters.
    """
    if not 1 <= len(text) <= TEXT_MAX:
        raise MessageInvalid(f"{_name(pointer)} is missing, or has more than {TEXT_MAX} letters.", pointer=pointer)
    return text


def read_units(text: str, pointer: str) -> int:
    """An amount of smallest units.

    Raises:
        MessageInvalid: it is not a whole number that can be held.
    """
    if len(text) > money.DIGITS_MAX or _UNITS.fullmatch(text) is None:
        raise MessageInvalid(f"{_name(pointer)} is not a whole number of smallest units.", pointer=pointer)
    return int(text)


def read_word(text: str, words: Any, pointer: str) -> Any:
    """One of the words of a Literal.

    Raises:
        MessageInvalid.
    """
    if text not in get_args(words):
        raise MessageInvalid(f"{_name(pointer)} is one of {', '.join(get_args(words))}.", pointer=pointer)
    return text


def read_place(message: pb.Place, pointer: str) -> Place:
    """A place.

    Raises:
        MessageInvalid.
    """
    return Place(purpose=read_word(message.purpose, Purpose, f"{pointer}/purpose"), index=message.index)


def read_payment(message: pb.Payment, pointer: str) -> Payment:
    """A payment.

    Raises:
        MessageInvalid.
    """
    return Payment(
        address=read_text(message.address, f"{pointer}/address"),
        amount=read_units(message.amount, f"{pointer}/amount"),
        token=read_text(message.token, f"{pointer}/token") if message.HasField("token") else None,
        memo=read_text(message.memo, f"{pointer}/memo") if message.HasField("memo") else None,
    )


def read_tree(message: pb.Tree) -> Tree:
    """A tree.

    Raises:
        MessageInvalid, InvalidId, InvalidInstant.
    """
    at = clock.EPOCH + timedelta(seconds=message.created_at.seconds, microseconds=message.created_at.nanos // 1_000)
    return Tree(
        id=read_id(message.id, "/id"),
        chain=read_text(message.chain, "/chain"),
        network=read_word(message.network, Network, "/network"),
        public=message.public if message.HasField("public") else None,
        created_at=clock.checked(at, pointer="/created_at"),
    )


def payment(told: Payment) -> pb.Payment:
    """A payment as a message."""
    return pb.Payment(address=told.address, amount=str(told.amount), token=told.token, memo=told.memo)


def place(told: Place) -> pb.Place:
    """A place as a message."""
    return pb.Place(purpose=told.purpose, index=told.index)


def tree(told: Tree) -> pb.Tree:
    """A tree as a message."""
    seconds, microseconds = divmod(clock.microseconds(told.created_at), _MICROSECONDS)
    return pb.Tree(
        id=str(told.id),
        chain=told.chain,
        network=told.network,
        public=told.public,
        created_at=Timestamp(seconds=seconds, nanos=microseconds * 1_000),
    )


def _name(pointer: str) -> str:
    return f"The field {pointer[1:].replace('/', '.')}"
