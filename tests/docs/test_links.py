"""Links between files of the repository lead somewhere. (Those within docs/ are checked by `make docs` as well.)"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "src").rglob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

_FENCED = re.compile(r"^\s*```.*?^\s*```\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!`)\[[^\]\n]+\]\((?P<target>[^)\s]+)\)|<img[^>]+src=\"(?P<image>[^\"]+)\"")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def broken_links(page: Path) -> list[str]:
    """The links of a page to files that are not there."""
    targets = [found["target"] or found["image"] for found in _LINK.finditer(_FENCED.sub("", page.read_text("utf-8")))]
    local = (target.partition("#")[0] for target in targets if not re.match(r"\w+:", target))
    return [target for target in local if target and not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_link_that_leads_nowhere_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[here](page.md#x) [there](https://example.org) ![shot](gone.png) [gone](gone.md)", "utf-8")
    assert broken_links(page) == ["gone.png", "gone.md"]
