"""Commands of `billfold custody` about the house's own money: what lies ready, its coins, what is to be brought."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from billfold.app.cli import client, options, output
from billfold.app.cli.withdrawals import Speed
from billfold.app.client import Api


@client.command
async def hot(api: Api, json: options.Json = False) -> None:
    """Show how much of each asset lies ready, with an operator's key."""
    found: list[dict[str, Any]] = (await api.get("/custody/hot"))["items"]
    if json:
        output.print_json(found)
    elif not found:
        typer.echo("No asset has a band, or nobody has looked yet: see the settings `warm` and `hot_bands` of a chain.")
    else:
        amounts = ("free", "waiting", "low", "target", "high", "warm")
        rows = [
            (one["chain"], one["asset"], *(one[name]["amount"] for name in amounts), one["side"] or "within")
            for one in found
        ]
        output.print_table(("chain", "asset", *amounts, "is"), rows)


@client.command
async def coins(
    api: Api,
    chain: Annotated[str, typer.Argument(metavar="CHAIN", help="Which one, such as bitcoin.")],
    json: options.Json = False,
) -> None:
    """Count the coins of the house, with an operator's key: the small ones, and those not worth their fee."""
    found: dict[str, Any] = await api.get(f"/custody/coins/{chain}")
    if json:
        output.print_json(found)
    else:
        rows = [
            (name, str(found[count]), found[worth]["amount"])
            for name, count, worth in (
                ("all", "count", "money"),
                ("small", "small", "small_money"),
                ("dust", "dust", "dust_money"),
            )
        ]
        output.print_table(("coins", "number", found["money"]["asset"]), rows)


@client.command
async def hurry(
    api: Api,
    chain_tx: Annotated[str, typer.Argument(metavar="TRANSACTION", help="Its id on the chain.")],
    *,
    chain: Annotated[str, typer.Option("--chain", metavar="CHAIN", help="Which one.")] = "bitcoin",
    speed: Annotated[Speed, typer.Option("--speed", help="How soon.")] = Speed.FAST,
    json: options.Json = False,
) -> None:
    """Get a stuck transaction that pays us into a block by another one that pays for both, with an operator's key."""
    wanted = {"chain": chain, "chain_tx": chain_tx, "speed": speed.value}
    child: dict[str, Any] = (await api.post("/custody/children", wanted, repeatable=True)).body
    if json:
        output.print_json(child)
    else:
        fee = child["network_fee"]
        sent = f" as {child['child_tx']}" if child["child_tx"] else ""
        typer.echo(f"A child that costs the house {fee['amount']} {fee['asset']} is {child['status']}{sent}.")


@client.command
async def refills(
    api: Api,
    *,
    all_: Annotated[bool, typer.Option("--all", help="Those that are closed, too.")] = False,
    limit: options.Limit = options.LIMIT_DEFAULT,
    json: options.Json = False,
) -> None:
    """List what is to be brought from the warm address, with an operator's key."""
    found = await client.listed(api, "/custody/refills", {} if all_ else {"state": "open"}, limit=limit)
    if json:
        output.print_json(found)
    elif not found:
        typer.echo("Nothing is to be brought.")
    else:
        rows = [
            (
                one["chain"],
                one["money"]["amount"],
                one["money"]["asset"],
                one["warm_address"] or "",
                one["address"],
                one["received"]["amount"],
                one["outcome"] or "open",
            )
            for one in found
        ]
        output.print_table(("chain", "amount", "asset", "from", "to", "received", "state"), rows)
