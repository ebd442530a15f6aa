"""Ada has an address that is verified, Bob has none; their mail box and the clock are looked into and moved."""

import pytest

from billfold.identity import Identity
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database
from tests import facades
from tests.integration.identity.aliases.names import tail
from tests.integration.identity.holders import MailBox, Watch, person


@pytest.fixture
def mail() -> MailBox:
    return MailBox()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def identity(database: Database, mail: MailBox, watch: Watch) -> Identity:
    return facades.identity(database, mail=mail, clock=watch)


@pytest.fixture
async def ada(database: Database) -> Principal:
    return await person(database, "Ada Lovelace", email=f"ada-{tail()}@example.com")


@pytest.fixture
async def bob(database: Database) -> Principal:
    return await person(database, "Bob Bobson")
