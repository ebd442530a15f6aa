"""`billfold events`: what happens, as it happens, read from the stream of events itself."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import re
import sys
from collections.abc import AsyncGenerator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from billfold.app import messaging, settings
from billfold.app.cli import commands, options, output
from billfold.app.supervisor import record
from billfold.platform.messaging import cloudevents, topics
from billfold.platform.messaging.brokers import nats
from billfold.platform.messaging.port import Bookmark, BrokerUnavailable, Messaging

app = commands.group("events")

#: Connecting again after the server was lost.
RETRY_PAUSE_S = 0.5


class From(StrEnum):
    """Where to begin."""

    NOW = "now"
    BEGINNING = "beginning"


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
        asyncio.run(_tail(_broker_of(config, data), begin, types or [">"], count, json=json))


async def _tail(server: Messaging, begin: From, types: list[str], count: int | None, *, json: bool) -> None:
    left = count
    # Closed here, where its connection can still be closed in order.
    async with contextlib.aclosing(_events(server, begin, types)) as bodies:
        async for body in bodies:
            sys.stdout.write((body.decode() if json else line(cloudevents.decode(body))) + "\n")
            sys.stdout.flush()
            left = None if left is None else left - 1
            if left == 0:
                return


async def _events(server: Messaging, begin: From, types: list[str]) -> AsyncGenerator[bytes, None]:
    """Events in order, each once, over lost connections too: what was seen last is where the next one goes on."""
    bookmark = Bookmark(start="beginning" if begin is From.BEGINNING else "new")
    patterns = [_pattern(kind) for kind in types]
    selected = () if any(not _beginning(kind) for kind in types) else tuple(map(_beginning, types))
    while True:
        try:
            async with server.connected(name="billfold events tail") as broker:
                await broker.ensure(topics.EVENTS)
                async with broker.tailing(topics.EVENTS, types=selected, bookmark=bookmark) as deliveries:
                    sys.stderr.write("billfold: Waiting for events; Ctrl-C ends it.\n")
                    async for delivery in deliveries:
                        if any(pattern.fullmatch(delivery.type) for pattern in patterns):
                            yield delivery.body
        except BrokerUnavailable as error:
            if not bookmark.following:
                raise
            sys.stderr.write(f"billfold: {error.detail} Trying again …\n")
            await asyncio.sleep(RETRY_PAUSE_S)


def _pattern(wanted: str) -> re.Pattern[str]:
    """As NATS has it: * is one word, > at the end all that follow."""
    pattern = re.escape(wanted).replace(r"\*", r"[^.]+")
    return re.compile(re.sub(r"(^|\\\.)>$", r"\1.+", pattern))


def _beginning(wanted: str) -> str:
    """A full type, or what all types that match begin with: the broker sends no others."""
    wildcard = re.search(r"[*>]", wanted)
    return wanted if wildcard is None else wanted[: wanted.rfind(".", 0, wildcard.start()) + 1]


def _check_type(wanted: str) -> None:
    """Go on only if there are such events: a misspelt type would be waited for in vain.

    Raises:
        BadParameter: it says the nearest, or all.
    """
    # Imported when they are asked about: the contexts take longer than all the rest of this command.
    from billfold.custody import events as of_custody  # noqa: PLC0415
    from billfold.identity import events as of_keys  # noqa: PLC0415
    from billfold.ledger import events as of_the_ledger  # noqa: PLC0415
    from billfold.wallets import events as of_wallets  # noqa: PLC0415

    known = (*of_the_ledger.TYPES, *of_wallets.TYPES, *of_custody.TYPES, *of_keys.TYPES)
    pattern = _pattern(wanted)
    if not any(pattern.fullmatch(kind) for kind in known):
        nearest = difflib.get_close_matches(wanted, known, n=1)
        hint = f"the nearest is {nearest[0]}" if nearest else f"there are {', '.join(known)}"
        raise typer.BadParameter(f"There are no events {wanted!r}; {hint}.", param_hint="--type")


def _broker_of(config: Path | None, data: Path | None) -> Messaging:
    """The broker of the settings, or of the stack that runs here; with `data` of the stack there.

    Raises:
        SettingInvalid, SettingUnknown, NotRunning
    """
    tree = options.load(config, data).settings
    if tree.broker.kind != "nats" or (tree.nats.url is not None and data is None):
        return messaging.of(tree)
    try:
        found = record.read(tree.data_dir)
    except record.NotRunning as error:
        raise record.NotRunning(
            f"{error.detail} Or name a NATS server of your own with {settings.variable('nats.url')}."
        ) from error
    if found.nats_url is None:
        return messaging.of(found.over(tree))
    return nats.Server(url=found.nats_url, user=found.nats_user, password=found.nats_password)


def line(event: cloudevents.Envelope) -> str:
    """An event for people: the essence of its data, if that is one of ours."""
    data = msgspec.json.decode(event.data) if bytes(event.data) else {}
    essence = []
    if isinstance(data, dict):
        money = data.get("money")
        if isinstance(money, dict):
            essence.append(f"{money.get('amount')} {money.get('asset')}")
        essence += [str(data[name]) for name in ("kind", "name", "status", "reference") if data.get(name)]
    return output.printable(f"{event.time}  {event.type:<22}  {event.subject}  {'  '.join(essence)}".rstrip())
