"""`billfold withdrawals`: money that leaves for an address on a chain."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from billfold.app.cli import client, commands, factors, money, options, output
from billfold.app.client import Api

app = commands.group("withdrawals")

WithdrawalId = Annotated[str, typer.Argument(metavar="WITHDRAWAL", help="The withdrawal's id.")]
Wallet = Annotated[str, typer.Argument(metavar="WALLET", help="Whose money it is.")]


class Speed(StrEnum):
    """How soon it is to be in a block."""

    SLOW = "slow"
    NORMAL = "normal"
    FAST = "fast"


@app.command("create")
@client.command
async def create(
    api: Api,
    wallet: Wallet,
    amount: money.Amount,
    asset: money.Asset,
    *,
    to: Annotated[str, typer.Option("--to", metavar="ADDRESS", help="The address on the chain.")],
    memo: Annotated[str | None, typer.Option("--memo", metavar="MEMO", help="Of Stellar, such as text:4711.")] = None,
    speed: Annotated[Speed, typer.Option("--speed", help="What is offered for a place in a block.")] = Speed.NORMAL,
    max_fee: Annotated[
        str | None,
        typer.Option("--max-fee", metavar="AMOUNT", help="What the fees may be; if they are more, nothing is sent."),
    ] = None,
    idempotency_key: client.IdempotencyKey = None,
    code: factors.Code = None,
    json: options.Json = False,
) -> None:
    """Send money to an address on the chain of its asset."""
    body: dict[str, Any] = {"money": {"amount": amount, "asset": asset}, "to": to, "speed": speed.value}
    if memo is not None:
        body["memo"] = memo
    if max_fee is not None:
        body["max_fee"] = max_fee
    path = f"/wallets/{await client.wallet_id(api, wallet)}/chain-withdrawals"
    answer = await factors.confirmed(api, path, body, key=client.key(idempotency_key), code=code)
    if not money.show_if_pending(answer, json=json):
        _show(answer.body, replayed=answer.replayed, json=json)


@app.command("fees")
@client.command
async def fees(
    api: Api,
    chain: Annotated[str, typer.Argument(metavar="CHAIN", help="Such as bitcoin.")],
    amount: money.Amount,
    *,
    to: Annotated[str, typer.Option("--to", metavar="ADDRESS", help="The address on the chain.")],
    asset: Annotated[
        str | None, typer.Option("--asset", metavar="ASSET", help="A token; otherwise the chain's own coin.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Show what sending it would cost, at each speed."""
    wanted = {"amount": amount, "to": to, "asset": None if asset is None else asset.upper()}
    found = await api.get(f"/chains/{chain}/fees", {name: text for name, text in wanted.items() if text is not None})
    if json:
        output.print_json(found)
        return
    rows = [
        (one["speed"], one["network_fee"], one["service_fee"], one["arrives"], one["takes"]) for one in found["offers"]
    ]
    output.print_table(("speed", "network fee at most", "service fee", "arrives", "leaves at most"), rows)
    if found["stale"]:
        typer.echo(f"The chain has said nothing newer for {found['age_s']:.0f} seconds.")


@app.command("list")
@client.command
async def list_(
    api: Api, wallet: Wallet, limit: options.Limit = options.LIMIT_DEFAULT, json: options.Json = False
) -> None:
    """List what has left a wallet for chains, or is about to; the newest first."""
    path = f"/wallets/{await client.wallet_id(api, wallet)}/chain-withdrawals"
    found = await client.listed(api, path, {}, limit=limit)
    if json:
        output.print_json(found)
    elif not found:
        typer.echo("No withdrawals. Make one: billfold withdrawals create WALLET AMOUNT ASSET --to ADDRESS")
    else:
        rows = [
            (one["id"], one["chain"], one["money"]["amount"], one["money"]["asset"], one["to"], one["status"])
            for one in found
        ]
        output.print_table(("withdrawal", "chain", "amount", "asset", "to", "status"), rows)


@app.command("show")
@client.command
async def show(api: Api, withdrawal: WithdrawalId, json: options.Json = False) -> None:
    """Show a withdrawal and how far it is."""
    _show(await api.get(f"/chain-withdrawals/{withdrawal}"), replayed=False, json=json)


@app.command("cancel")
@client.command
async def cancel(api: Api, withdrawal: WithdrawalId, json: options.Json = False) -> None:
    """Take a withdrawal back, while that is possible."""
    answer = await api.post(f"/chain-withdrawals/{withdrawal}/cancel")
    _show(answer.body, replayed=False, json=json)


@app.command("bump")
@client.command
async def bump(
    api: Api, withdrawal: WithdrawalId, idempotency_key: client.IdempotencyKey = None, json: options.Json = False
) -> None:
    """Offer more for a place in a block. What that may cost is held besides."""
    answer = await api.post(f"/chain-withdrawals/{withdrawal}/bump", key=client.key(idempotency_key))
    _show(answer.body, replayed=False, json=json)


def _show(found: dict[str, Any], *, replayed: bool, json: bool) -> None:
    if json:
        output.print_json(found)
        return
    if replayed:
        typer.echo("This was done by an earlier try; nothing was done again.")

    def written(name: str) -> str:
        value = found[name]
        return "" if value is None else f"{value['amount']} {value['asset']}"

    fields = [
        ("Withdrawal", found["id"]),
        ("Wallet", found["wallet"]),
        ("Chain", found["chain"]),
        ("Amount", written("money")),
        ("Network fee", f"{written('network_fee')} at most"),
        ("Charged", written("fee_paid")),
        ("Service fee", written("service_fee")),
        ("To", found["to"]),
        ("Memo", found["memo"] or ""),
        ("Status", "cancelling" if found["cancelling"] else found["status"]),
        ("Reason", found["reason"]),
        ("Waits until", found["waits_until"] or ""),
        ("Transaction", found["chain_tx"] or ""),
        ("Block", "" if found["height"] is None else str(found["height"])),
        ("Created at", found["created_at"]),
    ]
    output.show_fields([(name, text) for name, text in fields if text])
