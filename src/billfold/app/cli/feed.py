"""`billfold events follow` and `replay`: what happens and has happened to one's own things, as the API tells it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

import msgspec
import typer

from billfold.app.cli import client, events, options
from billfold.app.client import Api, ApiRefusal, ApiUnreachable, GatewayFailed, Json
from billfold.platform.messaging import cloudevents

#: The group of `events tail`, which reads the broker itself.
app = events.app

#: Connecting again after the API was lost.
RETRY_PAUSE_S = 1.0
BEGINNING = "beginning"

Count = Annotated[int | None, typer.Option("--count", min=1, metavar="NUMBER", help="End after so many.")]
Topics = Annotated[
    list[str] | None,
    typer.Option("--topic", metavar="TOPIC", help="Only balances, transactions, requests, wallets or security."),
]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", metavar="TYPE", help="Only these, such as transfer.posted.v1, or hold. for all of holds."),
]


@app.command("replay")
@client.command
async def replay(
    api: Api,
    *,
    begin: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="PLACE",
            help="Where to begin: beginning, behind a position such as 41, or a time such as 2026-01-01.",
        ),
    ] = BEGINNING,
    until: options.Until = None,
    types: Types = None,
    topics: Topics = None,
    count: Count = None,
    json: options.Json = False,
) -> None:
    """Print what has happened to your things, the oldest first, each on a line; with --json the whole CloudEvent."""
    wanted: Json = {"order": "oldest", "type": _list(types), "topics": _list(topics), "until": until}
    if begin.isdecimal():
        wanted["after"] = begin
    elif begin != BEGINNING:
        wanted["since"] = begin
    async for event in api.pages("/events", wanted, limit=count or sys.maxsize):
        _print(event, json=json)


@app.command("follow")
@client.command
async def follow(
    api: Api,
    *,
    after: Annotated[
        int | None,
        typer.Option("--after", min=0, metavar="POSITION", help="Go on behind this position, instead of now."),
    ] = None,
    topics: Topics = None,
    count: Count = None,
    json: options.Json = False,
) -> None:
    """Print what happens to your things until Ctrl-C, as `replay` does. A lost connection loses and repeats nothing."""
    left = count
    # Ctrl-C is how it is ended, and no failure: by then it is the cancelling of this task.
    with contextlib.suppress(asyncio.CancelledError):
        async for event in _followed(api, after, _list(topics)):
            _print(event, json=json)
            left = None if left is None else left - 1
            if left == 0:
                return


async def _followed(api: Api, after: int | None, topics: str | None) -> AsyncIterator[Json]:
    """Events in order, each once, over lost connections too."""
    while True:
        try:
            async with api.stream("/stream", {"after": after, "topics": topics}) as chunks:
                async for position, name, data in _frames(chunks):
                    after = position if position is not None else after
                    if not name:
                        yield data
                    elif name == "ready":
                        sys.stderr.write(f"billfold: Waiting for events behind {position}; Ctrl-C ends it.\n")
                    else:
                        # If it is for good, the next try says so.
                        sys.stderr.write(f"billfold: {data['detail']}\n")
        except (ApiRefusal, ApiUnreachable, GatewayFailed) as error:
            if after is None or not error.retryable:
                raise
            sys.stderr.write(f"billfold: {error.detail} Trying again …\n")
        await asyncio.sleep(RETRY_PAUSE_S)


async def _frames(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[int | None, str, Any]]:
    """The position, the name and the data of each message of an event stream."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n\n")
        for frame in whole:
            fields = dict(line.split(": ", 1) for line in frame.decode().splitlines() if ": " in line)
            if "data" in fields:
                position = int(fields["id"]) if "id" in fields else None
                yield position, fields.get("event", ""), msgspec.json.decode(fields["data"])


def _list(names: Sequence[str] | None) -> str | None:
    return ",".join(names) if names else None


def _print(event: Json, *, json: bool) -> None:
    body = msgspec.json.encode(event)
    line = body.decode() if json else f"{event['position']:>6}  {events.line(cloudevents.decode(body))}"
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
