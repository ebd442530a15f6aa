"""The role `worker` as a real process, for tests that look at what it does by itself or kill it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from billfold.platform import host
from tests import servers

#: What makes one: `billfold serve worker`.
COMMAND = (sys.executable, "-m", "billfold.app.cli", "serve", "worker")


@asynccontextmanager
async def running_worker(
    database: servers.TestDatabase,
    nats: servers.NatsServer,
    *,
    keys: Path,
    more: Mapping[str, str] | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker until the block ends. `keys` are its master keys, and `more` further settings of its environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BILLFOLD_")} | {
        "BILLFOLD_POSTGRES__DSN": database.app_dsn,
        "BILLFOLD_NATS__URL": nats.url,
        "BILLFOLD_NATS__USER": nats.user,
        "BILLFOLD_NATS__PASSWORD": nats.password,
        "BILLFOLD_KEYS__FILE": str(keys),
        "BILLFOLD_WORKER__METRICS_PORT": str(host.free_port()),
        **(more or {}),
    }
    process = await asyncio.create_subprocess_exec(*COMMAND, env=environment)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
