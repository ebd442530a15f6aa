"""The role `signer`: the one process that has keys. It listens for gRPC, and for who reads its metrics; nothing else.

One runs at a time as a rule. A second one over the same database does no harm: the log's lock puts them in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import signal
from collections.abc import AsyncIterator

import structlog
import uvloop
from prometheus_client import REGISTRY, Gauge

import billfold
from billfold.app import doors, settings, signing
from billfold.platform import extras, host, secrecy
from billfold.platform.postgres.database import DatabaseUnavailable
from billfold.platform.telemetry import listener, logs, traces
from billfold.signer import Drills, Signer

ROLE = "signer"
#: Loading takes a processor for seconds, which those who start beside it need first.
LOAD_AFTER_S = 3.0
#: A drill is done now and then, and its metric is looked at in days.
DRILLS_EVERY_S = 60.0
LAST_DRILL = Gauge(
    "billfold_signer_last_drill_timestamp_seconds",
    "When a backup of the seeds was tried last and had the key of every address, in seconds since 1970. "
    "0 is never; where all keys are a sandbox's it is no number.",
)

log = structlog.get_logger(__name__)


def run(tree: settings.Settings) -> None:
    """Sign until SIGTERM or Ctrl-C.

    Raises:
        SettingInvalid, ExtraNotInstalled, DatabaseUnavailable, AddressUnusable, PortTaken: it can't start.
    """
    logs.configure(role=ROLE, level=tree.log.level, form=tree.log.format)
    secrecy.keep()
    uvloop.run(_serve(tree))


async def _serve(tree: settings.Settings) -> None:
    with extras.imported("grpc"):
        from billfold.platform.rpc import serving  # noqa: PLC0415
        from billfold.signer import rpc  # noqa: PLC0415

    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with _signer(tree) as (signer, drills):
        door = doors.door("signer", tree.signer)
        if door.address.path is not None:
            # Nobody else enters the folder, so nobody finds the socket in the moment before it has its own mode.
            host.private_folder(door.address.path.parent)
        async with (
            serving.serving(
                functools.partial(rpc.add, signer=signer),
                door=door,
                names=rpc.NAMES,
                stop=serving.Stop(),
                check=signer.check,
            ) as address,
            listener.listening(
                REGISTRY,
                host=tree.metrics.host,
                port=tree.signer.metrics_port,
                setting=settings.variable("signer.metrics_port"),
            ),
        ):
            log.info("listening", address=address, tls=door.tls is not None)
            await asyncio.gather(_load(signer, stopped), _tell_drills(drills, stopped), stopped.wait())
    log.info("stopped")


async def _load(signer: Signer, stopped: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopped.wait(), LOAD_AFTER_S)
    if not stopped.is_set():
        await signer.load()


async def _tell_drills(drills: Drills, stopped: asyncio.Event) -> None:
    """Keep the metric as the log has it: drills are done by another process."""
    while not stopped.is_set():
        with contextlib.suppress(DatabaseUnavailable):
            last, wanted = await drills.last_good(), await drills.wanted()
            LAST_DRILL.set(last.timestamp() if last else 0 if wanted else math.nan)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), DRILLS_EVERY_S)


@contextlib.asynccontextmanager
async def _signer(tree: settings.Settings) -> AsyncIterator[tuple[Signer, Drills]]:
    name = f"billfold {ROLE}"
    async with (
        traces.recording(
            endpoint=tree.traces.endpoint,
            share=tree.traces.sample,
            service=name.replace(" ", "-"),
            version=billfold.__version__,
        ),
        signing.opened(tree.signer, name=name) as (signer, database),
    ):
        yield signer, Drills(database=database)
