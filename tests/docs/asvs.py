"""The page about OWASP's ASVS: its table, and the summary of it that stands at its top.

The table is written by hand. `python -m tests.docs.asvs` writes the summary again.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.docs.references import refreshed
from tests.docs.references.tables import table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "asvs.md"
#: The level and id of each requirement of levels 1 and 2 in version 5.0.0.
IDS = Path(__file__).with_name("asvs-5.0.0.txt")
STATES = ("met", "partly", "not met", "not applicable")
OPEN = ("partly", "not met")

_ROW = re.compile(r"^\| (?P<id>V\d+\.\d+\.\d+) \| (?P<rest>.*) \|$", re.MULTILINE)


class Row(NamedTuple):
    """What is said of one requirement."""

    id: str
    level: str
    about: str
    state: str
    evidence: str


def rows(text: str) -> list[Row]:
    """All rows of a page's table, in its order."""
    found = []
    for line in _ROW.finditer(_without_summary(text)):
        cells = line["rest"].split(" | ")
        assert len(cells) == len(Row._fields) - 1, f"{line['id']} has {len(cells) + 1} cells"
        found.append(Row(line["id"], *cells))
    return found


def summary(found: Sequence[Row]) -> dict[str, str]:
    """What stands at the top of the page."""
    counted = Counter((row.state, row.level) for row in found)
    levels = sorted({row.level for row in found})
    counts = [(state, *(str(counted[state, level]) for level in levels)) for state in STATES]
    missing = [(row.id, row.level, row.about, row.state, row.evidence) for row in found if row.state in OPEN]
    return {
        "counts": table(("state", *(f"level {level}" for level in levels)), counts),
        "open": table(("id", "level", "about", "state", "what is missing"), missing),
    }


def made(text: str) -> str:
    """The page with its summary made again."""
    return refreshed(text, summary(rows(text)))


def _without_summary(text: str) -> str:
    return re.sub(r"<!-- made: .*?<!-- end -->", "", text, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(made(PAGE.read_text("utf-8")), "utf-8")
