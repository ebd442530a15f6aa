"""`billfold sessions`: the devices on which you are logged in."""

from __future__ import annotations

from typing import Annotated

import typer

from billfold.app.cli import client, commands, devices, options, output
from billfold.app.client import Api

app = commands.group("sessions")


@app.command("list")
@client.command
async def list_(api: Api, json: options.Json = False) -> None:
    """List your sessions that have not ended, the one used last first."""
    found = (await api.get("/sessions"))["items"]
    if json:
        output.print_json(found)
        return
    rows = [
        (
            session["id"] + (" (this one)" if session["current"] else ""),
            output.printable(devices.name(session["device"])),
            session["address"],
            session["last_used_at"][:19],
            session["expires_at"][:19],
        )
        for session in found
    ]
    output.print_table(("session", "device", "address", "last used", "ends"), rows)


@app.command("revoke")
@client.command
async def revoke(
    api: Api,
    session: Annotated[str, typer.Argument(metavar="SESSION", help="Its id, as `billfold sessions list` shows it.")],
    json: options.Json = False,
) -> None:
    """End a session: within a second no server takes its tokens any more."""
    await api.delete(f"/sessions/{session}")
    if json:
        output.print_json({"ended": session})
    else:
        typer.echo(f"Session {session} has ended.")
