"""A whole stack, as `billfold up` starts it, for all tests that want one."""

from collections.abc import Iterator

import pytest

from tests.docs import stack


@pytest.fixture(scope="session")
def billfold_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A running stack: the environment in which it is reached with its sandbox key."""
    with stack.running(tmp_path_factory.mktemp("stack")) as environment:
        yield environment
