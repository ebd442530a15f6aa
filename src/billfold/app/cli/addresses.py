"""`billfold addresses`: where money for a wallet goes on chains."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from billfold.app.cli import client, commands, options, output
from billfold.app.client import Api

app = commands.group("addresses")

Wallet = Annotated[str, typer.Argument(metavar="WALLET", help="A wallet's id, or your own id for it.")]


@app.command("create")
@client.command
async def create(
    api: Api,
    wallet: Wallet,
    chain: Annotated[str, typer.Argument(metavar="CHAIN", help="Such as bitcoin; `billfold chains list` has them.")],
    *,
    another: Annotated[
        bool, typer.Option("--another", help="Show a new one from now on. Those before stay good for ever.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Show the address of a wallet on a chain; the first time one is made."""
    wallet_id = await client.wallet_id(api, wallet)
    body = {"chain": chain, "another": another}
    # Only another one is made anew by a repeat.
    made = (await api.post(f"/wallets/{wallet_id}/addresses", body, repeatable=not another)).body
    if json:
        output.print_json(made)
        return
    fields = [("Chain", made["chain"]), ("Address", made["address"]), ("Memo", made["memo"])]
    fields += [("In one", made["muxed"]), ("To open", made["uri"])]
    output.show_fields([(name, text) for name, text in fields if text])
    if made["memo"]:
        typer.echo("Without the memo nobody knows whose the money is.", err=True)


@app.command("list")
@client.command
async def list_(api: Api, wallet: Wallet, json: options.Json = False) -> None:
    """List the addresses of a wallet; all of them are good for ever."""
    wallet_id = await client.wallet_id(api, wallet)
    found: list[dict[str, Any]] = (await api.get(f"/wallets/{wallet_id}/addresses"))["items"]
    if json:
        output.print_json(found)
    elif not found:
        typer.echo("The wallet has no address yet: `billfold addresses create WALLET CHAIN`.")
    else:
        rows = [(one["chain"], one["address"], one["memo"] or "", "yes" if one["current"] else "") for one in found]
        output.print_table(("chain", "address", "memo", "shown"), rows)
