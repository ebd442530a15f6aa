"""`billfold assets`: what money is counted in."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from billfold.app.cli import client, commands, options, output
from billfold.app.client import Api

app = commands.group("assets")


class Kind(StrEnum):
    """What an asset can be."""

    FIAT = "fiat"
    NATIVE = "native"
    TOKEN = "token"  # noqa: S105 - no password.


@app.command("list")
@client.command
async def list_(api: Api, json: options.Json = False) -> None:
    """List all assets."""
    found = (await api.get("/assets"))["items"]
    if json:
        output.print_json(found)
        return
    rows = [
        (asset["code"], asset["name"], asset["kind"], str(asset["scale"]), asset.get("chain") or "") for asset in found
    ]
    output.print_table(("asset", "name", "kind", "decimals", "chain"), rows)


@app.command("add")
@client.command
async def add(
    api: Api,
    code: Annotated[str, typer.Argument(metavar="CODE", help="Its code, such as USDC.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called.")],
    *,
    scale: Annotated[int, typer.Option("--scale", min=0, max=36, metavar="NUMBER", help="How many decimals it has.")],
    kind: Annotated[
        Kind, typer.Option("--kind", help="A currency, a chain's own coin, or a token on a chain.")
    ] = Kind.FIAT,
    chain: Annotated[str | None, typer.Option("--chain", metavar="CHAIN", help="The chain that carries it.")] = None,
    contract: Annotated[
        str | None, typer.Option("--contract", metavar="ADDRESS", help="A token's contract, mint or issuer.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Add an asset, with an operator's key. It can't be changed or taken away again."""
    wanted = {"code": code, "name": name, "scale": scale, "kind": kind, "chain": chain, "contract": contract}
    body = {field: value for field, value in wanted.items() if value is not None}
    # Adding the same asset again is no change.
    added = (await api.post("/assets", body, repeatable=True)).body
    if json:
        output.print_json(added)
    else:
        typer.echo(f"There is {added['code']} now: {added['name']}, with {added['scale']} decimals.")
