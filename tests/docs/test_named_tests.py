"""Tests that the documentation names are there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
INVARIANTS = ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11", "I12", "I15"]

_NAMED = re.compile(r"`(?P<path>tests/[\w/.]+?)(::(?P<test>\w+))?`")


def missing(text: str) -> list[str]:
    """The tests and folders of tests that a page names and that are not there."""
    return [
        named[0]
        for named in _NAMED.finditer(text)
        if not (ROOT / named["path"]).exists() or (named["test"] and named["test"] not in _tests(ROOT / named["path"]))
    ]


def _tests(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_test_that_a_page_names_is_there() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    assert {page.name: found for page in pages if (found := missing(page.read_text("utf-8")))} == {}


def test_every_invariant_has_a_test_by_property_and_one_by_crash() -> None:
    text = (ROOT / "docs" / "why" / "reliability.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "| I" in line[:3]]
    table = {row[0]: row[1:] for row in rows if len(row) == 5}
    assert list(table) == INVARIANTS
    for _, online, by_property, by_crash in table.values():
        assert online
        assert _NAMED.search(by_property)
        assert _NAMED.search(by_crash) or by_crash.startswith("as I1")
    assert _NAMED.search(table["I1"][3])


def test_a_test_that_has_another_name_by_now_is_seen() -> None:
    here = "tests/docs/test_named_tests.py"
    said = f"`{here}` `{here}::test_gone` `tests/gone/test_x.py::test_y` `tests/gone`"
    assert missing(said) == [f"`{here}::test_gone`", "`tests/gone/test_x.py::test_y`", "`tests/gone`"]
