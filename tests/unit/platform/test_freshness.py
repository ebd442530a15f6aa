"""How old an answer may be: what callers write into Cache-Control, and what nobody understands."""

import pytest

from billfold.platform.web import freshness


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("max-age=5", 5),
        ("max-age=0", 0),
        ("Max-Age = 5", 5),
        ('max-age="5"', 5),
        ("only-if-cached, max-age=60", 60),
        ("max-age=60, max-age=5", 5),
        ("max-age=60, no-cache", 0),
        ("no-store,max-age=60", 0),
        ("max-stale=60", 0),
        ("max-age", 0),
        ("max-age=", 0),
        ("max-age=-1", 0),
        ("max-age=1.5", 0),
        ("max-age=\N{ARABIC-INDIC DIGIT FIVE}", 0),
        ("max-age=60, max-age=soon", 0),
        ("max-age=9999999999", 9_999_999_999),
        ("max-age=" + "9" * 5000, 0),
    ],
)
def test_a_reader_says_how_old_it_may_be(header: str | None, seconds: int) -> None:
    assert freshness.max_age_s(header) == seconds
