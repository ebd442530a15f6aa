"""`billfold wallets`: what an owner holds, and money in from and out to the world outside."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer

from billfold.app.cli import client, commands, factors, money, options, output, payees, requests
from billfold.app.client import Api

app = commands.group("wallets")

Wallet = Annotated[str, typer.Argument(metavar="WALLET", help="A wallet's id, or your own external_id of it.")]


class Status(StrEnum):
    """What a wallet can be."""

    OPEN = "open"
    FROZEN = "frozen"
    CLOSED = "closed"


@app.command("create")
@client.command
async def create(
    api: Api,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the wallet is called.")],
    external_id: Annotated[
        str | None,
        typer.Option("--external-id", metavar="TEXT", help="Your own id of it; makes the command repeatable."),
    ] = None,
    metadata: money.Metadata = None,
    json: options.Json = False,
) -> None:
    """Create a wallet. With an --external-id that exists already, the same wallet is shown again."""
    new = {"name": name, "external_id": external_id, "metadata": money.pairs(metadata)}
    answer = await api.post(
        "/wallets",
        {field: value for field, value in new.items() if value is not None},
        repeatable=external_id is not None,
    )
    if answer.replayed and not json:
        typer.echo("This wallet exists already.")
    _show(answer.body, json=json)


@app.command("list")
@client.command
async def list_(
    api: Api,
    status: Annotated[Status | None, typer.Option("--status", help="Only such wallets.")] = None,
    limit: options.Limit = options.LIMIT_DEFAULT,
    json: options.Json = False,
) -> None:
    """List wallets, the newest first."""
    found = await client.listed(api, "/wallets", {"status": status}, limit=limit)
    if json:
        output.print_json(found)
    elif not found:
        typer.echo(
            "No wallets yet. Create one: billfold wallets create NAME" if status is None else f"None is {status}."
        )
    else:
        rows = [
            (wallet["id"], wallet["name"], wallet["external_id"] or "", wallet["status"], " ".join(wallet["assets"]))
            for wallet in found
        ]
        output.print_table(("wallet", "name", "external id", "status", "assets"), rows)


@app.command("show")
@client.command
async def show(api: Api, wallet: Wallet, json: options.Json = False) -> None:
    """Show a wallet."""
    _show(await api.get(f"/wallets/{await client.wallet_id(api, wallet)}"), json=json)


@app.command("rename")
@client.command
async def rename(
    api: Api,
    wallet: Wallet,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is to be called.")],
    json: options.Json = False,
) -> None:
    """Give a wallet another name."""
    _show(await api.patch(f"/wallets/{await client.wallet_id(api, wallet)}", {"name": name}), json=json)


@app.command("freeze")
@client.command
async def freeze(api: Api, wallet: Wallet, json: options.Json = False) -> None:
    """Let nothing enter or leave a wallet until an operator unfreezes it."""
    await _change(api, wallet, "freeze", json=json)


@app.command("unfreeze")
@client.command
async def unfreeze(api: Api, wallet: Wallet, json: options.Json = False) -> None:
    """Open a frozen wallet again, with an operator's key."""
    await _change(api, wallet, "unfreeze", json=json)


@app.command("close")
@client.command
async def close(api: Api, wallet: Wallet, json: options.Json = False) -> None:
    """Close an empty wallet for ever."""
    await _change(api, wallet, "close", json=json)


@app.command("deposit")
@client.command
async def deposit(
    api: Api,
    wallet: Wallet,
    amount: money.Amount,
    asset: money.Asset,
    *,
    reference: money.Reference = None,
    description: money.Description = None,
    metadata: money.Metadata = None,
    effective_at: money.EffectiveAt = None,
    idempotency_key: client.IdempotencyKey = None,
    later: requests.Later = False,
    wait: requests.Wait = None,
    json: options.Json = False,
) -> None:
    """Put money into a wallet that has come from the world outside."""
    prefer = requests.preference(later=later, wait=wait)
    body = money.order(
        amount,
        asset,
        reference=reference,
        description=description,
        metadata=metadata,
        effective_at=effective_at,
    )
    named = quote(await payees.wallet(api, wallet), safe="")
    answer = await api.post(f"/wallets/{named}/deposits", body, key=client.key(idempotency_key), prefer=prefer)
    requests.show_outcome(answer, wait=wait, json=json)


@app.command("withdraw")
@client.command
async def withdraw(
    api: Api,
    wallet: Wallet,
    amount: money.Amount,
    asset: money.Asset,
    *,
    reference: money.Reference = None,
    description: money.Description = None,
    metadata: money.Metadata = None,
    effective_at: money.EffectiveAt = None,
    idempotency_key: client.IdempotencyKey = None,
    code: factors.Code = None,
    later: requests.Later = False,
    wait: requests.Wait = None,
    json: options.Json = False,
) -> None:
    """Take money out of a wallet to the world outside."""
    prefer = requests.preference(later=later, wait=wait)
    body = money.order(
        amount,
        asset,
        reference=reference,
        description=description,
        metadata=metadata,
        effective_at=effective_at,
    )
    named = quote(await payees.wallet(api, wallet), safe="")
    path = f"/wallets/{named}/withdrawals"
    answer = await factors.confirmed(api, path, body, key=client.key(idempotency_key), code=code, prefer=prefer)
    requests.show_outcome(answer, wait=wait, json=json)


async def _change(api: Api, wallet: str, verb: str, *, json: bool) -> None:
    # What a wallet has become already it becomes again without harm.
    answer = await api.post(f"/wallets/{await client.wallet_id(api, wallet)}/{verb}", repeatable=True)
    _show(answer.body, json=json)


def _show(wallet: dict[str, Any], *, json: bool) -> None:
    if json:
        output.print_json(wallet)
        return
    fields = [
        ("Wallet", wallet["id"]),
        ("Name", wallet["name"]),
        ("External id", wallet["external_id"] or ""),
        ("Owner", wallet["owner_id"]),
        ("Status", wallet["status"]),
        ("Assets", " ".join(wallet["assets"])),
        ("Metadata", ", ".join(f"{name}={text}" for name, text in wallet["metadata"].items())),
        ("Created at", wallet["created_at"]),
    ]
    output.show_fields([(name, text) for name, text in fields if text])
