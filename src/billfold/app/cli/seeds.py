"""`billfold custody export-seed` and `fetch-seed`: a seed for somebody outside, which takes two people."""

from __future__ import annotations

from typing import Annotated

import typer

from billfold.app.cli import client, factors, options, output
from billfold.app.client import Api
from billfold.kernel import ids


@client.command
async def export_seed(
    api: Api,
    chain: Annotated[str, typer.Argument(help="bitcoin, ethereum, solana or stellar.", show_default=False)],
    *,
    recipient: Annotated[str, typer.Option("--recipient", metavar="KEY", help="Whose public key it is sealed for.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the one who approves.")],
    code: Annotated[str | None, typer.Option("--code", metavar="CODE", help="A code of your factor.")] = None,
    json: options.Json = False,
) -> None:
    """Ask for the seed of a chain's addresses, sealed for somebody whom the signer knows. Another person approves."""
    body = {"recipient": recipient, "reason": reason}
    answer = await factors.confirmed(api, f"/chains/{chain}/key-exports", body, key=str(ids.new()), code=code)
    if json:
        output.print_json(answer.body)
    else:
        typer.echo(f"{answer.body['id']} waits for another person: `billfold approvals approve`.")


@client.command
async def fetch_seed(
    api: Api,
    export: Annotated[str, typer.Argument(metavar="EXPORT", help="What `billfold custody export-seed` has printed.")],
    *,
    json: options.Json = False,
) -> None:
    """Print the sealed package of a seed that was approved, for `billfold signer open-export`."""
    found = await api.get(f"/key-exports/{export}")
    output.print_json(found) if json else typer.echo(found["package"])
