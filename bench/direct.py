"""Posting without HTTP: by a program that has the ledger within, and over gRPC by one that asks the role `ledger`."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec

from bench import processes, programs
from bench.loads import Lost, Site
from bench.plan import CONNECTIONS, Direct, DirectTurn
from bench.posting import ASSET, Posted, Work
from bench.stack import Running
from billfold.app import settings
from billfold.app.supervisor.roles import LEDGER, RoleProcess
from billfold.kernel import ids
from billfold.platform import host

#: Of the bench's program beside its work: Python, imports, blocks that are written beforehand.
_GRACE_S = 120.0
#: Cents. The bench's own wallets begin with a hundred million.
_RICH = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """Runs of the program against the stack and its database."""

    site: Site
    running: Running
    folder: Path
    address: str
    ledger_pid: int
    accounts: list[UUID]

    async def turn(self, label: str, *, seconds: int, blocks: int, grpc_first: bool) -> DirectTurn:
        """Single transfers both ways, and blocks over the stream.

        Raises: Lost, ProgramFailed.
        """
        singles = {}
        for remote in sorted((True, False), reverse=grpc_first):
            way = "grpc" if remote else "within"
            singles[remote] = await self._measured(
                self._work(f"{way}-{label}", remote=remote, connections=CONNECTIONS, seconds=seconds)
            )
        streamed = await self._measured(self._work(f"stream-{label}", remote=True, blocks=blocks))
        return DirectTurn(singles[False], singles[True], streamed)

    def _work(self, label: str, *, remote: bool, connections: int = 1, seconds: int = 0, blocks: int = 0) -> Work:
        return Work(
            dsn=self.running.dsn(self.running.record.postgres_dsn),
            address=self.address if remote else None,
            accounts=self.accounts,
            label=label,
            connections=connections,
            seconds=seconds,
            blocks=blocks,
        )

    async def _measured(self, work: Work) -> Direct:
        file = self.folder / "posting.json"
        host.write_private(file, msgspec.json.encode(work).decode())
        roots = self.running.roots | {"ledger": self.ledger_pid}
        first = ids.floor_of(time.time_ns() // 1_000_000)
        before = processes.cpu_seconds(roots)
        command = (sys.executable, "-m", "bench.posting", str(file))
        output = await programs.run(command, env=os.environ, timeout_s=work.seconds + _GRACE_S)
        spent = processes.spent(before, processes.cpu_seconds(roots))
        posted = msgspec.json.decode(output, type=Posted)
        await self.site.drained()
        await self.site.followed()
        found = await self.site.posted_since(first)
        if posted.transfers > found:
            raise Lost(f"{posted.transfers} transfers were posted and {found} are in the database")
        each_ms = {name: spent[name] * 1000 / max(1, found) for name in ("ledger", "postgres")}
        return Direct(posted, found, posted.transfers / posted.seconds, each_ms)


@asynccontextmanager
async def serving(
    running: Running, site: Site, owner: asyncpg.Connection[asyncpg.Record], folder: Path
) -> AsyncIterator[Posting]:
    """The role `ledger` on a unix socket beside a stack, until the block ends.

    The socket has a folder of its own: the path of the bench's may be longer than a socket's may be.

    Raises: ChildFailed, PortTaken.
    """
    with tempfile.TemporaryDirectory(prefix="billfold-") as short:
        async with _serving_at(f"unix:{short}/ledger.sock", running, site, owner, folder) as posting:
            yield posting


@asynccontextmanager
async def _serving_at(
    address: str, running: Running, site: Site, owner: asyncpg.Connection[asyncpg.Record], folder: Path
) -> AsyncIterator[Posting]:
    tree = settings.Settings(
        data_dir=running.folder,
        postgres=settings.Postgres(dsn=running.dsn(running.record.postgres_dsn)),
        ledger=settings.Ledger(listen=address, metrics_port=host.free_port()),
        audit=settings.Audit(dsn=running.dsn(running.record.audit_dsn)),
    )
    # Not the sandbox's, which would run out of money.
    accounts = await owner.fetch(
        "SELECT account_id FROM wallets.accounts AS known JOIN ledger.accounts AS account ON account.id = account_id "
        "WHERE known.asset = $1 AND account.posted > $2",
        ASSET,
        _RICH,
    )
    child = await RoleProcess(LEDGER, tree, on_line=lambda _: None).start()
    try:
        yield Posting(
            site=site,
            running=running,
            folder=folder,
            address=address,
            ledger_pid=child.pid,
            accounts=[row["account_id"] for row in accounts],
        )
    finally:
        await child.stop()
