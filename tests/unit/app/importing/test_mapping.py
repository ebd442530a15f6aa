"""What can be said about a file's columns, and what is wrong to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from billfold.app.importing import mapping as mappings
from billfold.app.importing.mapping import MappingInvalid

_NEEDED = {"asset": "CZK", "account_column": "account", "amount_column": "amount"}


def _toml(folder: Path, content: str) -> Path:
    path = folder / "mapping.toml"
    path.write_text(content, encoding="utf-8")
    return path


def test_flags_stand_above_the_file(tmp_path: Path) -> None:
    file = _toml(tmp_path, 'asset = "CZK"\naccount_column = "a"\namount_column = "b"\ndescription_columns = ["c"]\n')
    found = mappings.load(file, {"amount_column": "x", "id_column": None, "description_columns": []})
    assert (found.account_column, found.amount_column, found.id_column) == ("a", "x", None)
    assert found.description_columns == ["c"]


@pytest.mark.parametrize("missing", sorted(_NEEDED))
def test_what_is_needed_is_asked_for_by_its_flag(missing: str) -> None:
    with pytest.raises(MappingInvalid, match=f"^--{missing.replace('_', '-')} is missing"):
        mappings.load(None, {name: value for name, value in _NEEDED.items() if name != missing})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("acount_column = 1", "'acount_column', which is nothing that can be set; the nearest is 'account_column'"),
        ('asset = ["CZK"]', r"Expected text, got array at /asset\."),
        ("asset = ", "is not valid TOML"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, content: str, said: str) -> None:
    flags: dict[str, object] = {name: value for name, value in _NEEDED.items() if name != "asset"}
    with pytest.raises(MappingInvalid, match=said):
        mappings.load(_toml(tmp_path, content), flags | ({} if "asset" in content else {"asset": "CZK"}))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MappingInvalid, match=r"absent\.toml can't be read: No such file"):
        mappings.load(tmp_path / "absent.toml", _NEEDED)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"direction_column": "d", "credit_value": "x", "debit_value": "X"}, "are the same"),
        ({"delimiter": ";;"}, "--delimiter is one character"),
        ({"encoding": "klingon"}, "'klingon' is not known"),
        ({"encoding": "utf-16"}, "can't be read line by line"),
        ({"encoding": "hex"}, "'hex' is not known"),
    ],
)
def test_a_wrong_value_says_what_is_wrong(more: dict[str, object], said: str) -> None:
    with pytest.raises(MappingInvalid, match=said):
        mappings.load(None, {**_NEEDED, **more})


def test_a_tab_has_a_name() -> None:
    assert mappings.load(None, {**_NEEDED, "delimiter": "tab"}).delimiter == "\t"
