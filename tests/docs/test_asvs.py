"""The page about OWASP's ASVS says something about each requirement, and names nothing that is not there."""

import re

import pytest

from tests.docs import asvs
from tests.docs.test_named_tests import missing

PAGE = asvs.PAGE.read_text("utf-8")
ROWS = asvs.rows(PAGE)

_PATH = re.compile(r"`((?:src|tests|docs|deploy|requirements)/[^`:]+|[A-Z]+\.md|[\w-]+\.(?:toml|yml))(?:::\w+)?`")


def wrong(row: asvs.Row) -> list[str]:
    """What is wrong with what a row says."""
    found = [] if row.state in asvs.STATES else [f"{row.state!r} is no state"]
    found += [f"{path} is not there" for path in _PATH.findall(row.evidence) if not (asvs.ROOT / path).exists()]
    found += [f"{named} is not there" for named in missing(row.evidence)]
    if row.state == "met" and not _PATH.search(row.evidence):
        found.append("nothing shows it")
    if row.state in asvs.OPEN and not re.sub(r"`[^`]*`|[,;\s]", "", row.evidence):
        found.append("it does not say what is missing")
    return found


def test_each_requirement_of_levels_1_and_2_stands_there_once() -> None:
    wanted = [line.split() for line in asvs.IDS.read_text("ascii").splitlines()]
    assert [[row.level, row.id] for row in ROWS if row.level != "3"] == wanted


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_what_a_row_says_is_a_state_and_what_it_names_is_there(row: asvs.Row) -> None:
    assert wrong(row) == []


def test_the_summary_is_that_of_the_table() -> None:
    assert asvs.made(PAGE) == PAGE, "docs/reference/asvs.md: run `python -m tests.docs.asvs`"


def test_a_summary_lists_what_is_missing_and_counts_the_rest() -> None:
    text = "| V1.1.1 | 1 | a | met | `README.md` |\n| V1.1.2 | 2 | b | partly | no c |\n| V1.1.3 | 2 | d | met | e |\n"
    parts = asvs.summary(asvs.rows(text))
    assert "| met | 1 | 1 |\n| partly | 0 | 1 |" in parts["counts"]
    assert parts["open"].splitlines()[2:] == ["| V1.1.2 | 2 | b | partly | no c |"]


@pytest.mark.parametrize(
    ("state", "evidence"),
    [
        ("mostly", "`README.md`"),
        ("met", "of course"),
        ("met", "`src/billfold/gone.py`"),
        ("met", "`tests/docs/test_asvs.py::test_gone`"),
        ("met", "`tests/docs/test_gone.py::test_gone`"),
        ("partly", "`README.md`"),
        ("not met", ""),
    ],
)
def test_a_row_that_says_too_little_or_too_much_is_seen(state: str, evidence: str) -> None:
    assert wrong(asvs.Row("V1.1.1", "1", "a", state, evidence)) != []
