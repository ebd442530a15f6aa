import tomllib
from pathlib import Path

import billfold
from tests.architecture import contexts

PACKAGE = Path(billfold.__file__).parent
ROOT = Path(__file__).parents[2]


def test_a_context_consists_of_the_files_that_every_context_consists_of() -> None:
    assert contexts.misnamed(PACKAGE) == []


def test_a_table_is_named_in_the_store_of_its_context_and_nowhere_else() -> None:
    assert contexts.tables_named_elsewhere(PACKAGE) == []


def test_sql_stands_in_stores() -> None:
    assert contexts.statements_outside_of_stores(PACKAGE) == []


def test_each_context_has_one_schema_of_its_own_name() -> None:
    schemas = contexts.schemas(PACKAGE)
    assert {name: schemas.get(name) for name in contexts.names(PACKAGE)} == {
        name: name for name in contexts.names(PACKAGE)
    }


def test_each_context_has_a_border_that_is_watched() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = pyproject["tool"]["importlinter"]["contracts"]
    watched = {module for contract in contracts for module in contract.get("protected_modules", ())}
    layered = {container for contract in contracts for container in contract.get("containers", ())}
    for name in contexts.names(PACKAGE):
        assert f"billfold.{name}.*" in watched
        assert f"billfold.{name}" in layered
