"""What Solana's nodes tell, read and checked: whatever can't be is a NodeWrong."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Any

import msgspec
from solders.transaction import VersionedTransaction

from billfold.chains.errors import NodeWrong
from billfold.chains.nodes import reading

LAMPORTS_MAX = 2**64 - 1
#: The last moment that PostgreSQL and Python both know is later.
_TIME_MAX = 32_503_680_000
_TEXT_MAX = 128


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """A block without what is in it. `height` counts blocks, where slots may be empty."""

    slot: int
    height: int
    hash: str
    parent: str
    time: datetime


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account; of its data no more than a token account has."""

    lamports: int
    owner: str
    executable: bool
    space: int
    data: bytes


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What a node knows of a signature."""

    slot: int
    confirmed: bool


def header(answer: Any, slot: int) -> Header:
    """A block's header as `getBlock` gives it."""
    seconds = reading.whole(reading.member(answer, "blockTime"), "block time", most=_TIME_MAX)
    if reading.whole(reading.member(answer, "parentSlot"), "parent slot") > slot:
        raise NodeWrong("A node gives a block that is before its parent.")
    return Header(
        slot=slot,
        height=reading.whole(reading.member(answer, "blockHeight"), "block height"),
        hash=text(reading.member(answer, "blockhash"), "blockhash"),
        parent=text(reading.member(answer, "previousBlockhash"), "blockhash of the parent"),
        time=datetime.fromtimestamp(seconds, UTC),
    )


def account(answer: Any) -> Account | None:
    """An account as `getAccountInfo` gives it; None: there is none."""
    given = value(answer)
    if given is None:
        return None
    data = content(reading.member(given, "data"))
    return Account(
        lamports=reading.whole(reading.member(given, "lamports"), "lamports", most=LAMPORTS_MAX),
        owner=text(reading.member(given, "owner"), "owner"),
        executable=reading.member(given, "executable") is True,
        space=reading.whole(given.get("space", len(data)), "space"),
        data=data,
    )


def status(given: Any) -> Status:
    """One of those that `getSignatureStatuses` gives."""
    level = reading.member(given, "confirmationStatus")
    return Status(slot=slot(reading.member(given, "slot")), confirmed=level in {"confirmed", "finalized"})


def transaction(raw: bytes) -> VersionedTransaction:
    """A transaction whose signatures are all good."""
    try:
        found = VersionedTransaction.from_bytes(raw)
        good = bool(found.signatures) and all(found.verify_with_results())
    except ValueError as error:
        raise NodeWrong("A node gives a transaction that is none.") from error
    if not good:
        raise NodeWrong("A node gives a transaction that no block can have.")
    return found


def payer(given: Any) -> tuple[str, str]:
    """Who pays a transaction's fee, and their signature: each the first of all."""
    keys = reading.items(reading.member(given, "accountKeys"), "accounts", most=256)
    signatures = reading.items(reading.member(given, "signatures"), "signatures", most=256)
    if not keys or not signatures:
        raise NodeWrong("A node gives a transaction without signatures or accounts.")
    return text(reading.member(keys[0], "pubkey"), "account"), text(signatures[0], "signature")


def slot(answer: Any) -> int:
    return reading.whole(answer, "slot")


def lamports(answer: Any) -> int:
    """What an account has, as `getBalance` gives it."""
    return reading.whole(value(answer), "balance", most=LAMPORTS_MAX)


def content(given: Any) -> bytes:
    """What a node shows in base 64, with the name of that beside it."""
    parts = reading.items(given, "data", most=2)
    try:
        return base64.b64decode(reading.text(parts[0], "data"), validate=True)
    except (IndexError, binascii.Error):
        raise NodeWrong("A node gives data that could not be read.") from None


def value(answer: Any) -> Any:
    """What is told of a slot."""
    return reading.member(answer, "value")


def text(given: Any, what: str) -> str:
    return reading.text(given, what, longest=_TEXT_MAX)
