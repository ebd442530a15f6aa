"""How rows become contracts, and text becomes COPY text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from billfold.ledger.contracts import Account, Entry, Hold, Transfer

if TYPE_CHECKING:
    import asyncpg

TRANSFER = (
    "id, debit_account, credit_account, amount, asset, kind::text, reference, description, metadata, effective_at, "
    "recorded_at, debit_version, credit_version, debit_balance, credit_balance"
)
ENTRY = (
    "transfer_id, account, version, amount, balance, counterparty, kind::text, reference, description, metadata, "
    "effective_at, recorded_at"
)
ACCOUNT = "id, asset, kind::text, floor, status::text, posted, held, version, changes, created_at"
HOLD = (
    "id, account_id AS account, asset, amount, settled, status::text, expires_at, reference, description, created_at, "
    "ended_at"
)

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_METADATA = msgspec.json.Decoder(dict[str, str])


def escape(text: str) -> str:
    """`text` as a field of COPY's text format."""
    return text.translate(_ESCAPES)


def metadata_text(metadata: Mapping[str, str]) -> str:
    """The JSON that is stored, or nothing."""
    return msgspec.json.encode(metadata).decode() if metadata else ""


def _metadata(text: str) -> dict[str, str]:
    return _METADATA.decode(text) if text else {}


def transfer(row: asyncpg.Record | dict[str, Any]) -> Transfer:
    """A transfer of a row of TRANSFER."""
    values: dict[str, Any] = dict(row)
    values["metadata"] = _metadata(values["metadata"])
    return Transfer(**values)


def entry(row: asyncpg.Record) -> Entry:
    """An entry of a row of ENTRY."""
    values: dict[str, Any] = dict(row)
    values["metadata"] = _metadata(values["metadata"])
    return Entry(**values)


def account(row: asyncpg.Record) -> Account:
    """An account of a row of ACCOUNT."""
    return Account(**dict(row))


def hold(row: asyncpg.Record) -> Hold:
    """A hold of a row of HOLD."""
    return Hold(**dict(row))
