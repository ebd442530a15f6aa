"""Whether a database keeps secrets. Every table that does has them in a column `sealed`, in every version."""

from __future__ import annotations

import asyncpg

from billfold.platform.postgres import database

_TABLES = """
SELECT format('SELECT FROM %I.%I WHERE sealed IS NOT NULL', table_schema, table_name)
FROM information_schema.columns WHERE column_name = 'sealed' ORDER BY 1
"""


async def anything(dsn: str) -> bool:
    """Whether any row of any table has something sealed. It takes the owner of the database to see them all.

    Raises:
        DatabaseUnavailable: the database can't be reached.
    """
    with database.translated():
        connection = await asyncpg.connect(dsn, timeout=database.CONNECT_TIMEOUT_S)
    try:
        for found in await connection.fetch(_TABLES):
            if await connection.fetchval(f"SELECT EXISTS ({found[0]})"):
                return True
        return False
    finally:
        await connection.close()
