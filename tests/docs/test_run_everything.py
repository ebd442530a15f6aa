"""docs/how-to/run-everything-on-one-machine.md: its examples, in its order, on a stack of the profile `full`."""

from pathlib import Path

import pytest

from billfold.app.supervisor import full
from tests.docs import blocks, shell, stack

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-everything-on-one-machine.md"


@pytest.mark.usefixtures("full_stack")
def test_the_examples_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    with (
        stack.running(tmp_path, profile="full") as environment,
        shell.running(tmp_path, environment) as bash,
    ):
        for example in blocks.examples(PAGE, PAGE.name):
            bash.check(example)


def test_the_page_names_every_setting_that_keeps_a_part_from_being_started() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for key in (*(key for one in full.SERVERS for key in one.yours), "ledger.address"):
        assert f"`{key}`" in text, key
