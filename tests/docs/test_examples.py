"""The pages in the root and under docs/: what is marked to be run does what the page says."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.docs import blocks, shell

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _is_run_here(page: Path) -> bool:
    """A page that wants another stack than the default one says so in a comment, and has a test of its own."""
    text = page.read_text(encoding="utf-8")
    return bool(blocks.examples(page, _name(page))) and not blocks.acts(text) and blocks.stack_of(text) is None


@pytest.mark.parametrize("page", [page for page in PAGES if _is_run_here(page)], ids=_name)
def test_the_examples_of_a_page_do_what_it_says(page: Path, running_stack: dict[str, str], tmp_path: Path) -> None:
    with shell.running(tmp_path, _at_home(running_stack, tmp_path / "home")) as bash:
        for example in blocks.examples(page, _name(page)):
            bash.check(example)


def _at_home(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """The environment of a reader whose stack is where it is when nobody says where."""
    folder = home / ".local" / "share"
    folder.mkdir(parents=True)
    (folder / "billfold").symlink_to(environment["BILLFOLD_DATA"])
    kept = {name: value for name, value in environment.items() if name not in {"BILLFOLD_DATA", "XDG_DATA_HOME"}}
    return kept | {"HOME": str(home)}


def test_every_curl_of_the_readme_is_run() -> None:
    forgotten = [
        fence.line
        for fence in blocks.fences((ROOT / "README.md").read_text(encoding="utf-8"))
        if "curl " in fence.code and fence.options is None
    ]
    assert not forgotten, f"README.md has curls that no test runs, in lines {forgotten}"
