"""`billfold chains`: how far each chain is read, and what the house has open on it."""

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


@app.command("channels")
@client.command
async def channels(
    api: Api,
    chain: Annotated[str, typer.Argument(metavar="CHAIN", help="Which one: stellar.")],
    *,
    count: Annotated[
        int | None, typer.Option("--count", metavar="N", help="Have so many, with an operator's key.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Show the channels and trustlines of the house, or have channels opened. The house pays what they are given."""
    if count is None:
        state = await api.get(f"/chains/{chain}")
    else:
        state = (await api.post(f"/chains/{chain}/channels", {"count": count}, repeatable=True)).body
    if json:
        output.print_json(state)
    elif not state["openings"]:
        typer.echo(f"The house has no channels and no trustlines on {chain}.")
    else:
        rows = [(one["kind"], one["subject"], one["state"], one["reason"]) for one in state["openings"]]
        output.print_table(("what", "which", "state", "why it waits"), rows)
