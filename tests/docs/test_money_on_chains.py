"""The pages that want chains of this machine's own: what is marked to be run does what the page says."""

from pathlib import Path

import pytest

from tests.docs import blocks, shell, stack

PAGES = [
    page
    for page in sorted((Path(__file__).parents[2] / "docs").rglob("*.md"))
    if blocks.stack_of(page.read_text(encoding="utf-8")) == "sandbox"
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_do_what_it_says_with_a_sandbox(page: Path, tmp_path: Path) -> None:
    with (
        stack.running(tmp_path, option="--sandbox") as environment,
        shell.running(tmp_path, stack.second_terminal(environment)) as bash,
    ):
        for example in blocks.examples(page, page.name):
            bash.check(example)


def test_there_are_such_pages() -> None:
    assert [page.name for page in PAGES] == ["money-on-chains.md"]
