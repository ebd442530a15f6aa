"""`billfold refused-events`: events that a part of Billfold could not apply."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from time import monotonic
from typing import Annotated

import typer

from billfold.app.cli import client, commands, options, set_aside
from billfold.app.client import Api
from billfold.kernel import errors

app = commands.group("refused-events")

_PATH = "/admin/refused-events"
#: A consumer that runs looks for what it is to try again every few seconds.
_PATIENCE_S = 30.0
_LOOK_PAUSE_S = 0.25
RefusedEventId = Annotated[str, typer.Argument(metavar="REFUSED_EVENT", help="The refused event's id.")]


class Status(StrEnum):
    """What a refused event can be."""

    OPEN = "open"
    RETRYING = "retrying"
    APPLIED = "applied"
    DISCARDED = "discarded"


class NotTried(errors.Unavailable):
    """Its consumer has not tried it yet."""

    code = "refused_event_not_tried"


@app.command("list")
@client.command
async def list_(
    api: Api,
    *,
    consumer: Annotated[
        str | None, typer.Option("--consumer", metavar="NAME", help="Only those of this consumer.")
    ] = None,
    status: Annotated[Status | None, typer.Option("--status", help="Only such ones.")] = None,
    limit: options.Limit = options.LIMIT_DEFAULT,
    json: options.Json = False,
) -> None:
    """List refused events, the newest first."""
    found = await client.listed(api, _PATH, {"consumer": consumer, "status": status}, limit=limit)
    set_aside.show_list(found, _COLUMNS, _row, none="No refused events.", json=json)


@app.command("show")
@client.command
async def show(api: Api, refused_event: RefusedEventId, raw: set_aside.Raw = False, json: options.Json = False) -> None:
    """Show a refused event, and its content as it came."""
    found = await api.get(f"{_PATH}/{refused_event}")
    set_aside.show(found, _fields(found), raw=raw, json=json)


@app.command("retry")
@client.command
async def retry(api: Api, refused_event: RefusedEventId, json: options.Json = False) -> None:
    """Have its consumer try it once more, and wait for that. However often that is done, it is applied at most once."""
    deadline = monotonic() + _PATIENCE_S
    found = (await api.post(f"{_PATH}/{refused_event}/retry", repeatable=True)).body
    while found["status"] == Status.RETRYING:
        if monotonic() >= deadline:
            raise NotTried(f"The consumer {found['consumer']} has not tried it yet: does a worker run, and is it well?")
        await asyncio.sleep(_LOOK_PAUSE_S)
        found = await api.get(f"{_PATH}/{refused_event}")
    applied = "It is applied." if found["status"] == Status.APPLIED else None
    set_aside.show_end(found, applied=applied, json=json)


@app.command("discard")
@client.command
async def discard(api: Api, refused_event: RefusedEventId, json: options.Json = False) -> None:
    """Leave a refused event as it is for good. It can still be read."""
    await set_aside.discard(api, f"{_PATH}/{refused_event}", json=json)


_COLUMNS = ("refused event", "consumer", "status", "refused at", "type", "reason", "detail")


def _row(found: set_aside.Found) -> tuple[str, ...]:
    return (
        found["id"],
        found["consumer"],
        found["status"],
        found["refused_at"][:19],
        found["type"],
        found["reason"],
        found["detail"],
    )


def _fields(found: set_aside.Found) -> list[tuple[str, str]]:
    return [
        ("Refused event", found["id"]),
        ("Consumer", found["consumer"]),
        ("Status", found["status"]),
        ("Reason", found["reason"]),
        ("Detail", found["detail"]),
        ("Type", found["type"]),
        ("Source", found["source"] or ""),
        ("Id", found["event_id"] or ""),
        ("Position", found["position"]),
        ("Deliveries", str(found["deliveries"])),
        ("Retries", str(found["retries"])),
        ("Refused at", found["refused_at"]),
    ]
