"""The runner itself: an example that does not do what its page says is seen."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import blocks, shell

AN_ID = "019aa2c6-7a00-7000-8000-00000000a001"


@pytest.fixture
def bash(tmp_path: Path) -> Iterator[shell.Shell]:
    with shell.running(tmp_path, os.environ) as running:
        yield running


def run(bash: shell.Shell, tmp_path: Path, text: str) -> int:
    """Run the examples of a page and give back how many there were."""
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    found = blocks.examples(page, "page.md")
    for example in found:
        bash.check(example)
    return len(found)


def test_only_what_is_marked_is_run(bash: shell.Shell, tmp_path: Path) -> None:
    assert run(bash, tmp_path, "```bash\nfalse\n```\n\n<!-- run -->\n```bash\ntrue\n```\n") == 1


def test_a_variable_of_one_example_is_there_in_the_next(bash: shell.Shell, tmp_path: Path) -> None:
    text = "<!-- run -->\n```bash\nX=7\n```\n<!-- run: shows seven is 7 -->\n```sh\necho seven is $X\n```\n"
    assert run(bash, tmp_path, text) == 2


@pytest.mark.parametrize(
    "text",
    [
        "<!-- run -->\n```bash\nfalse\n```\n",
        "<!-- run -->\n```bash\nfalse\ntrue\n```\n",
        "<!-- run: exit 22 -->\n```bash\ntrue\n```\n",
        "<!-- run: shows 8 -->\n```bash\necho 7\n```\n",
        "<!-- run -->\n```console\n$ echo 7\n8\n```\n",
        "<!-- run -->\n```console\n$ false\n$ echo 7\n7\n```\n",
        f"<!-- run -->\n```console\n$ echo 7\n{AN_ID}\n```\n",
        "<!-- run -->\n```console\n$ echo 2026-01-31T00:00:00Z\n2026-01-30T00:00:00Z\n```\n",
        "<!-- run: shows 8 -->\n```python\nprint(7)\n```\n",
        "<!-- run -->\n```python\nraise SystemExit(1)\n```\n",
        "<!-- run -->\n```bash\ncurl --silent file:///nowhere/at/all\n```\n",
    ],
)
def test_an_example_that_does_something_else_is_seen(text: str, bash: shell.Shell, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:2"):
        run(bash, tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "<!-- run: exit 3; shows gone -->\n```bash\necho gone\n(exit 3)\n```\n",
        '<!-- run -->\n```console\n$ echo "id 123 is \\\n  paid"\nid … is … paid\n$ echo 2\n2\n```\n',
        f"<!-- run -->\n```console\n$ echo {AN_ID.replace('a', 'b')}\n{AN_ID}\n```\n",
        "<!-- run -->\n```console\n$ echo at 2026-01-31T11:22:33.123456Z\nat 2025-12-30T01:02:03Z\n```\n",
        "<!-- run -->\n```console\n$ echo 'a   '; echo b\na\nb\n```\n",
        "1. In a list:\n\n    <!-- run: shows 7 -->\n    ```python\n    if True:\n        print(7)\n    ```\n",
    ],
)
def test_an_example_that_does_what_it_says_passes(text: str, bash: shell.Shell, tmp_path: Path) -> None:
    assert run(bash, tmp_path, text) == 1


@pytest.mark.parametrize(
    "text",
    ["<!-- run: quickly -->\n```bash\ntrue\n```\n", "<!-- run -->\n```json\n{}\n```\n", "<!-- run: -->\n```\n```\n"],
)
def test_a_marker_that_means_nothing_is_refused(text: str, bash: shell.Shell, tmp_path: Path) -> None:
    with pytest.raises(blocks.MarkerUnknown, match=r"page\.md:2"):
        run(bash, tmp_path, text)
