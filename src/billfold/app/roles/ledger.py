"""The role `ledger`: the Wallet Service over gRPC, in front of the ledger's facade.

Any number of them may run: row locks put posting in order, and callers take the next when one is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import signal
from collections.abc import AsyncIterator

import structlog
import uvloop
from prometheus_client import REGISTRY

import billfold
from billfold.app import doors, settings
from billfold.ledger import Ledger, events
from billfold.platform import extras
from billfold.platform.messaging.notary import Notary
from billfold.platform.postgres.database import LOCK_TIMEOUT_S, Database
from billfold.platform.telemetry import listener, logs, traces
from billfold.platform.telemetry.health import Check

ROLE = "ledger"
#: As in the API: looking for cycles after every few objects finds none.
_GC_THRESHOLD = 20_000

log = structlog.get_logger(__name__)


def run(tree: settings.Settings) -> None:
    """Serve the ledger until SIGTERM or Ctrl-C.

    Raises:
        SettingInvalid, ExtraNotInstalled, DatabaseUnavailable, AddressUnusable, PortTaken: it can't start.
    """
    logs.configure(role=ROLE, level=tree.log.level, form=tree.log.format)
    uvloop.run(_serve(tree))


async def _serve(tree: settings.Settings) -> None:
    with extras.imported("grpc"):
        from billfold.ledger import rpc  # noqa: PLC0415
        from billfold.platform.rpc import serving, witness  # noqa: PLC0415

    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    stop = serving.Stop()
    async with _ledger(tree) as (ledger, database), _reached(database) as check:
        door, seen = doors.door("ledger", tree.ledger), None
        if tree.audit.dsn is not None:
            seen = witness.Witness(Notary(database, source=events.SOURCE, key=ROLE), commands=rpc.COMMANDS)
        add = functools.partial(rpc.add, ledger=ledger, stop=stop, witness=seen)
        async with (
            serving.serving(add, door=door, names=rpc.NAMES, stop=stop, witness=seen, check=check) as address,
            listener.listening(
                REGISTRY,
                host=tree.metrics.host,
                port=tree.ledger.metrics_port,
                setting=settings.variable("ledger.metrics_port"),
            ),
        ):
            gc.collect()
            gc.freeze()
            gc.set_threshold(_GC_THRESHOLD)
            log.info("listening", address=address, tls=door.tls is not None)
            await stopped.wait()
    log.info("stopped")


@contextlib.asynccontextmanager
async def _ledger(tree: settings.Settings) -> AsyncIterator[tuple[Ledger, Database]]:
    """The facade that posts in this process, whatever `ledger.address` says to others; and its database."""
    assert tree.postgres.dsn is not None, "`billfold serve` asks for it"
    name = f"billfold {ROLE}"
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(
            traces.recording(
                endpoint=tree.traces.endpoint,
                share=tree.traces.sample,
                service=name.replace(" ", "-"),
                version=billfold.__version__,
            )
        )
        database = await Database.connect(tree.postgres.dsn, size=tree.postgres.pool_size, name=name)
        stack.push_async_callback(database.close)
        ledger = await Ledger.start(database=database)
        stack.push_async_callback(ledger.close)
        yield ledger, database


@contextlib.asynccontextmanager
async def _reached(database: Database) -> AsyncIterator[Check]:
    """What passes while the database answers. Beside the pool: that all of its connections are busy is no outage."""
    session = database.session(lock_timeout_s=LOCK_TIMEOUT_S)

    async def check() -> None:
        async with session.transaction() as connection:
            await connection.execute("SELECT 1")

    try:
        yield check
    finally:
        await session.close()
