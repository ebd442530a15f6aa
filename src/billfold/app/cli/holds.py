"""`billfold holds`: money that is set aside."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from billfold.app.cli import client, commands, factors, money, options, output, payees
from billfold.app.client import Api

app = commands.group("holds")

_OUTSIDE = "outside"
HoldId = Annotated[str, typer.Argument(metavar="HOLD", help="The hold's id.")]


class Status(StrEnum):
    """What a hold can be."""

    ACTIVE = "active"
    SETTLED = "settled"
    RELEASED = "released"
    EXPIRED = "expired"


@app.command("place")
@client.command
async def place(
    api: Api,
    wallet: Annotated[str, typer.Argument(metavar="WALLET", help="Whose money it is.")],
    amount: money.Amount,
    asset: money.Asset,
    *,
    expires_at: Annotated[
        str | None, typer.Option("--expires-at", metavar="TIME", help="When what is left goes back by itself.")
    ] = None,
    reference: money.Reference = None,
    description: money.Description = None,
    idempotency_key: client.IdempotencyKey = None,
    json: options.Json = False,
) -> None:
    """Set money of a wallet aside, so that nothing else can spend it."""
    wanted = {
        "wallet": await client.wallet_id(api, wallet),
        "money": {"amount": amount, "asset": asset},
        "expires_at": expires_at,
        "reference": reference,
        "description": description,
    }
    body = {name: value for name, value in wanted.items() if value is not None}
    answer = await api.post("/holds", body, key=client.key(idempotency_key))
    _show(answer.body, replayed=answer.replayed, json=json)


@app.command("list")
@client.command
async def list_(
    api: Api,
    wallet: Annotated[str | None, typer.Option("--wallet", metavar="WALLET", help="Only of this wallet.")] = None,
    status: Annotated[Status | None, typer.Option("--status", help="Only such holds.")] = None,
    limit: options.Limit = options.LIMIT_DEFAULT,
    json: options.Json = False,
) -> None:
    """List holds, the newest first."""
    wanted = {"wallet": None if wallet is None else await client.wallet_id(api, wallet), "status": status}
    found = await client.listed(api, "/holds", wanted, limit=limit)
    if json:
        output.print_json(found)
    elif not found and any(wanted.values()):
        typer.echo("No hold is like that. `billfold holds list` shows all.")
    elif not found:
        typer.echo("No holds. Place one: billfold holds place WALLET AMOUNT ASSET")
    else:
        rows = [
            (
                hold["id"],
                hold["wallet"],
                hold["money"]["amount"],
                hold["money"]["asset"],
                hold["remaining"],
                hold["status"],
            )
            for hold in found
        ]
        output.print_table(("hold", "wallet", "amount", "asset", "remaining", "status"), rows)


@app.command("settle")
@client.command
async def settle(
    api: Api,
    hold: HoldId,
    *,
    to: Annotated[
        str, typer.Option("--to", metavar="WALLET", help=f"Who gets the money: a wallet, an alias, or {_OUTSIDE!r}.")
    ],
    amount: Annotated[
        str | None, typer.Option("--amount", metavar="AMOUNT", help="Only so much of it; otherwise all that is left.")
    ] = None,
    release_rest: Annotated[bool, typer.Option("--release-rest", help="Give back what is left after this.")] = False,
    idempotency_key: client.IdempotencyKey = None,
    code: factors.Code = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask whether the payee of an alias is meant.")] = False,
    json: options.Json = False,
) -> None:
    """Move held money to where it was meant for."""
    body: dict[str, Any] = {"release_rest": release_rest}
    what = f"{amount} of the held money" if amount is not None else "the held money"
    body |= {"to": to} if to == _OUTSIDE else await payees.target(api, to, what, yes=yes)
    if amount is not None:
        asset = (await api.get(f"/holds/{hold}"))["money"]["asset"]
        body["money"] = {"amount": amount, "asset": asset}
    path, key = f"/holds/{hold}/settle", client.key(idempotency_key)
    answer = await factors.confirmed(api, path, body, key=key, code=code)
    if money.show_if_pending(answer, json=json):
        return
    if json:
        output.print_json(answer.body)
        return
    _show(answer.body["hold"], replayed=answer.replayed, json=False)
    if answer.body["transfer"] is not None:
        typer.echo()
        when = "then" if answer.replayed else "now"
        output.show_fields(money.transfer_fields(answer.body["transfer"], when=when))


@app.command("release")
@client.command
async def release(
    api: Api, hold: HoldId, idempotency_key: client.IdempotencyKey = None, json: options.Json = False
) -> None:
    """Give what is left of a hold back."""
    answer = await api.post(f"/holds/{hold}/release", key=client.key(idempotency_key))
    _show(answer.body, replayed=answer.replayed, json=json)


def _show(hold: dict[str, Any], *, replayed: bool, json: bool) -> None:
    if json:
        output.print_json(hold)
        return
    if replayed:
        typer.echo("This was done by an earlier try; nothing was done again.")
    asset = hold["money"]["asset"]
    fields = [
        ("Hold", hold["id"]),
        ("Wallet", hold["wallet"]),
        ("Amount", f"{hold['money']['amount']} {asset}"),
        ("Settled", f"{hold['settled']} {asset}"),
        ("Remaining", f"{hold['remaining']} {asset}"),
        ("Status", hold["status"]),
        ("Reference", hold["reference"]),
        ("Description", hold["description"]),
        ("Expires at", hold["expires_at"] or ""),
        ("Created at", hold["created_at"]),
        ("Ended at", hold["ended_at"] or ""),
    ]
    output.show_fields([(name, text) for name, text in fields if text])
