"""Records as rows, and what is wrong with those that are none."""

from __future__ import annotations

import pytest

from billfold.app.importing import mapping as mappings
from billfold.app.importing.rows import Reject, Row, Rows
from billfold.app.importing.source import Broken, Record

_COLUMNS = {"asset": "CZK", "account_column": "account", "amount_column": "amount", "id_column": "id"}


def _rows(scale: int = 2, name: str = "bank.csv", **more: object) -> Rows:
    return Rows(mappings.load(None, {**_COLUMNS, **more}), name=name, scale=scale)


def _record(**fields: str) -> Record:
    return Record(7, {"id": "1", "account": "a", "amount": "1.00", **fields})


def _row(rows: Rows, **fields: str) -> Row:
    found = rows.read(_record(**fields))
    assert isinstance(found, Row), found
    return found


def _reject(rows: Rows, **fields: str) -> Reject:
    found = rows.read(_record(**fields))
    assert isinstance(found, Reject), found
    assert found.line == 7
    return found


def test_the_sign_of_an_amount_is_its_direction() -> None:
    assert (_row(_rows(), amount="12.3").kind, _row(_rows(), amount="12.3").amount) == ("deposit", "12.3")
    assert (_row(_rows(), amount="+12.3").kind, _row(_rows(), amount="+12.3").amount) == ("deposit", "12.3")
    assert (_row(_rows(), amount="-12.3").kind, _row(_rows(), amount="-12.3").amount) == ("withdrawal", "12.3")


def test_a_column_can_say_the_direction() -> None:
    rows = _rows(direction_column="direction", credit_value="C", debit_value="D")
    assert _row(rows, direction=" c ").kind == "deposit"
    assert _row(rows, direction="D").kind == "withdrawal"
    assert _reject(rows, direction="X").reason == "'X' is neither 'C' nor 'D'."
    assert _reject(rows, direction="").field == "direction"


def test_an_amount_has_no_second_sign_beside_a_direction() -> None:
    rows = _rows(direction_column="direction")
    assert "negative" in _reject(rows, direction="debit", amount="-1.00").reason
    assert _reject(rows, direction="debit", amount="+1.00").field == "amount"


@pytest.mark.parametrize(
    "amount", ["", " ", "0", "0.00", "-0.00", "1.234", "1,000.00", "1e3", "NaN", "1.", ".5", "٣", "1 000", "9" * 200]
)
def test_an_amount_that_is_not_plainly_one_is_rejected(amount: str) -> None:
    assert _reject(_rows(), amount=amount).field == "amount"


def test_a_decimal_comma_is_read_when_it_is_announced() -> None:
    assert _row(_rows(decimal_comma=True), amount="-1234,56").amount == "1234.56"
    assert _reject(_rows(), amount="1234,56").field == "amount"
    # What would be 1234 to one reader and 1.234 to another is neither.
    assert "has a point" in _reject(_rows(decimal_comma=True), amount="1.234").reason


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1993-01-31", "1993-01-31T00:00:00.000000Z"),
        ("1993-01-31T01:00:00+01:00", "1993-01-31T00:00:00.000000Z"),
    ],
)
def test_a_value_date_becomes_an_instant(text: str, instant: str) -> None:
    assert _row(_rows(date_column="date"), date=text).effective_at == instant


def test_a_date_can_have_a_form_of_its_own() -> None:
    rows = _rows(date_column="date", date_format="%d.%m.%Y")
    assert _row(rows, date="31.1.1993").effective_at == "1993-01-31T00:00:00.000000Z"
    assert _reject(rows, date="1993-01-31").reason == "'1993-01-31' is not a date as '%d.%m.%Y' has it."


@pytest.mark.parametrize("text", ["", "1993-02-29", "31.1.1993", "1993-01-31T12:00:00"])
def test_a_date_that_is_none_is_rejected(text: str) -> None:
    assert _reject(_rows(date_column="date"), date=text).field == "date"


@pytest.mark.parametrize("text", ["0001-01-01 +1400", "0999-12-31 +0000", "0001-06-01 +0000"])
def test_a_date_in_a_form_of_its_own_is_of_the_years_that_can_be_reckoned_with(text: str) -> None:
    rows = _rows(date_column="date", date_format="%Y-%m-%d %z")
    assert _reject(rows, date=text).reason == f"{text!r} is not of the years 1000 to 9999."


def test_without_a_date_column_the_moment_of_the_import_counts() -> None:
    assert _row(_rows()).effective_at is None


def test_texts_are_taken_over() -> None:
    rows = _rows(
        reference_column="id", description_columns=["operation", "purpose"], metadata_columns=["bank", "purpose"]
    )
    row = _row(rows, operation="card withdrawal", purpose="", bank=" YZ ")
    assert (row.reference, row.description, row.metadata) == ("1", "card withdrawal", {"bank": "YZ"})
    row = _row(rows, operation="transfer out", purpose="pension")
    assert (row.description, row.metadata) == ("transfer out, pension", {"purpose": "pension"})


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("account", "a" * 101),
        ("account", "a\0b"),
        ("account", "Dvo\udcf8\udce1k"),
        ("id", ""),
        ("reference", "r" * 141),
        ("description", "d" * 501),
        ("metadata", "m" * 501),
    ],
)
def test_what_would_cost_the_whole_block_is_rejected_alone(field: str, text: str) -> None:
    rows = _rows(reference_column="reference", description_columns=["description"], metadata_columns=["metadata"])
    assert _reject(rows, **{field: text}).field == field


def test_the_key_of_a_row_follows_from_the_import_and_its_id() -> None:
    key = _row(_rows()).key
    assert _row(_rows(), account="other", amount="5").key == key
    assert _row(_rows(), id="2").key != key
    assert _row(_rows(name="other.csv")).key != key
    assert key.isascii()
    assert len(key) <= 255


def test_without_an_id_a_row_is_known_by_its_line() -> None:
    rows = _rows(id_column=None)
    first, again, next_ = (rows.read(Record(line, {"account": "a", "amount": "1"})) for line in (2, 2, 3))
    assert isinstance(first, Row)
    assert isinstance(again, Row)
    assert isinstance(next_, Row)
    assert first.key == again.key != next_.key


def test_a_broken_line_is_a_reject() -> None:
    assert _rows().read(Broken(3, "Why.", "raw")) == Reject(line=3, field="", reason="Why.", text="raw")


def test_what_the_api_refuses_is_said_of_the_column_it_came_from() -> None:
    rows = _rows(date_column="date")
    row = _row(rows, date="1993-01-31")

    def column(code: str, pointer: str | None) -> str:
        return rows.refused(row, code=code, detail="No.", pointer=pointer).field

    assert column("invalid_amount", "/items/3/money/amount") == "amount"
    assert column("wallet_unknown", "/items/3/to") == "account"
    assert column("effective_too_early", None) == "date"
    assert column("insufficient_funds", None) == ""
    again = rows.refused(row, code="idempotency_key_reused", detail="No.", pointer=None)
    assert (again.line, again.field) == (7, "id")
    assert again.reason == "A row with this id was imported before, and was another one."
    assert again.fields == row.record.fields
