"""`billfold dead-letters`: messages from the queue of confirmed transactions that could not be applied."""

from __future__ import annotations

import base64
from enum import StrEnum
from typing import Annotated, Any

import typer

from billfold.app.cli import client, commands, options, output
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
    if json:
        output.print_json(found)
    elif not found:
        typer.echo("No dead letters.")
    else:
        rows = [
            (
                dead["id"],
                dead["status"],
                dead["last_seen"][:19],
                str(dead["deliveries"]),
                dead["reason"],
                dead["detail"],
            )
            for dead in found
        ]
        output.print_table(("dead letter", "status", "last seen", "deliveries", "reason", "detail"), rows)


@app.command("show")
@client.command
async def show(
    api: Api,
    dead_letter: DeadLetterId,
    raw: Annotated[bool, typer.Option("--raw", help="Print nothing but the message, byte for byte.")] = False,
    json: options.Json = False,
) -> None:
    """Show a dead letter, and the message as it came."""
    found = await api.get(f"{_PATH}/{dead_letter}")
    if raw:
        typer.echo(base64.b64decode(found["content"]), nl=False)
    elif json:
        output.print_json(found)
    else:
        output.show_fields(_fields(found))
        typer.echo()
        typer.echo(output.printable(base64.b64decode(found["content"]).decode(errors="backslashreplace")))


@app.command("retry")
@client.command
async def retry(api: Api, dead_letter: DeadLetterId, json: options.Json = False) -> None:
    """Apply the message once more. However often it is retried, it moves money at most once."""
    answer = await api.post(f"{_PATH}/{dead_letter}/retry", repeatable=True)
    found = answer.body
    if json:
        output.print_json(found)
    elif found["status"] == "retried":
        typer.echo(f"It is applied: transfer {found['transfer_id']}.")
    else:
        typer.echo(f"It is refused again and stays open: {found['detail']} ({found['reason']})")
    if found["status"] != "retried":
        raise typer.Exit(1)


@app.command("discard")
@client.command
async def discard(api: Api, dead_letter: DeadLetterId, json: options.Json = False) -> None:
    """Close a dead letter for ever without moving money. It can still be read; sent again, it is dropped."""
    answer = await api.post(f"{_PATH}/{dead_letter}/discard")
    if json:
        output.print_json(answer.body)
    else:
        typer.echo(f"{answer.body['id']} is discarded.")


def _fields(dead: dict[str, Any]) -> list[tuple[str, str]]:
    fields = [
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
        *((f"Header {name}", value) for name, value in dead["headers"].items()),
    ]
    return [(name, output.printable(text)) for name, text in fields if text]
