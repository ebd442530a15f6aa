"""What pages under docs/reference take from the product is what the product says."""

import re
from pathlib import Path

import pytest

import billfold
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


@pytest.mark.parametrize("context", ["identity", "ledger", "wallets"])
def test_every_event_type_is_described(context: str) -> None:
    told = (references.FOLDER / "events.md").read_text(encoding="utf-8")
    folder = Path(billfold.__file__).parent / context
    source = "".join(
        file.read_text(encoding="utf-8") for file in [*folder.glob("events.py"), *folder.glob("events/*.py")]
    )
    types = set(re.findall(r"[a-z_-]+\.[a-z_]+\.v\d", source))
    assert types
    assert {one for one in types if f"`{one}`" not in told} == set()


def test_a_page_without_its_part_is_refused() -> None:
    with pytest.raises(AssertionError, match="should have"):
        references.refreshed("# Errors\n", {"answers": "| code |\n"})


def test_a_part_that_has_grown_old_is_replaced() -> None:
    page = "# Errors\n\n<!-- made: answers -->\n\nold\n\n<!-- end -->\n\nThe end.\n"
    made = references.refreshed(page, {"answers": "new\n"})
    assert made == page.replace("old", "new")
