"""A whole stack, as `billfold up` starts it, for all tests that want one."""

from collections.abc import Callable, Iterator

import pytest

from tests import bank as banks
from tests.bank import Bank
from tests.docs import stack


@pytest.fixture(scope="session")
def billfold_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A running stack: the environment in which it is reached with its sandbox key."""
    with stack.running(tmp_path_factory.mktemp("stack")) as environment:
        yield environment


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory, remark: Callable[[str], None]) -> Bank:
    """A year of a bank: real where its file is at hand, otherwise made."""
    found = banks.find(tmp_path_factory.mktemp("bank"))
    remark(f"bank that was imported: {found}")
    return found
