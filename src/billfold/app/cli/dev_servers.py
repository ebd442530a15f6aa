"""`billfold dev servers`: real servers on this machine, to develop against."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from billfold import devservers
from billfold.app.cli import commands, options, output
from billfold.platform import host

app = commands.group("dev")
servers = typer.Typer(
    help="Real servers on this machine, to develop against. Their data is gone when they are stopped.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(servers, name="servers")


class Name(StrEnum):
    """The servers there are."""

    CASSANDRA = "cassandra"
    KAFKA = "kafka"
    MONGO = "mongo"
    OPENSEARCH = "opensearch"
    RABBITMQ = "rabbitmq"
    REDIS = "redis"
    S3 = "s3"


@servers.command("up")
def up(
    names: Annotated[list[Name], typer.Argument(help="Which to start.", show_default=False)],
    log: Annotated[bool, typer.Option("--log", help="Show on standard error what the servers write.")] = False,
    json: options.Json = False,
) -> None:
    """Start servers and keep them running until Ctrl-C or SIGTERM, or until one of them ends.

    Maven fetches Kafka, Cassandra, OpenSearch, S3Proxy and the stand-in for MongoDB when they are first wanted;
    RabbitMQ and Redis are Debian's. Each listens on 127.0.0.1, at its usual port where that is free. With --json what
    was started is one document on standard output.
    """
    kinds = [devservers.KINDS[name] for name in dict.fromkeys(names)]
    for kind in kinds:
        # Before the first is started, and where Ctrl-C ends it: the first time it takes a minute.
        kind.fetch()
    with tempfile.TemporaryDirectory(prefix="billfold-dev-") as folder:
        asyncio.run(_run(kinds, Path(folder), log=log, json=json))


async def _run(kinds: Sequence[type[devservers.DevServer]], folder: Path, *, log: bool, json: bool) -> None:
    running = asyncio.current_task()
    assert running is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        async with _started(kinds, folder, log=log) as started:
            _show(started, json=json)
            await _one_ended(started)


@contextlib.asynccontextmanager
async def _started(
    kinds: Sequence[type[devservers.DevServer]], folder: Path, *, log: bool
) -> AsyncIterator[list[devservers.DevServer]]:
    async with contextlib.AsyncExitStack() as running:
        started = []
        for kind in kinds:
            port = kind.usual_port if host.port_is_free(kind.usual_port) else None
            server = kind(folder / kind.name, port=port, on_line=_heard(kind.name) if log else _unheard)
            sys.stderr.write(f"Starting {kind.title} {kind.version()} …\n")
            await server.start()
            running.push_async_callback(server.stop)
            started.append(server)
        yield started


async def _one_ended(started: Sequence[devservers.DevServer]) -> None:
    """Wait until a server has ended by itself.

    Raises: ChildFailed, always.
    """
    watched = {asyncio.create_task(server.child.process.wait()): server for server in started}
    try:
        done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in watched:
            task.cancel()
    ended = next(iter(done))
    raise watched[ended].child.failure(f"ended with exit code {ended.result()}")


def _show(started: Sequence[devservers.DevServer], *, json: bool) -> None:
    if json:
        shown = {
            server.name: {"version": server.version(), "url": server.url, "pid": server.child.pid} for server in started
        }
        output.print_json({"servers": shown})
        return
    rows = ((server.name, server.version(), str(server.child.pid), server.url) for server in started)
    output.print_table(("server", "version", "pid", "url"), rows)
    typer.echo("Ctrl-C stops them and removes their data.")


def _heard(name: str) -> devservers.LogLine:
    def write(line: str) -> None:
        sys.stderr.write(f"{name:9} | {output.printable(line)}\n")

    return write


def _unheard(_: str) -> None:
    pass
