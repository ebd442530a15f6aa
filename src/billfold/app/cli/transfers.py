"""`billfold transfers`: money from wallet to wallet, and what has happened in wallets."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from billfold.app.cli import client, commands, money, options, output, payees, requests
from billfold.app.client import Api

app = commands.group("transfers")

TransferId = Annotated[str, typer.Argument(metavar="TRANSFER", help="The transfer's id.")]


class Kind(StrEnum):
    """What a transfer can be."""

    TRANSFER = "transfer"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    FEE = "fee"
    REVERSAL = "reversal"
    SETTLEMENT = "settlement"
    ADJUSTMENT = "adjustment"


class Direction(StrEnum):
    """Which way money can go."""

    IN = "in"
    OUT = "out"


@app.command("create")
@client.command
async def create(
    api: Api,
    amount: money.Amount,
    asset: money.Asset,
    *,
    source: Annotated[str, typer.Option("--from", metavar="WALLET", help="Whose money it is.")],
    target: Annotated[
        str, typer.Option("--to", metavar="WALLET", help="Who gets it: a wallet, or an alias such as @ada.")
    ],
    reference: money.Reference = None,
    description: money.Description = None,
    metadata: money.Metadata = None,
    effective_at: money.EffectiveAt = None,
    idempotency_key: client.IdempotencyKey = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask whether the payee of an alias is meant.")] = False,
    later: requests.Later = False,
    wait: requests.Wait = None,
    json: options.Json = False,
) -> None:
    """Move money from one of your wallets to anybody's. Of an alias its payee is shown before."""
    prefer = requests.preference(later=later, wait=wait)
    body = money.order(
        amount,
        asset,
        reference=reference,
        description=description,
        metadata=metadata,
        effective_at=effective_at,
    )
    body |= {"from": await payees.wallet(api, source)}
    body |= await payees.target(api, target, f"{amount} {asset}", yes=yes)
    answer = await api.post("/transfers", body, key=client.key(idempotency_key), prefer=prefer)
    requests.show_outcome(answer, wait=wait, json=json)


@app.command("show")
@client.command
async def show(api: Api, transfer: TransferId, json: options.Json = False) -> None:
    """Show a transfer."""
    found = await api.get(f"/transfers/{transfer}")
    if json:
        output.print_json(found)
    else:
        output.show_fields(money.transfer_fields(found, when="then"))


@app.command("reverse")
@client.command
async def reverse(
    api: Api,
    transfer: TransferId,
    amount: Annotated[
        str | None, typer.Option("--amount", metavar="AMOUNT", help="Only so much of it; otherwise all that is left.")
    ] = None,
    idempotency_key: client.IdempotencyKey = None,
    json: options.Json = False,
) -> None:
    """Send a transfer's money back, or a part of it, by a new transfer."""
    body: dict[str, Any] = {}
    if amount is not None:
        asset = (await api.get(f"/transfers/{transfer}"))["money"]["asset"]
        body["money"] = {"amount": amount, "asset": asset}
    answer = await api.post(f"/transfers/{transfer}/reverse", body, key=client.key(idempotency_key))
    money.show_transfer(answer, json=json)


@app.command("list")
@client.command
async def list_(
    api: Api,
    *,
    wallet: Annotated[str | None, typer.Option("--wallet", metavar="WALLET", help="Only of this wallet.")] = None,
    asset: Annotated[str | None, options.asset("Only in this asset.")] = None,
    kind: Annotated[Kind | None, typer.Option("--kind", help="Only of this kind.")] = None,
    direction: Annotated[Direction | None, typer.Option("--direction", help="Only what came in, or went out.")] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", metavar="TEXT", help="Only with exactly this reference.")
    ] = None,
    since: options.Since = None,
    until: options.Until = None,
    limit: options.Limit = options.LIMIT_DEFAULT,
    json: options.Json = False,
) -> None:
    """List what has happened in your wallets, the newest first."""
    wanted = {
        "wallet": None if wallet is None else await client.wallet_id(api, wallet),
        "asset": asset,
        "kind": kind,
        "direction": direction,
        "reference": reference,
        "since": since,
        "until": until,
    }
    found = await client.listed(api, "/transactions", wanted, limit=limit)
    if json:
        output.print_json(found)
    elif not found and any(wanted.values()):
        typer.echo("No transfer is like that. `billfold transfers list` shows all of yours.")
    elif not found:
        typer.echo("Nothing has happened yet. Put money into a wallet: billfold wallets deposit WALLET AMOUNT ASSET")
    else:
        output.print_table(_COLUMNS, [_row(transaction) for transaction in found])


_COLUMNS = ("effective at", "transfer", "kind", "amount", "asset", "balance", "reference", "description")


def _row(transaction: dict[str, Any]) -> tuple[str, ...]:
    sign = "-" if transaction["direction"] == "out" else ""
    return (
        transaction["effective_at"][:19],
        transaction["id"],
        transaction["kind"],
        sign + transaction["money"]["amount"],
        transaction["money"]["asset"],
        transaction["balance"],
        transaction["reference"],
        transaction["description"],
    )
