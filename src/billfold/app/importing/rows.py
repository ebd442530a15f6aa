"""A record as money that came in or went out, or the reason why it is none. No I/O.

What the API would find wrong with a request as a whole is found here, row by row, so that one wrong row never costs its
neighbours; what only the ledger can know, such as a missing balance, is the API's answer to the row.
"""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b

import msgspec

from billfold.app.importing.mapping import Mapping
from billfold.app.importing.source import Broken, Record
from billfold.kernel import clock, idempotency, money
from billfold.kernel.errors import BillfoldError
from billfold.ledger import contracts as ledger
from billfold.ledger import errors
from billfold.wallets import contracts

#: A file has a few thousand days, and many rows of each.
_DAYS_REMEMBERED = 4_096
_BETWEEN_DESCRIPTIONS = ", "
#: What can be wrong with a date that only the ledger's clock can tell.
_VALUE_DATE = {errors.EffectiveInFuture.code, errors.EffectiveTooEarly.code}


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A deposit into the wallet of an account of the file, or a withdrawal from it."""

    record: Record
    key: str
    account: str
    kind: contracts.OrderKind
    amount: str
    effective_at: str | None
    reference: str
    description: str
    metadata: Dictionary[str, str]


class Reject(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A row that can't be imported: where it is, which of its columns is wrong (none: the whole line), and why."""

    line: int
    field: str
    reason: str
    fields: Dictionary[str, str] = {}
    #: Of a line that is no record.
    text: str = ""


