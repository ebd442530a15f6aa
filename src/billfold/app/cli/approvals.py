"""`billfold approvals`: what one person asks for, and another one has to approve."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec
import typer

from billfold.app.cli import client, commands, options, output
from billfold.app.client import Api

app = commands.group("approvals")

ApprovalId = Annotated[str, typer.Argument(metavar="APPROVAL", help="Its id, as `billfold approvals list` shows it.")]


class Status(StrEnum):
    """What can have become of a request."""

    PENDING = "pending"
    APPROVED = "approved"
    EXECUTED = "executed"
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@app.command("list")
@client.command
async def list_(
    api: Api,
    status: Annotated[Status | None, typer.Option("--status", help="Only these.")] = None,
    limit: options.Limit = options.LIMIT_DEFAULT,
    json: options.Json = False,
) -> None:
    """List what you have asked for, or as a checker what anybody has, the newest first."""
    found = await client.listed(api, "/approvals", {"status": status}, limit=limit)
    if json:
        output.print_json(found)
    elif not found:
        typer.echo("Nothing waits for a second person.")
    else:
        rows = [
            (one["id"], one["kind"], one["status"], one["maker_id"], one["requested_at"][:19], _content(one))
            for one in found
        ]
        output.print_table(("approval", "kind", "status", "asked for by", "at", "what"), rows)


@app.command("show")
@client.command
async def show(api: Api, approval: ApprovalId, json: options.Json = False) -> None:
    """Show a request: what it would do, who asks, and what has become of it."""
    _show(await api.get(f"/approvals/{approval}"), json=json)


@app.command("approve")
@client.command
async def approve(api: Api, approval: ApprovalId, json: options.Json = False) -> None:
    """Approve what another person has asked for; it is carried out at once."""
    # Again it carries out only what was not.
    _show((await api.post(f"/approvals/{approval}/approve", repeatable=True)).body, json=json)


@app.command("reject")
@client.command
async def reject(
    api: Api,
    approval: ApprovalId,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the one who has asked.")],
    json: options.Json = False,
) -> None:
    """Reject what another person has asked for."""
    answer = await api.post(f"/approvals/{approval}/reject", {"reason": reason}, repeatable=True)
    _show(answer.body, json=json)


@app.command("cancel")
@client.command
async def cancel(api: Api, approval: ApprovalId, json: options.Json = False) -> None:
    """Take back what you have asked for yourself, as long as nobody has decided."""
    _show((await api.post(f"/approvals/{approval}/cancel", repeatable=True)).body, json=json)


def _show(approval: dict[str, Any], *, json: bool) -> None:
    if json:
        output.print_json(approval)
        return
    fields = [
        ("Approval", approval["id"]),
        ("Kind", approval["kind"]),
        ("Status", approval["status"]),
        ("What", _content(approval)),
        ("Asked for by", approval["maker_id"]),
        ("At", approval["requested_at"]),
        ("Until", approval["expires_at"] if approval["status"] == Status.PENDING else None),
        ("Decided by", approval["checker_id"]),
        ("At", approval["decided_at"]),
        ("Why", approval["reason"]),
    ]
    output.show_fields([(name, output.printable(text)) for name, text in fields if text])


def _content(approval: dict[str, Any]) -> str:
    """What it would do, exactly, on one line."""
    return output.printable(msgspec.json.encode(approval["content"]).decode())
