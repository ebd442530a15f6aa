"""What Horizon tells, read and checked. Whatever can't be is a NodeWrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from stellar_sdk import StrKey

from billfold.chains import errors
from billfold.chains.nodes import reading
from billfold.chains.port import Head
from billfold.chains.stellar import amounts, results

_HASH = re.compile(r"[0-9a-f]{64}")
#: Sequence numbers of ledgers have 32 bits.
LEDGER_MAX = 2**32 - 1
#: Of the protocol: an account has no more entries of any kind.
_SUBENTRIES_MAX = 1_000
#: A network that asks for more than a thousand lumens for an entry is not Stellar.
_RESERVE_MAX = 1_000 * 10**7


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """A closed ledger."""

    sequence: int
    hash: str
    parent: str
    closed_at: datetime
    #: Stroops for each entry of an account.
    reserve: int

    def head(self) -> Head:
        return Head(height=self.sequence, hash=self.hash, time=self.closed_at)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has of an asset, and how much more it may be given or may give away."""

    balance: int
    limit: int
    authorized: bool
    selling: int
    buying: int


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account as it is now."""

    sequence: int
    #: Entries that its reserve is counted by, itself not among them.
    entries: int
    memo_required: bool
    #: By token; None is lumens.
    lines: Mapping[str | None, Line]


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction in a ledger."""

    #: All hashes by which it is known: with a fee bump two.
    hashes: frozenset[str]
    ledger: int
    successful: bool
    fee: int
    #: Who has paid the fee.
    fee_account: str
    sequence: int
    reason: str


def records(document: Any, *, most: int) -> list[Mapping[str, Any]]:
    """The records of a page."""
    found = reading.member(reading.member(document, "_embedded"), "records")
    return [reading.record(each, "a record") for each in reading.items(found, "records", most=most)]


def ledger(document: Any) -> Ledger:
    """A ledger."""
    return Ledger(
        sequence=reading.whole(reading.member(document, "sequence"), "sequence", least=1, most=LEDGER_MAX),
        hash=digest(reading.member(document, "hash"), "hash"),
        parent=digest(reading.member(document, "prev_hash"), "prev_hash"),
        closed_at=moment(reading.member(document, "closed_at"), "closed_at"),
        reserve=reading.whole(
            reading.member(document, "base_reserve_in_stroops"), "base_reserve_in_stroops", least=1, most=_RESERVE_MAX
        ),
    )


def account(document: Any) -> Account:
    """An account."""
    sponsored = reading.whole(document.get("num_sponsored", 0), "num_sponsored", most=_SUBENTRIES_MAX + 2)
    sponsoring = reading.whole(document.get("num_sponsoring", 0), "num_sponsoring")
    subentries = reading.whole(reading.member(document, "subentry_count"), "subentry_count", most=_SUBENTRIES_MAX)
    data = reading.record(document.get("data", {}), "data")
    lines = reading.items(reading.member(document, "balances"), "balances", most=_SUBENTRIES_MAX + 1)
    found = [line for each in lines if (line := _line(reading.record(each, "a balance"))) is not None]
    return Account(
        sequence=reading.digits(reading.member(document, "sequence"), "sequence"),
        entries=subentries + sponsoring - sponsored,
        # SEP-29: an entry of this name with the value 1.
        memo_required=data.get("config.memo_required") == "MQ==",
        lines=dict(found),
    )


def transaction(document: Any) -> Transaction:
    """A transaction."""
    successful = boolean(reading.member(document, "successful"), "successful")
    around = [document.get(name) for name in ("fee_bump_transaction", "inner_transaction")]
    names = [reading.member(document, "hash"), *(reading.member(each, "hash") for each in around if each is not None)]
    result = reading.text(reading.member(document, "result_xdr"), "result_xdr", longest=results.RESULT_MAX)
    return Transaction(
        hashes=frozenset(digest(each, "hash") for each in names),
        ledger=reading.whole(reading.member(document, "ledger"), "ledger", least=1, most=LEDGER_MAX),
        successful=successful,
        fee=reading.digits(reading.member(document, "fee_charged"), "fee_charged"),
        fee_account=address(reading.member(document, "fee_account"), "fee_account"),
        sequence=reading.digits(reading.member(document, "source_account_sequence"), "source_account_sequence"),
        reason="" if successful else results.reason(result),
    )


def address(value: Any, what: str) -> str:
    """The address of an account."""
    text = reading.text(value, what, longest=100)
    if not StrKey.is_valid_ed25519_public_key(text):
        raise errors.NodeWrong(f"In a node's answer {what} is no account.")
    return text


def amount(value: Any, what: str) -> int:
    """An amount in smallest units."""
    return reading.units(reading.text(value, what), what, scale=amounts.SCALE)


def token(document: Mapping[str, Any]) -> str | None:
    """The asset that the fields `asset_…` name; None is lumens."""
    kind = reading.text(reading.member(document, "asset_type"), "asset_type")
    if kind == "native":
        return None
    code = reading.text(reading.member(document, "asset_code"), "asset_code", longest=12)
    return f"{code}:{address(reading.member(document, 'asset_issuer'), 'asset_issuer')}"


def boolean(value: Any, what: str) -> bool:
    """Yes or no."""
    if not isinstance(value, bool):
        raise errors.NodeWrong(f"In a node's answer {what} is neither true nor false.")
    return value


def digest(value: Any, what: str) -> str:
    """A hash."""
    text = reading.text(value, what, longest=64)
    if not _HASH.fullmatch(text):
        raise errors.NodeWrong(f"In a node's answer {what} is no hash.")
    return text


def moment(value: Any, what: str) -> datetime:
    """An instant."""
    try:
        found = datetime.fromisoformat(reading.text(value, what, longest=40))
    except ValueError:
        raise errors.NodeWrong(f"In a node's answer {what} is no instant.") from None
    if found.tzinfo is None:
        raise errors.NodeWrong(f"In a node's answer {what} has no time zone.")
    return found.astimezone(UTC)


def _line(document: Mapping[str, Any]) -> tuple[str | None, Line] | None:
    """None: shares of a liquidity pool, which nobody is paid in."""
    if document.get("asset_type") == "liquidity_pool_shares":
        return None
    key = token(document)
    limit = amounts.INT64_MAX if key is None else amount(reading.member(document, "limit"), "limit")
    return key, Line(
        balance=amount(reading.member(document, "balance"), "balance"),
        limit=limit,
        authorized=boolean(document.get("is_authorized", True), "is_authorized"),
        selling=amount(document.get("selling_liabilities", "0"), "selling_liabilities"),
        buying=amount(document.get("buying_liabilities", "0"), "buying_liabilities"),
    )
