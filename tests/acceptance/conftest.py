"""A whole stack, as `billfold up` starts it, for all tests that want one; and which bank was imported."""

from collections.abc import Iterator

import pytest

from tests import bank as banks
from tests.bank import Bank
from tests.docs import stack

_imported: list[Bank] = []


@pytest.fixture(scope="session")
def billfold_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A running stack: the environment in which it is reached with its sandbox key."""
    with stack.running(tmp_path_factory.mktemp("stack")) as environment:
        yield environment


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    """A year of a bank: real where its file is at hand, otherwise made."""
    found = banks.find(tmp_path_factory.mktemp("bank"))
    _imported.append(found)
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for found in _imported:
        terminalreporter.write_line(f"bank that was imported: {found}")
