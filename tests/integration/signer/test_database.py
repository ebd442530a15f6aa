"""The signer's database is the signer's alone, and what it has written down stays."""

import asyncpg
import pytest

from billfold.chains.port import Payment
from billfold.platform.postgres import cluster
from tests import servers, signers

THERE = Payment(address="there", amount=5)


@pytest.mark.parametrize("dsn", ["app_dsn", "readonly_dsn"])
async def test_the_roles_of_the_api_and_the_worker_can_t_even_connect(
    database: signers.SignerDatabase, dsn: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="CONNECT"):
        await asyncpg.connect(getattr(database, dsn))


async def test_the_signer_s_role_enters_no_other_database(postgres_server: servers.PostgresServer) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="CONNECT"):
        await asyncpg.connect(postgres_server.embedded.dsn(cluster.SIGNER))


async def test_the_embedded_server_has_a_database_for_the_signer(postgres_server: servers.PostgresServer) -> None:
    dsn = postgres_server.embedded.dsn(cluster.SIGNER, database=cluster.SIGNER_DATABASE)
    connection = await asyncpg.connect(dsn)
    await connection.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="CONNECT"):
        await asyncpg.connect(postgres_server.embedded.dsn(cluster.APP, database=cluster.SIGNER_DATABASE))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE signer.log SET content = 'x'",
        "DELETE FROM signer.log",
        "TRUNCATE signer.log CASCADE",
        "UPDATE signer.signed SET raw = 'x'",
        "DELETE FROM signer.signed",
        "DELETE FROM signer.spending",
        "UPDATE signer.spending SET amount = 1",
        "UPDATE signer.spending SET slice = slice - interval '1 day'",
        "DELETE FROM signer.trees",
    ],
)
async def test_even_the_owner_can_t_take_back_what_was_written_down(
    database: signers.SignerDatabase, wallet: signers.Wallet, statement: str
) -> None:
    await wallet.pay(THERE)
    owner = await asyncpg.connect(database.owner_dsn)
    try:
        with pytest.raises(asyncpg.RestrictViolationError):
            await owner.execute(statement)
    finally:
        await owner.close()


async def test_the_signer_s_role_may_not_change_a_tree_s_chain(database: signers.SignerDatabase) -> None:
    connection = await asyncpg.connect(database.dsn)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE signer.trees SET network = 'sandbox'")
    finally:
        await connection.close()
