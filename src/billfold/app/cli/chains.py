"""`billfold chains`: how far each chain is read."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from billfold.app.cli import client, commands, options, output
from billfold.app.client import Api

app = commands.group("chains")


@app.command("list")
@client.command
async def list_(api: Api, json: options.Json = False) -> None:
    """List the chains that are served, and how far each is read."""
    found: list[dict[str, Any]] = (await api.get("/chains"))["items"]
    if json:
        output.print_json(found)
    elif not found:
        typer.echo("No chain is served: none has nodes in the settings.")
    else:
        rows = [
            (
                one["id"],
                one["network"],
                one["halted"] or one["status"],
                *(str(one[name]) if one[name] is not None else "" for name in ("height", "lag")),
                f"{one['credit_after']} / {one['release_after']}",
            )
            for one in found
        ]
        output.print_table(("chain", "network", "status", "height", "to read", "confirmations"), rows)


@app.command("resume")
@client.command
async def resume(
    api: Api,
    chain: Annotated[str, typer.Argument(metavar="CHAIN", help="Which one, such as bitcoin.")],
    json: options.Json = False,
) -> None:
    """Read on in a chain that was halted, with an operator's key. What it has taken back is taken back here, too."""
    state = (await api.post(f"/chains/{chain}/resume")).body
    if json:
        output.print_json(state)
    else:
        typer.echo(f"{state['id']} is read on from block {state['height']}.")
