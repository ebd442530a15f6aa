"""A signer for one drill: a real one, over a database of its own that is gone afterwards.

Its master key is in this process's memory alone. So whatever a drill that is killed may leave behind opens no more; and
a small shell removes that, too, as soon as this process has ended in whatever way.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from billfold.app.migrate import SIGNER_SETS
from billfold.platform.keys import Keyring, local
from billfold.platform.postgres import cluster, migrations
from billfold.platform.postgres.database import Database
from billfold.platform.postgres.embedded import EmbeddedPostgres
from billfold.signer import Signer

#: What folders of drills are called, wherever the system keeps temporary files.
PREFIX = "billfold-drill-"
#: A drill has a connection for what it restores, and one to spare.
_POOL_SIZE = 2
_KEY_ID_BYTES = 8
_KEY_BYTES = 32
#: Reads until our end of the pipe is closed, and removes. A server that ends at the same moment may still write: then
#: the folder is not empty, and it is tried again, for a minute.
_WIPE = """
cat > /dev/null
n=0
while [ -e "$1" ] && [ "$n" -lt 600 ]; do
  rm -rf -- "$1" && break
  n=$((n + 1))
  sleep 0.1
done
"""


@contextlib.asynccontextmanager
async def signer() -> AsyncIterator[Signer]:
    """An empty signer, until the block ends.

    Raises:
        ServerNotInstalled, ChildFailed, NoUnprivilegedUser: there is no PostgreSQL that could be started here.
    """
    async with _folder() as folder:
        postgres = EmbeddedPostgres(folder, on_line=lambda _: None)
        child = await postgres.start()
        try:
            await migrations.migrate(postgres.dsn(cluster.OWNER, database=cluster.SIGNER_DATABASE), SIGNER_SETS)
            dsn = postgres.dsn(cluster.SIGNER, database=cluster.SIGNER_DATABASE)
            database = await Database.connect(dsn, size=_POOL_SIZE, name="billfold restore-drill")
            try:
                yield Signer.start(database=database, keyring=_keyring())
            finally:
                await database.close()
        finally:
            await child.stop()


@contextlib.asynccontextmanager
async def _folder() -> AsyncIterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    wiping = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", _WIPE, "billfold-drill-wipe", str(folder)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        # Ctrl-C in the terminal is for us; this ends after us.
        start_new_session=True,
    )
    try:
        yield folder
    finally:
        assert wiping.stdin is not None, "it was asked for"
        wiping.stdin.close()
        await wiping.wait()


def _keyring() -> Keyring:
    provider = local.LocalProvider({secrets.token_bytes(_KEY_ID_BYTES): secrets.token_bytes(_KEY_BYTES)})
    return Keyring({"local": provider}, sealing="local")
