"""`billfold deposits`: what has arrived on chains, and why something has not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from billfold.app.cli import client, commands, factors, money, options, output
from billfold.app.client import Api

app = commands.group("deposits")


@app.command("list")
@client.command
async def list_(
    api: Api,
    wallet: Annotated[str | None, typer.Argument(metavar="WALLET", help="Whose; none with --unmatched.")] = None,
    *,
    unmatched: Annotated[
        bool, typer.Option("--unmatched", help="What is nobody's yet, with an operator's key.")
    ] = False,
    limit: options.Limit = options.LIMIT_DEFAULT,
    json: options.Json = False,
) -> None:
    """List what has arrived for a wallet, the newest first."""
    if unmatched == (wallet is not None):
        raise typer.BadParameter("name a wallet, or use --unmatched")
    path = "/deposits/unmatched" if wallet is None else f"/wallets/{await client.wallet_id(api, wallet)}/deposits"
    found = await client.listed(api, path, {}, limit=limit)
    if json:
        output.print_json(found)
    elif not found:
        typer.echo("Nothing has arrived on a chain.")
    else:
        rows = [
            (
                one["id"],
                one["chain"],
                one["money"]["amount"],
                one["money"]["asset"],
                one["waits"] or one["state"],
                _confirmations(one),
                one["chain_tx"],
            )
            for one in found
        ]
        output.print_table(("deposit", "chain", "amount", "asset", "state", "confirmations", "transaction"), rows)


def _confirmations(deposit: Mapping[str, Any]) -> str:
    """How many it has, of those that it takes for the next state."""
    wanted = {"detected": deposit["credit_after"], "credited": deposit["release_after"]}.get(deposit["state"])
    return str(deposit["confirmations"]) if wanted is None else f"{deposit['confirmations']} of {wanted}"


@app.command("explain")
@client.command
async def explain(
    api: Api,
    chain_tx: Annotated[str, typer.Argument(metavar="TXID", help="The transaction's id on its chain.")],
    json: options.Json = False,
) -> None:
    """Say why the money of a transaction is where it is."""
    found: dict[str, Any] = await api.get("/deposits/explain", {"chain_tx": chain_tx})
    if json:
        output.print_json(found)
        return
    for one in found["found"]:
        deposit = one["deposit"]
        money = f"{deposit['money']['amount']} {deposit['money']['asset']} on {one['chain']}: " if deposit else ""
        typer.echo(f"{one['verdict']}: {money}{one['why']}")


@app.command("refund")
@client.command
async def refund(
    api: Api,
    deposit: Annotated[str, typer.Argument(metavar="DEPOSIT", help="Its id, as `deposits list --unmatched` has it.")],
    *,
    to: Annotated[str, typer.Option("--to", metavar="ADDRESS", help="The address that its sender has named.")],
    memo: Annotated[str | None, typer.Option("--memo", metavar="MEMO", help="Of Stellar, such as text:4711.")] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="How you know.")],
    idempotency_key: client.IdempotencyKey = None,
    code: factors.Code = None,
    json: options.Json = False,
) -> None:
    """Send what is nobody's to an address, less the network fee, with an operator's key."""
    body = {"to": to, "reason": reason} | ({} if memo is None else {"memo": memo})
    key = client.key(idempotency_key)
    answer = await factors.confirmed(api, f"/deposits/{deposit}/refund", body, key=key, code=code)
    if money.show_if_pending(answer, json=json):
        return
    if json:
        output.print_json(answer.body)
        return
    sent = answer.body["refund"]
    typer.echo(f"{sent['money']['amount']} {sent['money']['asset']} are sent to {sent['to']}: {sent['status']}.")


@app.command("bump-refund")
@client.command
async def bump_refund(
    api: Api,
    deposit: Annotated[str, typer.Argument(metavar="DEPOSIT", help="Which one is sent back.")],
    idempotency_key: client.IdempotencyKey = None,
    json: options.Json = False,
) -> None:
    """Offer more for a refund's place in a block, at the house's cost, with an operator's key."""
    answer = await api.post(f"/deposits/{deposit}/bump-refund", key=client.key(idempotency_key))
    if json:
        output.print_json(answer.body)
    else:
        typer.echo(f"More is offered; the refund is {answer.body['refund']['status']}.")


@app.command("assign")
@client.command
async def assign(
    api: Api,
    deposit: Annotated[str, typer.Argument(metavar="DEPOSIT", help="Its id, as `deposits list --unmatched` has it.")],
    wallet: Annotated[str, typer.Argument(metavar="WALLET", help="Whose it is.")],
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="How you know.")],
    json: options.Json = False,
) -> None:
    """Give what is nobody's to a wallet, with an operator's key."""
    body = {"wallet": await client.wallet_id(api, wallet), "reason": reason}
    given = (await api.post(f"/deposits/{deposit}/assign", body, repeatable=True)).body
    if json:
        output.print_json(given)
    else:
        typer.echo(f"{given['money']['amount']} {given['money']['asset']} are given to wallet {given['wallet_id']}.")
