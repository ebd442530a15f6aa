"""`billfold dead-letters`: messages from the queue of confirmed transactions that could not be applied."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from billfold.app.cli import client, commands, options, set_aside
from billfold.app.client import Api

app = commands.group("dead-letters")

_PATH = "/admin/dead-letters"
DeadLetterId = Annotated[str, typer.Argument(metavar="DEAD_LETTER", help="The dead letter's id.")]


class Status(StrEnum):
    """What a dead letter can be."""

    OPEN = "open"
    RETRIED = "retried"
    DISCARDED = "discarded"


@app.command("list")
@client.command
async def list_(
    api: Api,
    status: Annotated[Status | None, typer.Option("--status", help="Only such ones.")] = None,
    limit: options.Limit = options.LIMIT_DEFAULT,
    json: options.Json = False,
) -> None:
    """List dead letters, the newest first."""
    found = await client.listed(api, _PATH, {"status": status}, limit=limit)
    set_aside.show_list(found, _COLUMNS, _row, none="No dead letters.", json=json)


@app.command("show")
@client.command
async def show(api: Api, dead_letter: DeadLetterId, raw: set_aside.Raw = False, json: options.Json = False) -> None:
    """Show a dead letter, and the message as it came."""
    found = await api.get(f"{_PATH}/{dead_letter}")
    set_aside.show(found, _fields(found), raw=raw, json=json)


@app.command("retry")
@client.command
async def retry(api: Api, dead_letter: DeadLetterId, json: options.Json = False) -> None:
    """Apply the message once more. However often it is retried, it moves money at most once."""
    answer = await api.post(f"{_PATH}/{dead_letter}/retry", repeatable=True)
    found = answer.body
    applied = f"It is applied: transfer {found['transfer_id']}." if found["status"] == Status.RETRIED else None
    set_aside.show_end(found, applied=applied, json=json)


@app.command("discard")
@client.command
async def discard(api: Api, dead_letter: DeadLetterId, json: options.Json = False) -> None:
    """Close a dead letter for ever without moving money. It can still be read; sent again, it is dropped."""
    await set_aside.discard(api, f"{_PATH}/{dead_letter}", json=json)


_COLUMNS = ("dead letter", "status", "last seen", "deliveries", "reason", "detail")


def _row(dead: set_aside.Found) -> tuple[str, ...]:
    return (
        dead["id"],
        dead["status"],
        dead["last_seen"][:19],
        str(dead["deliveries"]),
        dead["reason"],
        dead["detail"],
    )


def _fields(dead: set_aside.Found) -> list[tuple[str, str]]:
    return [
        ("Dead letter", dead["id"]),
        ("Status", dead["status"]),
        ("Reason", dead["reason"]),
        ("Detail", dead["detail"]),
        ("Subject", dead["subject"]),
        ("Sequence", str(dead["sequence"])),
        ("Deliveries", str(dead["deliveries"])),
        ("Retries", str(dead["retries"])),
        ("First seen", dead["first_seen"]),
        ("Last seen", dead["last_seen"]),
        ("Transfer", dead["transfer_id"] or ""),
    ]
