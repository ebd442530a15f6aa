"""One API for all tests of pages: each has people of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from billfold.app.migrate import SETS
from tests import servers
from tests.browser import people


@pytest.fixture(scope="session")
def town_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    return postgres_server.create_database(SETS)


@pytest.fixture(scope="session")
def town(town_database: servers.TestDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[people.Town]:
    yield from people.running_town(town_database, tmp_path_factory.mktemp("town"))
