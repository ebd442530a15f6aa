"""Numbered SQL migrations, per context, applied once, in order, under one advisory lock.

A migration is a file `NNNN_what.sql` in its context's `migrations` package. Its checksum is recorded: an applied file
that is changed later is refused, because two databases that claim the same number would differ.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from billfold.kernel import errors
from billfold.platform.postgres import database

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
else:
    _Connection = Any

#: An arbitrary number of ours: whoever holds it is migrating this database.
_ADVISORY_LOCK = 0x42_49_4C_4C_46_4F_4C_44
#: A migration that can't get its table lock soon gives up instead of stopping all traffic behind it.
LOCK_TIMEOUT_S = 5
#: Another process may be migrating the same database at start-up; it is waited for this long.
WAIT_FOR_OTHER_S = 60.0
_FILE = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

_BOOK = """
CREATE SCHEMA IF NOT EXISTS billfold;
CREATE TABLE IF NOT EXISTS billfold.migrations (
    context text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (context, number)
);
"""


class MigrationFailed(errors.BillfoldError):
    """A migration could not be applied; the database is as it was before it."""

    code = "migration_failed"


class MigrationChanged(errors.BillfoldError):
    """An applied migration's file has changed since; restore it and write a new migration instead."""

    code = "migration_changed"


class DatabaseNewer(errors.BillfoldError):
    """The database was migrated by a newer version; run that one, or restore a backup of before."""

    code = "database_newer"


class MigrationBusy(errors.Unavailable):
    """Another process is migrating this database."""

    code = "migration_busy"


class Migrations(msgspec.Struct, frozen=True):
    """Where a context's migrations are: `package` holds its numbered `.sql` files."""

    context: str
    package: str


class Migration(msgspec.Struct, frozen=True):
    """One file."""

    context: str
    number: int
    name: str
    checksum: str
    sql: str


def load(sets: Sequence[Migrations]) -> list[Migration]:
    """All files of `sets`: contexts in the order given, then by number."""
    found: list[Migration] = []
    for group in sets:
        files = sorted(resources.files(group.package).iterdir(), key=lambda file: file.name)
        for file in files:
            match = _FILE.fullmatch(file.name)
            if match is None:
                assert not file.name.endswith(".sql"), f"{file.name} is not named NNNN_what.sql"
                continue
            raw = file.read_bytes()
            found.append(Migration(group.context, int(match[1]), file.name, sha256(raw).hexdigest(), raw.decode()))
            last = found[-2:-1]
            assert not last or _place(last[0]) != _place(found[-1]), f"two migrations are number {file.name[:4]}"
    return found


def _place(migration: Migration) -> tuple[str, int]:
    return migration.context, migration.number


async def plan(dsn: str, sets: Sequence[Migrations]) -> list[Migration]:
    """The migrations that the database at `dsn` lacks, in the order in which they would be applied.

    Raises:
        MigrationChanged: an applied file is not what it was.
        DatabaseNewer: a migration is applied that has no file.
        DatabaseUnavailable: the database can't be reached.
    """
    connection = await _connect(dsn)
    try:
        known = await connection.fetchval("SELECT to_regclass('billfold.migrations')")
        return await _pending(connection, sets) if known else load(sets)
    finally:
        await connection.close()


async def migrate(dsn: str, sets: Sequence[Migrations]) -> list[Migration]:
    """Apply what is missing, each file in its own transaction, and return what was applied.

    Raises:
        MigrationFailed: a file's SQL failed; the files before it are applied, it and those after are not.
        MigrationChanged: an applied file is not what it was.
        DatabaseNewer: a migration is applied that has no file.
        MigrationBusy: another process has been migrating for too long.
        DatabaseUnavailable: the database can't be reached.
    """
    connection = await _connect(dsn)
    try:
        await _lock(connection)
        await connection.execute(_BOOK)
        pending = await _pending(connection, sets)
        for migration in pending:
            await _apply(connection, migration)
        return pending
    finally:
        # Closing the connection releases the advisory lock.
        await connection.close()


async def _connect(dsn: str) -> _Connection:
    with database.translated():
        return await asyncpg.connect(
            dsn,
            timeout=database.CONNECT_TIMEOUT_S,
            server_settings={"application_name": "billfold migrate", "lock_timeout": f"{LOCK_TIMEOUT_S}s"},
        )


async def _lock(connection: _Connection) -> None:
    deadline = asyncio.get_running_loop().time() + WAIT_FOR_OTHER_S
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _ADVISORY_LOCK):
        if asyncio.get_running_loop().time() > deadline:
            raise MigrationBusy
        await asyncio.sleep(0.1)


async def _pending(connection: _Connection, sets: Sequence[Migrations]) -> list[Migration]:
    rows = await connection.fetch(
        "SELECT context, number, name, checksum FROM billfold.migrations WHERE context = ANY($1)",
        [group.context for group in sets],
    )
    applied = {(row["context"], row["number"]): row for row in rows}
    pending = []
    for migration in load(sets):
        row = applied.pop(_place(migration), None)
        if row is None:
            pending.append(migration)
        elif row["checksum"] != migration.checksum:
            raise MigrationChanged(f"{migration.context}/{migration.name} was changed after it had been applied.")
    for row in applied.values():
        raise DatabaseNewer(f"{row['context']}/{row['name']} is applied, and this version does not have it.")
    return pending


async def _apply(connection: _Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO billfold.migrations (context, number, name, checksum) VALUES ($1, $2, $3, $4)",
                migration.context,
                migration.number,
                migration.name,
                migration.checksum,
            )
    except asyncpg.PostgresError as error:
        raise MigrationFailed(f"{migration.context}/{migration.name}: {error}") from error
