"""What the roles of the database may read of people."""

import pytest

from billfold.platform.postgres.database import Database

#: By these somebody is known, found or written to, or could be taken for somebody else.
PERSONAL_COLUMNS = {
    "aliases": ("shown", "canonical", "skeleton", "code_hash"),
    "users": ("email", "phone", "display_name", "password_hash"),
    "sessions": ("device", "address"),
    "external_identities": ("subject", "name"),
    "passkeys": ("name", "credential_id", "public_key"),
}


@pytest.mark.parametrize("table", PERSONAL_COLUMNS)
async def test_who_only_reads_the_database_sees_nothing_by_which_somebody_is_known(
    database: Database, table: str
) -> None:
    async with database.connection() as connection:
        for column in ("id", *PERSONAL_COLUMNS[table]):
            granted = await connection.fetchval(
                "SELECT has_column_privilege('billfold_readonly', $1, $2, 'SELECT')", f"identity.{table}", column
            )
            assert granted == (column == "id"), column
