"""What pages under docs/reference take from the product is what the product says."""

import pytest

from billfold.kernel.errors import catalogue
from tests.docs import references
from tests.docs.references import running


@pytest.fixture(scope="module")
def seen(running_stack: dict[str, str]) -> running.Running:
    return running.look(running_stack)


@pytest.mark.parametrize("name", references.PAGES)
def test_a_page_is_up_to_date(name: str, seen: running.Running) -> None:
    text = (references.FOLDER / name).read_text(encoding="utf-8")
    assert text == references.refreshed(text, references.PAGES[name](seen)), (
        f"docs/reference/{name} differs from the product: run `python -m tests.docs.references`"
    )


def test_every_error_code_is_explained_once(seen: running.Running) -> None:
    tables = "".join(references.PAGES["errors.md"](seen).values())
    ours = [error.code for error in catalogue() if error.__module__.startswith("billfold.")]
    assert [code for code in ours if tables.count(f"`{code}` |") != 1] == []


def test_every_scope_is_needed_by_an_operation(seen: running.Running) -> None:
    rows = references.PAGES["roles-and-scopes.md"](seen)["scopes"].splitlines()
    assert [row for row in rows if row.endswith("|  |")] == []


def test_a_page_without_its_part_is_refused() -> None:
    with pytest.raises(AssertionError, match="should have"):
        references.refreshed("# Errors\n", {"answers": "| code |\n"})


def test_a_part_that_has_grown_old_is_replaced() -> None:
    page = "# Errors\n\n<!-- made: answers -->\n\nold\n\n<!-- end -->\n\nThe end.\n"
    made = references.refreshed(page, {"answers": "new\n"})
    assert made == page.replace("old", "new")
