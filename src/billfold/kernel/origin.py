"""Where a command comes from: who gave it, from which address, in which request, and for whom. What audits are kept by.

The edges set it for the time of a request: the HTTP edge, the command line, the worker. Nobody decides anything by it.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal
from uuid import UUID

import msgspec

from billfold.kernel.principal import Principal

Channel = Literal["api", "cli", "worker", "grpc"]


class Origin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is known of where a command comes from. A process's own doing has a channel alone."""

    channel: Channel
    #: The address of the client; at the command line the user and the machine.
    address: str = ""
    request_id: str = ""
    #: What was presented, whose it is, and the person behind it (see Principal).
    credential_id: UUID | None = None
    owner_id: UUID | None = None
    user_id: UUID | None = None
    #: In whose name it is done: who has asked for what another one has approved.
    on_behalf_of: UUID | None = None


_current: ContextVar[Origin | None] = ContextVar("origin", default=None)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Origin)

#: What is known now; None in a process that keeps no audit.
current = _current.get


def begin(origin: Origin | None) -> None:
    """From here on, in this task and those that it starts, commands come from there."""
    _current.set(origin)


def carried() -> str | None:
    """What is known now, as it goes along with a call to another process of ours; None where nothing is."""
    origin = _current.get()
    return None if origin is None else urlsafe_b64encode(_encoder.encode(origin)).decode("ascii")


def arrived(text: str) -> Origin | None:
    """What came along with a call; None if it can't be read."""
    try:
        return _decoder.decode(urlsafe_b64decode(text))
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return None


def identified(principal: Principal) -> None:
    """By now it is known who it is."""
    origin = _current.get()
    if origin is not None:
        _current.set(
            Origin(
                channel=origin.channel,
                address=origin.address,
                request_id=origin.request_id,
                credential_id=principal.credential_id,
                owner_id=principal.owner_id,
                user_id=principal.user_id,
            )
        )


@contextmanager
def in_name_of(principal: Principal) -> Iterator[None]:
    """What is done in the block was asked for by these credentials before."""
    before = _current.get()
    identified(principal)
    try:
        yield
    finally:
        _current.set(before)


@contextmanager
def on_behalf_of(owner_id: UUID) -> Iterator[None]:
    """What is done in the block is done in the name of this owner."""
    origin = _current.get()
    if origin is None:
        yield
        return
    token = _current.set(msgspec.structs.replace(origin, on_behalf_of=owner_id))
    try:
        yield
    finally:
        _current.reset(token)
