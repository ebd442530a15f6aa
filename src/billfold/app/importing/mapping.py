"""Which column of a file is what, given by flags or by a TOML file of the same names."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Dictionary
from pathlib import Path

import msgspec

from billfold.kernel import errors, forms

TAB = "tab"
NO_OVERDRAFT = "none"
UNLIMITED = "unlimited"


class MappingInvalid(errors.Invalid):
    """What was said about the columns of the file is wrong."""

    code = "mapping_invalid"


class Mapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The columns by their names, and how their texts are written. Every field is a flag and a key of the TOML file."""

    asset: str
    account_column: str
    amount_column: str
    #: Unique in the file. Without it, a row is known by its place, so that nothing may be inserted before it later.
    id_column: str | None = None
    #: The value date. Without it, everything counts from the moment of the import.
    date_column: str | None = None
    #: As strptime has it; without it, ISO dates and RFC 3339 instants.
    date_format: str | None = None
    #: Without it, the sign of the amount says the direction: in is positive.
    direction_column: str | None = None
    credit_value: str = "credit"
    debit_value: str = "debit"
    reference_column: str | None = None
    description_columns: list[str] = []
    metadata_columns: list[str] = []
    #: How far a wallet may go below zero: none, unlimited or an amount.
    overdraft: str = NO_OVERDRAFT
    delimiter: str = ","
    encoding: str = "utf-8"
    decimal_comma: bool = False

    def columns(self) -> Iterator[tuple[str, str]]:
        """Every column that is mapped, with the flag that names it."""
        for field in ("id", "account", "date", "amount", "direction", "reference"):
            column = getattr(self, f"{field}_column")
            if column is not None:
                yield f"--{field}-column", column
        for column in self.description_columns:
            yield "--description-columns", column
        for column in self.metadata_columns:
            yield "--metadata-columns", column

    def check_columns(self, present: Sequence[str]) -> None:
        """Compare with the header of the file.

        Raises:
            MappingInvalid: a mapped column is missing, or stands there twice.
        """
        for flag, column in self.columns():
            if column not in present:
                near = difflib.get_close_matches(column, present, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}?" if near else f"its columns are {', '.join(present)}."
                raise MappingInvalid(f"The file has no column {column!r} ({flag}); {hint}")
            if present.count(column) > 1:
                raise MappingInvalid(f"The file has more than one column {column!r} ({flag}); rename one of them.")


def load(file: Path | None, flags: Dictionary[str, object]) -> Mapping:
    """The mapping of the file, where there is one, with what the flags say above it.

    Raises:
        MappingInvalid: it can't be read, a name is unknown, a value is wrong or a necessary one is missing.
    """
    values = {} if file is None else _read(file)
    values |= {name: value for name, value in flags.items() if value is not None and value != []}
    unknown = next((name for name in values if name not in Mapping.__struct_fields__), None)
    if unknown is not None:
        nearest = difflib.get_close_matches(unknown, Mapping.__struct_fields__, n=1, cutoff=0.0)[0]
        raise MappingInvalid(f"{file} sets {unknown!r}, which is nothing that can be set; the nearest is {nearest!r}.")
    for needed in ("asset", "account_column", "amount_column"):
        if needed not in values:
            raise MappingInvalid(f"{_flag(needed)} is missing: give the flag, or set {needed} in a --mapping file.")
    try:
        mapping = msgspec.convert(values, Mapping)
    except msgspec.ValidationError as error:
        raise MappingInvalid(f"{file}: {forms.said(error)}") from error
    _check(mapping)
    return msgspec.structs.replace(mapping, delimiter="\t" if mapping.delimiter == TAB else mapping.delimiter)


def _read(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise MappingInvalid(f"The mapping file {file} can't be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MappingInvalid(f"The mapping file {file} is not valid TOML: {error}.") from error


def _check(mapping: Mapping) -> None:
    if mapping.direction_column is not None and mapping.credit_value.casefold() == mapping.debit_value.casefold():
        raise MappingInvalid("--credit-value and --debit-value are the same; the direction can't be told from them.")
    if mapping.delimiter != TAB and len(mapping.delimiter) != 1:
        raise MappingInvalid(f"--delimiter is one character or {TAB!r}, not {mapping.delimiter!r}.")
    try:
        encoded = "a\n".encode(mapping.encoding)
    except LookupError as error:
        raise MappingInvalid(f"--encoding {mapping.encoding!r} is not known; use utf-8, cp1250, latin-1, …") from error
    # Lines are found by their bytes before anything is decoded.
    if encoded != b"a\n":
        raise MappingInvalid(f"--encoding {mapping.encoding!r} can't be read line by line; convert the file to UTF-8.")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
