"""What docs/how-to/keep-history-in-cassandra.md gives the user of the roles is enough for a copy, and for no more."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from billfold.kernel import ids
from billfold.kernel.clock import SystemClock
from billfold.kernel.principal import Principal
from billfold.platform import cql
from billfold.wallets import CqlHistory, Wallets
from billfold.wallets.contracts import TransactionFilter
from tests import facades, servers
from tests.docs import blocks
from tests.integration.wallets.history.conftest import PATIENCE_S
from tests.integration.wallets.history.support import Histories
from tests.integration.wallets.support import wallet_of

PAGE = Path(__file__).parents[4] / "docs" / "how-to" / "keep-history-in-cassandra.md"
PASSWORD = "change-me-billfold"


def statements(beginning: str, *, keyspace: str, user: str) -> list[str]:
    """Those of the page that begin so, about this keyspace and this user in the place of Billfold's."""
    sql = "".join(fence.code for fence in blocks.fences(PAGE.read_text(encoding="utf-8")) if fence.language == "sql")
    found = [line.removesuffix(";") for line in sql.splitlines() if line.startswith(beginning) and "billfold" in line]
    assert found, beginning
    return [
        re.sub(r"(ROLE|TO) billfold\b", rf"\1 {user}", line).replace("KEYSPACE billfold", f"KEYSPACE {keyspace}")
        for line in found
    ]


@pytest.fixture
async def session_of_roles(
    cassandra_server: servers.CassandraServer, cql_keyspace: tuple[cql.Session, str]
) -> AsyncIterator[cql.Session]:
    """A session of a user with the rights that the page gives."""
    keeper, keyspace = cql_keyspace
    user = f"u{ids.new().hex}"
    for beginning in ("CREATE ROLE", "GRANT"):
        for statement in statements(beginning, keyspace=keyspace, user=user):
            await keeper.apply_schema(statement)
    at = msgspec.structs.replace(servers.cql_of(cassandra_server), user=user, password=PASSWORD)
    async with cql.opened(at) as session:
        await session.wait_until_up(PATIENCE_S)
        yield session


async def test_they_are_enough_to_keep_to_read_and_to_empty_a_copy(
    histories: Histories, session_of_roles: cql.Session, cql_keyspace: tuple[cql.Session, str], ada: Principal
) -> None:
    _, keyspace = cql_keyspace
    copy = CqlHistory(
        session=session_of_roles, ledger=histories.ledger, keyspace=keyspace, ttl_days=None, clock=SystemClock()
    )
    identity = facades.identity(histories.database)
    wallets = Wallets(database=histories.database, ledger=histories.ledger, identity=identity, history=copy)
    assert wallets.history is not None
    await wallet_of(histories.journal, ada, holding="10.00")
    await wallets.history.rebuild(progress=lambda *_: None)
    await wallet_of(histories.journal, ada, holding="5.00")
    await wallets.history.take(await histories.events())
    page = await wallets.transactions.page(principal=ada, wanted=TransactionFilter())
    assert (page.source, len(page.items)) == ("cql", 2)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE ROLE another WITH PASSWORD = 'x' AND LOGIN = true",
        "SELECT * FROM system_auth.roles",
        "DROP TABLE {keyspace}.transactions",
        "CREATE KEYSPACE {keyspace}_2 WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}",
    ],
)
async def test_they_are_rights_to_nothing_else(
    session_of_roles: cql.Session, cql_keyspace: tuple[cql.Session, str], statement: str
) -> None:
    with pytest.raises(cql.CqlUnavailable, match=r"(?i)permission|authorized"):
        await session_of_roles.apply_schema(statement.format(keyspace=cql_keyspace[1]))