class _Wrong(Exception):
    """A column's value is wrong."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason


class Rows:
    """Reads records by a mapping. `name` is that of the import: a row's key is made of it and the row's id."""

    def __init__(self, mapping: Mapping, *, name: str, scale: int) -> None:
        self._mapping = mapping
        self._name = name
        self._scale = scale
        self._instant = lru_cache(_DAYS_REMEMBERED)(self._read_instant)

    def read(self, record: Record | Broken) -> Row | Reject:
        """The row that the record is."""
        if isinstance(record, Broken):
            return Reject(line=record.line, field="", reason=record.reason, text=record.text)
        try:
            return self._row(record)
        except _Wrong as wrong:
            return Reject(line=record.line, field=wrong.column, reason=wrong.reason, fields=record.fields)

    def refused(self, row: Row, *, code: str, detail: str, pointer: str | None) -> Reject:
        """The reject of a row that the API has refused, for its field at `pointer` where it says so."""
        mapping = self._mapping
        if code == idempotency.IdempotencyKeyReused.code:
            # To the API it is a key that was used for something else; of keys nobody who imports a file has heard.
            column = mapping.id_column
            detail = "A row with this id was imported before, and was another one."
        elif code in _VALUE_DATE:
            column = mapping.date_column
        else:
            column = {
                "amount": mapping.amount_column,
                "effective_at": mapping.date_column,
                "reference": mapping.reference_column,
                "from": mapping.account_column,
                "to": mapping.account_column,
            }.get((pointer or "").rpartition("/")[2])
        return Reject(line=row.record.line, field=column or "", reason=detail, fields=row.record.fields)

    def _row(self, record: Record) -> Row:
        mapping, fields = self._mapping, record.fields
        kind, amount = self._movement(fields)
        date = mapping.date_column
        return Row(
            record=record,
            key=self._key(record),
            account=_needed(fields, mapping.account_column, contracts.EXTERNAL_ID_MAX),
            kind=kind,
            amount=amount,
            effective_at=None if date is None else self._effective_at(fields, date),
            reference=""
            if mapping.reference_column is None
            else _optional(fields, mapping.reference_column, ledger.REFERENCE_MAX),
            description=self._description(fields),
            metadata=self._metadata(fields),
        )

    def _key(self, record: Record) -> str:
        column = self._mapping.id_column
        row_id = str(record.line) if column is None else _needed(record.fields, column, None)
        return "import-" + blake2b(f"{self._name}\0{row_id}".encode(), digest_size=16).hexdigest()

    def _movement(self, fields: Dictionary[str, str]) -> tuple[contracts.OrderKind, str]:
        """Whether the money came in or went out, and how much it is."""
        mapping = self._mapping
        column = mapping.amount_column
        text = _needed(fields, column, None)
        if mapping.decimal_comma:
            if "." in text:
                raise _Wrong(column, f"{text!r} has a point; with --decimal-comma it is written as 1234,56.")
            text = text.replace(",", ".")
        if mapping.direction_column is None:
            text = text.removeprefix("+")
        try:
            units = money.parse(text, self._scale)
        except BillfoldError as error:
            raise _Wrong(column, f"{fields[column]!r}: {error.detail}") from error
        if units == 0:
            raise _Wrong(column, "The amount is zero.")
        if mapping.direction_column is None:
            return ("deposit" if units > 0 else "withdrawal"), text.removeprefix("-")
        if units < 0:
            raise _Wrong(
                column, f"The amount is negative, and {mapping.direction_column!r} says the direction already."
            )
        return self._direction(fields, mapping.direction_column), text

    def _direction(self, fields: Dictionary[str, str], column: str) -> contracts.OrderKind:
        value = _needed(fields, column, None)
        if value.casefold() == self._mapping.credit_value.casefold():
            return "deposit"
        if value.casefold() == self._mapping.debit_value.casefold():
            return "withdrawal"
        raise _Wrong(column, f"{value!r} is neither {self._mapping.credit_value!r} nor {self._mapping.debit_value!r}.")

    def _effective_at(self, fields: Dictionary[str, str], column: str) -> str:
        text = _needed(fields, column, None)
        try:
            return self._instant(text)
        except ValueError as error:
            raise _Wrong(column, f"{text!r} is not a date as {self._mapping.date_format!r} has it.") from error
        except clock.InvalidInstant as error:
            wanted = (
                "a date such as 2026-01-31 (see --date-format)"
                if self._mapping.date_format is None
                else "of the years 1000 to 9999"
            )
            raise _Wrong(column, f"{text!r} is not {wanted}.") from error

    def _read_instant(self, text: str) -> str:
        form = self._mapping.date_format
        if form is None:
            return clock.format(clock.parse(text))
        instant = datetime.strptime(text, form)  # noqa: DTZ007 - without an offset it is taken as UTC in the next line.
        return clock.format(clock.checked(instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)))

    def _description(self, fields: Dictionary[str, str]) -> str:
        columns = self._mapping.description_columns
        texts = [_optional(fields, column, ledger.DESCRIPTION_MAX) for column in columns]
        description = _BETWEEN_DESCRIPTIONS.join(text for text in texts if text)
        if len(description) > ledger.DESCRIPTION_MAX:
            raise _Wrong(columns[0], f"The descriptions together are longer than {ledger.DESCRIPTION_MAX} characters.")
        return description

    def _metadata(self, fields: Dictionary[str, str]) -> dict[str, str]:
        found = {
            column: _optional(fields, column, ledger.METADATA_VALUE_MAX) for column in self._mapping.metadata_columns
        }
        return {column: text for column, text in found.items() if text}


def _needed(fields: Dictionary[str, str], column: str, longest: int | None) -> str:
    text = _optional(fields, column, longest)
    if not text:
        raise _Wrong(column, "It is empty.")
    return text


def _optional(fields: Dictionary[str, str], column: str, longest: int | None) -> str:
    text = fields.get(column, "").strip()
    if longest is not None and len(text) > longest:
        raise _Wrong(column, f"It is longer than {longest} characters.")
    if not text.isprintable() and _has_impossible(text):
        raise _Wrong(column, "It has characters that are not of the file's --encoding, or NUL.")
    return text


def _has_impossible(text: str) -> bool:
    """NUL can't be stored, and a lone surrogate stands for a byte that could not be decoded."""
    return any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)
