"""The yardstick: pgbench's TPC-B-like test on the server that also holds the ledger, in a database of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import msgspec

from bench import programs
from billfold.platform.postgres import cluster

#: The server takes 60 connections, and the stack has some.
CLIENTS = (8, 16, 24, 32)
THREADS = 2
_DATABASE = "pgbench"
_TPS = re.compile(r"^tps = ([\d.]+) \(without initial connection time\)$", re.MULTILINE)
_LATENCY = re.compile(r"^latency average = ([\d.]+) ms$", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: (\d+)", re.MULTILINE)
_NOTHING = re.compile(r"^number of transactions actually processed: 0$", re.MULTILINE)
_GRACE_S = 120
#: A disk that stands still for a whole run, as a short one of a quick bench may have it, is waited for so often, and
#: each time for longer.
_TRIES = 3


class Speed(msgspec.Struct, frozen=True):
    """One run's transactions a second, and their latency on average."""

    tps: float
    latency_ms: float


class Pgbench:
    """pgbench against the embedded server of `data_dir`, which is reached by `host` as the ledger reaches it."""

    def __init__(self, data_dir: Path, *, host: str, port: int) -> None:
        user = cluster.SUPERUSER
        password = cluster.read_passwords(data_dir / "postgres.passwords.json")[user]
        self._login: Mapping[str, str] = {
            "PGHOST": host,
            "PGPORT": str(port),
            "PGUSER": user,
            "PGPASSWORD": password,
            "PGDATABASE": _DATABASE,
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        }
        self._program = str(cluster.binaries(None) / "pgbench")

    async def prepare(self, *, branches: int) -> None:
        """Make the database and fill it; each branch has 100,000 accounts."""
        connection = await self._superuser()
        try:
            await cluster.create_database(connection, _DATABASE)
        finally:
            await connection.close()
        await self._run("--initialize", "--quiet", "--scale", str(branches), seconds=0)

    async def run(self, *, clients: int, seconds: int) -> Speed:
        """Prepared statements, as asyncpg uses them."""
        options = ("--protocol", "prepared", "--client", str(clients), "--jobs", str(THREADS))
        output = ""
        for _ in range(_TRIES):
            output = await self._run(*options, "--time", str(seconds), seconds=seconds)
            if not _NOTHING.search(output):
                break
            seconds *= 4
        return parse(output)

    async def version(self) -> str:
        """The server's."""
        connection = await self._superuser()
        try:
            found: str = await connection.fetchval("SHOW server_version")
        finally:
            await connection.close()
        return found

    async def checkpoint(self) -> None:
        """Begin a measurement with no dirty pages left from what came before."""
        connection = await self._superuser()
        try:
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()

    async def drop(self) -> None:
        """Give its room back."""
        connection = await self._superuser()
        try:
            await connection.execute(f"DROP DATABASE {_DATABASE} WITH (FORCE)")
        finally:
            await connection.close()

    async def _superuser(self) -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(
            host=self._login["PGHOST"],
            port=int(self._login["PGPORT"]),
            user=self._login["PGUSER"],
            password=self._login["PGPASSWORD"],
            database="postgres",
        )

    async def _run(self, *options: str, seconds: int) -> str:
        return await programs.run((self._program, *options), env=self._login, timeout_s=seconds + _GRACE_S)


def parse(output: str) -> Speed:
    """What pgbench says at its end.

    Raises: ProgramFailed when transactions failed or it says something else.
    """
    tps, latency, failed = _TPS.search(output), _LATENCY.search(output), _FAILED.search(output)
    if tps is None or latency is None or failed is None or failed[1] != "0":
        raise programs.ProgramFailed(f"pgbench said: {output}")
    return Speed(float(tps[1]), float(latency[1]))
