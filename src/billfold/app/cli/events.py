"""`billfold events`: what happens, as it happens, read from the stream of events itself."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import re
import sys
from collections.abc import AsyncIterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from billfold.app import settings
from billfold.app.cli import commands, options, output
from billfold.app.supervisor import record
from billfold.platform.messaging import cloudevents
from billfold.platform.messaging.brokers import nats, streams

app = commands.group("events")

#: Events fetched at a time; a terminal shows no more at once.
FETCH_MAX = 500
FETCH_MAX_BYTES = 8 * 1024 * 1024
FETCH_WAIT_S = 5.0
#: Connecting again after the server was lost.
RETRY_PAUSE_S = 0.5


class From(StrEnum):
    """Where to begin."""

    NOW = "now"
    BEGINNING = "beginning"


@app.callback()
def _group() -> None:
    # A group of one command would be that command, without its name.
    pass


@app.command("tail")
def tail(
    *,
    begin: Annotated[
        From, typer.Option("--from", help="Begin with the next event, or with the oldest that is kept.")
    ] = From.NOW,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="TYPE", help="Only these, such as transfer.posted.v1 or wallet.*.v1."),
    ] = None,
    count: Annotated[int | None, typer.Option("--count", min=1, metavar="NUMBER", help="End after so many.")] = None,
    json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
) -> None:
    """Print events until Ctrl-C, each on a line: when, what and about what; with --json the whole CloudEvent."""
    for kind in types or ():
        _check_type(kind)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_tail(_server(config, data), begin, types or [">"], count, json=json))


async def _tail(server: nats.Server, begin: From, types: list[str], count: int | None, *, json: bool) -> None:
    left = count
    async for body in _events(server, begin, [streams.EVENT_SUBJECTS + kind for kind in types]):
        sys.stdout.write((body.decode() if json else _line(cloudevents.decode(body))) + "\n")
        sys.stdout.flush()
        left = None if left is None else left - 1
        if left == 0:
            return


async def _events(server: nats.Server, begin: From, subjects: list[str]) -> AsyncIterator[bytes]:
    """Events in order, each once, over lost connections too: what was seen last is where the next one goes on."""
    following = 1 if begin is From.BEGINNING else None
    while True:
        try:
            async with nats.connected(server, name="billfold events tail") as broker:
                await streams.ensure(broker, streams.EVENTS)
                if following is None:
                    following = await streams.last_sequence(broker, streams.EVENTS) + 1
                start = {"deliver_policy": "by_start_sequence", "opt_start_seq": following}
                wanted = {**start, "filter_subjects": subjects, "ack_policy": "none", "mem_storage": True}
                name = await streams.ensure_consumer(broker, streams.EVENTS.name, wanted)
                async with broker.pulling(streams.EVENTS.name, name) as pull:
                    sys.stderr.write("billfold: Waiting for events; Ctrl-C ends it.\n")
                    while True:
                        for message in await pull.fetch(FETCH_MAX, max_bytes=FETCH_MAX_BYTES, wait_s=FETCH_WAIT_S):
                            yield message.data
                            following = message.metadata.sequence.stream + 1
        except nats.BrokerUnavailable as error:
            if following is None:
                raise
            sys.stderr.write(f"billfold: {error.detail} Trying again …\n")
            await asyncio.sleep(RETRY_PAUSE_S)


def _check_type(wanted: str) -> None:
    """Go on only if there are such events: a misspelt type would be waited for in vain.

    Raises:
        BadParameter: it says the nearest, or all.
    """
    # Imported when they are asked about: the contexts take longer than all the rest of this command.
    from billfold.identity import events as of_keys  # noqa: PLC0415
    from billfold.ledger import events as of_the_ledger  # noqa: PLC0415
    from billfold.wallets import events as of_wallets  # noqa: PLC0415

    known = (*of_the_ledger.TYPES, *of_wallets.TYPES, *of_keys.TYPES)
    # As NATS has it: * is one word, > at the end all that follow.
    pattern = re.escape(wanted).replace(r"\*", r"[^.]+")
    pattern = re.sub(r"(^|\\\.)>$", r"\1.+", pattern)
    if not any(re.fullmatch(pattern, kind) for kind in known):
        nearest = difflib.get_close_matches(wanted, known, n=1)
        hint = f"the nearest is {nearest[0]}" if nearest else f"there are {', '.join(known)}"
        raise typer.BadParameter(f"There are no events {wanted!r}; {hint}.", param_hint="--type")


def _server(config: Path | None, data: Path | None) -> nats.Server:
    """The NATS server of the settings, or of the stack that runs here; with `data` of the stack there.

    Raises:
        SettingInvalid, SettingUnknown, NotRunning
    """
    tree = options.load(config, data).settings
    if tree.nats.url is not None and data is None:
        return nats.Server(url=tree.nats.url, user=tree.nats.user, password=tree.nats.password)
    try:
        found = record.read(tree.data_dir)
    except record.NotRunning as error:
        raise record.NotRunning(
            f"{error.detail} Or name a NATS server of your own with {settings.variable('nats.url')}."
        ) from error
    return nats.Server(url=found.nats_url, user=found.nats_user, password=found.nats_password)


def _line(event: cloudevents.Envelope) -> str:
    """An event for people: the essence of its data, if that is one of ours."""
    data = msgspec.json.decode(event.data) if bytes(event.data) else {}
    essence = []
    if isinstance(data, dict):
        money = data.get("money")
        if isinstance(money, dict):
            essence.append(f"{money.get('amount')} {money.get('asset')}")
        essence += [str(data[name]) for name in ("kind", "name", "status", "reference") if data.get(name)]
    return output.printable(f"{event.time}  {event.type:<22}  {event.subject}  {'  '.join(essence)}".rstrip())
