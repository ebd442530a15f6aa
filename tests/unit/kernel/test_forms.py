from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from billfold.kernel import forms

_CODE = forms.pattern(r"^[A-Z]{3}$", "three capital letters")


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    code: Annotated[str, Meta(pattern=_CODE)] = "ABC"
    other: Annotated[str, Meta(pattern="^x")] = "x"
    text: Annotated[str, Meta(max_length=3, pattern=forms.NO_NUL)] = ""
    count: int | None = None


class Outer(msgspec.Struct):
    inner: list[Inner] = []
    notes: dict[str, Annotated[str, Meta(pattern=forms.NO_NUL)]] = {}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"inner": [{"code": "abc"}]}, "Expected three capital letters at /inner/0/code."),
        (
            {"inner": [{}, {"other": "y"}]},
            "Expected text in the form that the documentation describes at /inner/1/other.",
        ),
        ({"inner": [{"text": "a\0"}]}, "Expected text without the character NUL at /inner/0/text."),
        ({"notes": {"n": "a\0"}}, "Expected text without the character NUL at /notes."),
        ({"inner": [{"text": "long"}]}, "Expected text of length <= 3 at /inner/0/text."),
        ({"inner": [{"text": 1}]}, "Expected text, got whole number at /inner/0/text."),
        ({"inner": [{"count": True}]}, "Expected whole number | null, got true or false at /inner/0/count."),
        ({"inner": [{"str": 1}]}, "Object contains unknown field str at /inner/0."),
        ([], "Expected object, got array."),
    ],
)
def test_what_is_wrong_is_said_in_words(value: Any, said: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(value, Outer)
    assert forms.said(refused.value) == said


def test_a_name_with_a_slash_is_escaped() -> None:
    assert forms.escaped("a/b~c") == "a~1b~0c"
