import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold.identity import errors
from billfold.identity.domain import names


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("  Ada \u00a0 Lovelace ", "Ada Lovelace"),
        ("Ame\u0301lie", "Amélie"),
        ("สมชาย ใจดี", "สมชาย ใจดี"),
        ("O'Neil & Sons (2)", "O'Neil & Sons (2)"),
        ("👩\u200d🚀", "👩\u200d🚀"),
    ],
)
def test_a_name_is_kept_as_it_is_written(typed: str, kept: str) -> None:
    assert names.display_name(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        "...",
        "\u200d\u200d",
        "Ada\r\nBcc: eve@example.com",
        "Ada\nLovelace",
        "Ada\0",
        "Ada\u202eecalevoL",
        "Ada\u2066x\u2069",
        "Ada\u200b",
        "Ada\u2028x",
        "Ada\ufeff",
        "Ada\ue000",
        "x" * 101,
        "x" * 100_000,
    ],
)
def test_a_name_that_hides_something_is_none(typed: str) -> None:
    with pytest.raises(errors.InvalidDisplayName):
        names.display_name(typed)


@given(st.text(max_size=150))
def test_a_name_that_is_taken_stays_as_it_is(text: str) -> None:
    try:
        kept = names.display_name(text)
    except errors.InvalidDisplayName:
        return
    assert names.display_name(kept) == kept
    assert 1 <= len(kept) <= 100
    assert not {unicodedata.category(character) for character in kept} & {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert len(names.initials(kept)) >= 1


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Ada Lovelace", "AL"),
        ("ada augusta lovelace", "AL"),
        ("Ada", "A"),
        ("(Ada) [Lovelace]", "AL"),
        ("สมชาย ใจดี", "สจ"),
        ("★", "★"),
        ("Ada ★", "A"),
    ],
)
def test_initials_stand_for_a_name(name: str, letters: str) -> None:
    assert names.initials(name) == letters
