"""`billfold payment-requests`: asking somebody for money, and paying what one is asked for."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from billfold.app.cli import client, commands, money, options, output, payees
from billfold.app.client import Api

app = commands.group("payment-requests")

RequestId = Annotated[str, typer.Argument(metavar="REQUEST", help="The request's id.")]


@app.command("create")
@client.command
async def create(
    api: Api,
    amount: money.Amount,
    asset: money.Asset,
    *,
    payer: Annotated[str, typer.Option("--from", metavar="ALIAS", help="Who is asked, such as @bob.")],
    target: Annotated[str, typer.Option("--to", metavar="WALLET", help="Which of your wallets gets it.")],
    reference: money.Reference = None,
    description: money.Description = None,
    expires_at: Annotated[
        str | None, typer.Option("--expires-at", metavar="TIME", help="Until when it can be paid; otherwise 30 days.")
    ] = None,
    idempotency_key: client.IdempotencyKey = None,
    json: options.Json = False,
) -> None:
    """Ask whoever has an alias for money."""
    body: dict[str, Any] = {"from": payer, "to": await payees.wallet(api, target)}
    body["money"] = {"amount": amount, "asset": asset}
    more = {"reference": reference, "description": description, "expires_at": expires_at}
    body |= {name: text for name, text in more.items() if text is not None}
    made = await api.post("/payment-requests", body, key=client.key(idempotency_key))
    _show(made.body, json=json)


@app.command("list")
@client.command
async def list_(
    api: Api,
    *,
    outgoing: Annotated[bool, typer.Option("--outgoing", help="What you ask for, instead of what you owe.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Also what can't be paid any more.")] = False,
    limit: options.Limit = options.LIMIT_DEFAULT,
    json: options.Json = False,
) -> None:
    """List what you are asked to pay, the newest first."""
    wanted = {"direction": "outgoing" if outgoing else "incoming", "open": not all_}
    found = await client.listed(api, "/payment-requests", wanted, limit=limit)
    if json:
        output.print_json(found)
    elif not found:
        typer.echo(
            "You ask nobody for anything."
            if outgoing
            else "Nothing is asked of you. --outgoing lists what you ask for."
        )
    else:
        rows = [
            (
                request["id"],
                output.printable(request["from"] if outgoing else request["payee"]),
                request["money"]["amount"],
                request["money"]["asset"],
                request["reference"],
                request["status"],
            )
            for request in found
        ]
        output.print_table(("request", "whom" if outgoing else "by", "amount", "asset", "reference", "status"), rows)


@app.command("pay")
@client.command
async def pay(
    api: Api,
    request: RequestId,
    *,
    source: Annotated[str, typer.Option("--from", metavar="WALLET", help="Whose money it is.")],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask whether the payee is meant.")] = False,
    json: options.Json = False,
) -> None:
    """Pay what you are asked for, once. Who asks is shown before."""
    if not yes:
        asked = await api.get(f"/payment-requests/{request}")
        amount = f"{asked['money']['amount']} {asked['money']['asset']}"
        payees.confirm(f"Pay {amount} to {output.printable(asked['payee'])}?")
    body = {"from": await payees.wallet(api, source)}
    money.show_transfer(await api.post(f"/payment-requests/{request}/pay", body, repeatable=True), json=json)


@app.command("decline")
@client.command
async def decline(api: Api, request: RequestId, json: options.Json = False) -> None:
    """Say that you don't pay."""
    _show((await api.post(f"/payment-requests/{request}/decline", repeatable=True)).body, json=json)


@app.command("cancel")
@client.command
async def cancel(api: Api, request: RequestId, json: options.Json = False) -> None:
    """Take back what you have asked for."""
    _show((await api.post(f"/payment-requests/{request}/cancel", repeatable=True)).body, json=json)


def _show(request: dict[str, Any], *, json: bool) -> None:
    if json:
        output.print_json(request)
        return
    fields = [
        ("Request", request["id"]),
        ("From", request["from"]),
        ("Payee", output.printable(request["payee"])),
        ("Amount", f"{request['money']['amount']} {request['money']['asset']}"),
        ("Reference", request["reference"]),
        ("Status", request["status"]),
        ("Expires at", request["expires_at"]),
    ]
    output.show_fields([(name, text) for name, text in fields if text])
