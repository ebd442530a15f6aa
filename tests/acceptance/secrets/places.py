"""Where a secret could lie open: logs, arguments, metrics, the database as rows and as files, the journal of NATS."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import asyncpg

from billfold.platform.keys import Envelope, local
from tests.canary import Planted
from tests.integration.stack.support import command_line, descendants

_LOOK_S = 0.05
_HTTP_TIMEOUT_S = 60.0


class Arguments:
    """The arguments of every process below one, looked at all the time."""

    def __init__(self, pid: int) -> None:
        self.seen: set[str] = set()
        self._pid = pid
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> str:
        self._end.set()
        self._thread.join()
        return "\n".join(sorted(self.seen))

    def _look(self) -> None:
        while not self._end.wait(_LOOK_S):
            self.seen |= {command_line(pid) for pid in (self._pid, *descendants(self._pid))}


def metrics(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for role, url in record["metrics_urls"].items():
        with urlopen(url, timeout=_HTTP_TIMEOUT_S) as answer:  # noqa: S310 - an address of our own stack.
            yield f"the metrics of {role}", answer.read().decode()


async def tables(dsn: str) -> list[tuple[str, str]]:
    """Every row of every table as text, and what PostgreSQL shows of sessions."""
    connection = await asyncpg.connect(dsn)
    try:
        names = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        found = []
        for (name,) in names:
            rows = await connection.fetch(f"SELECT t::text FROM {name} AS t")
            found.append((f"the table {name}", "\n".join(row[0] for row in rows)))
        running = await connection.fetch("SELECT a::text FROM pg_stat_activity AS a")
        found.append(("pg_stat_activity", "\n".join(row[0] for row in running)))
    finally:
        await connection.close()
    return found


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Everything below a folder."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield f"the file {file.relative_to(folder.parent)}", file.read_bytes()


async def plant_what_is_sealed(planted: Planted, dsn: str, keys_file: Path) -> None:
    """The master key, and what the database keeps sealed under it: the pepper, the keys that sign tokens."""
    for line in keys_file.read_text().splitlines():
        if not line.startswith("#"):
            planted.plant("master key", line.split()[-1])
    provider = local.load(keys_file)
    envelope = Envelope(provider)
    connection = await asyncpg.connect(dsn)
    try:
        for name, sealed in await connection.fetch("SELECT name, sealed FROM identity.secrets"):
            planted.plant(f"secret {name}", await envelope.open(sealed, context=f"identity secret {name}"))
        for key_id, sealed in await connection.fetch("SELECT id, sealed FROM identity.signing_keys"):
            planted.plant("signing key", await envelope.open(sealed, context=f"signing key {key_id}"))
    finally:
        await connection.close()
