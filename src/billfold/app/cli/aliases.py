"""`billfold aliases`: names by which money finds its way, and asking whom one stands for."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from billfold.app.cli import client, commands, options, output, payees
from billfold.app.client import Api

app = commands.group("aliases")

Alias = Annotated[
    str,
    typer.Argument(
        metavar="ALIAS",
        help="A handle (@ada), an e-mail address, a phone number (+66…) or a name such as customer:4711.",
    ),
]


class Visibility(StrEnum):
    """What others can see of one's name."""

    NAME = "name"
    MASKED = "masked"
    HIDDEN = "hidden"


_Visibility = Annotated[
    Visibility | None,
    typer.Option(
        "--visibility",
        help="What others see of your name: all of it, its first letters, or nothing, and then they can't pay to it.",
    ),
]


@app.command("add")
@client.command
async def add(api: Api, alias: Alias, *, visibility: _Visibility = None, json: options.Json = False) -> None:
    """Take an alias. An address or a number has to be verified by the code that is sent there."""
    body = {"alias": alias} | ({} if visibility is None else {"visibility": visibility.value})
    added = (await api.post("/aliases", body, repeatable=True)).body
    if json:
        output.print_json(added)
    elif added["status"] == "pending":
        typer.echo(f"A code is on its way to {added['alias']}. Then: billfold aliases verify {added['alias']} CODE")
    else:
        typer.echo(f"{added['alias']} is yours.")


@app.command("verify")
@client.command
async def verify(
    api: Api,
    alias: Alias,
    code: Annotated[
        str | None, typer.Argument(metavar="CODE", help="The code that was sent; without it, another is sent.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Prove that an address or a number is yours."""
    body = {} if code is None else {"code": code}
    verified = (await api.post(f"{payees.path(alias)}/verify", body)).body
    if json:
        output.print_json(verified)
    elif code is None:
        typer.echo(f"Another code is on its way to {verified['alias']}; only this one counts.")
    else:
        typer.echo(f"{verified['alias']} is yours.")


@app.command("list")
@client.command
async def list_(api: Api, limit: options.Limit = options.LIMIT_DEFAULT, json: options.Json = False) -> None:
    """List your aliases, the newest first."""
    found = await client.listed(api, "/aliases", limit=limit)
    if json:
        output.print_json(found)
    elif not found:
        typer.echo("No aliases yet. Take one: billfold aliases add @NAME")
    else:
        rows = [(alias["alias"], alias["kind"], alias["status"], alias["visibility"]) for alias in found]
        output.print_table(("alias", "kind", "status", "visibility"), rows)


@app.command("show")
@client.command
async def show(api: Api, alias: Alias, json: options.Json = False) -> None:
    """Ask whom an alias stands for; of your own, also where its money arrives."""
    found = await payees.ask(api, alias)
    if found["yours"]:
        chosen = await api.get(f"{payees.path(alias)}/wallets")
        found |= {"wallet": chosen["wallet"], "by_asset": chosen["by_asset"]}
    if json:
        output.print_json(found)
        return
    fields = [("Alias", found["alias"]), ("Kind", found["kind"]), ("Payee", output.printable(found["payee"]))]
    if found["yours"]:
        fields.append(("Wallet", found["wallet"] or "your oldest open one"))
        fields += [(f"Wallet for {asset}", wallet) for asset, wallet in found["by_asset"].items()]
    output.show_fields(fields)


@app.command("set-wallet")
@client.command
async def set_wallet(
    api: Api,
    alias: Alias,
    wallet: Annotated[
        str | None,
        typer.Argument(metavar="WALLET", help="The wallet's id or external_id; without it, what was chosen is undone."),
    ] = None,
    *,
    asset: Annotated[str | None, options.asset("For this asset alone.")] = None,
    json: options.Json = False,
) -> None:
    """Choose the wallet that gets what is sent to your alias."""
    chosen: dict[str, Any] = await api.get(f"{payees.path(alias)}/wallets")
    body = {"wallet": chosen["wallet"], "by_asset": chosen["by_asset"]}
    wallet_id = None if wallet is None else await client.wallet_id(api, wallet)
    if asset is None:
        body["wallet"] = wallet_id
    else:
        body["by_asset"] |= {asset: wallet_id}
        body["by_asset"] = {code: one for code, one in body["by_asset"].items() if one is not None}
    changed = (await api.put(f"{payees.path(alias)}/wallets", body)).body
    if json:
        output.print_json(changed)
    else:
        typer.echo(f"What is sent to {alias}{f' in {asset}' if asset else ''} arrives in {wallet_id or 'its default'}.")


@app.command("set-visibility")
@client.command
async def set_visibility(
    api: Api,
    alias: Alias,
    visibility: Annotated[Visibility, typer.Argument(metavar="name|masked|hidden", help="What others see.")],
    json: options.Json = False,
) -> None:
    """Choose what your alias shows of your name to others."""
    changed = await api.patch(payees.path(alias), {"visibility": visibility.value})
    if json:
        output.print_json(changed)
    else:
        typer.echo(f"{changed['alias']} shows: {changed['visibility']}.")


@app.command("release")
@client.command
async def release(
    api: Api,
    alias: Alias,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    json: options.Json = False,
) -> None:
    """Let go of an alias: nobody can pay to it any more."""
    if not yes:
        payees.confirm(f"Nobody will be able to pay to {alias} any more. Release it?")
    released = await api.delete(payees.path(alias))
    if json:
        output.print_json(released)
    else:
        kept = released["kept_until"][:10]
        typer.echo(f"{released['alias']} is released. Until {kept} nobody but you can take it again.")
