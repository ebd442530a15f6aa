"""Roles over the servers of a data folder, one setting of them after the other: what `billfold up` has no switch for.

PostgreSQL and NATS go on meanwhile, so that what is compared has the same data and the same caches.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import stack
from bench.stack import Running
from billfold.app import settings
from billfold.app.supervisor.record import StackRecord
from billfold.app.supervisor.roles import API, WORKER, RoleProcess
from billfold.platform import host
from billfold.platform.children import Child
from billfold.platform.messaging.embedded import EmbeddedNats
from billfold.platform.postgres import cluster
from billfold.platform.postgres.embedded import EmbeddedPostgres

#: More often than by default, so that a turn of some seconds has its share of sealing.
SEAL_S = 2


@dataclass(slots=True, kw_only=True)
class Servers:
    """A PostgreSQL and a NATS that run, with all that a stack has left in `folder`."""

    folder: Path
    #: Of that stack.
    record: StackRecord
    postgres: EmbeddedPostgres
    nats: EmbeddedNats
    children: dict[str, Child]

    def tree(self, *, audited: bool = True) -> settings.Settings:
        """The settings of roles on these servers, as `billfold up` makes them; or without an audit."""
        api, metrics, worker = (host.free_port() for _ in range(3))
        audit_dsn = self.postgres.dsn(cluster.APP, database=cluster.AUDIT) if audited else None
        return settings.Settings(
            data_dir=self.folder,
            postgres=settings.Postgres(dsn=self.postgres.dsn(cluster.APP)),
            nats=settings.Nats(url=self.nats.url, user=self.nats.user, password=self.nats.password),
            keys=settings.Keys(file=Path(self.record.keys_file)),
            api=settings.Api(port=api, metrics_port=metrics),
            worker=settings.Worker(metrics_port=worker),
            audit=settings.Audit(dsn=audit_dsn, seal_seconds=SEAL_S),
        )

    @asynccontextmanager
    async def without_broker(self) -> AsyncIterator[None]:
        """NATS is away until the block ends."""
        await self.children[self.nats.name].stop()
        try:
            yield
        finally:
            self.children[self.nats.name] = await self.nats.start()

    @asynccontextmanager
    async def running(self, tree: settings.Settings) -> AsyncIterator[Running]:
        """An API and a worker under these settings, until the block ends.

        Raises: ChildFailed, PortTaken.
        """
        processes = {name: child.pid for name, child in self.children.items()}
        async with AsyncExitStack() as started:
            for role in (API, WORKER):
                child = await RoleProcess(role, tree, on_line=_unheard).start()
                started.push_async_callback(child.stop)
                processes[role.name] = child.pid
            record = msgspec.structs.replace(
                self.record,
                api_url=tree.api.local_url,
                metrics_urls={
                    "api": tree.metrics.local_url(tree.api.metrics_port),
                    "worker": tree.metrics.local_url(tree.worker.metrics_port),
                },
                postgres_dsn=self.postgres.dsn(cluster.APP, tcp=True),
                postgres_owner_dsn=self.postgres.dsn(cluster.OWNER, tcp=True),
                nats_url=tree.nats.url,
                nats_user=tree.nats.user,
                nats_password=tree.nats.password,
                processes=processes,
            )
            yield Running(record, self.folder, 0.0, stack.own_nats(record))


@asynccontextmanager
async def servers(folder: Path, record: StackRecord) -> AsyncIterator[Servers]:
    """PostgreSQL and NATS on the data of a stack that has stopped, until the block ends.

    Raises: ChildFailed, LeftoverProcess, PortTaken.
    """
    data = folder / "data"
    postgres, nats = EmbeddedPostgres(data, on_line=_unheard), EmbeddedNats(data, on_line=_unheard)
    found = Servers(folder=data, record=record, postgres=postgres, nats=nats, children={})
    try:
        for server in (postgres, nats):
            found.children[server.name] = await server.start()
        yield found
    finally:
        # A child may have been replaced meanwhile; the newest is in the dictionary.
        for child in reversed(list(found.children.values())):
            await child.stop()


def _unheard(line: str) -> None:
    """What they log is told when they fail, and not before."""
