"""`billfold balance`: what is and was in a wallet."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import typer

from billfold.app.cli import client, options, output
from billfold.app.client import Api
from billfold.app.importing.accounts import UNLIMITED_AMOUNT
from billfold.app.importing.mapping import UNLIMITED


@client.command
async def balance(
    api: Api,
    wallet: Annotated[str, typer.Argument(metavar="WALLET", help="A wallet's id, or your own external_id of it.")],
    *,
    asset: Annotated[str | None, options.asset("Only of this asset.")] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="As it was recorded at this instant of the past.")
    ] = None,
    effective_at: Annotated[
        str | None,
        typer.Option(
            "--effective-at", metavar="TIME", help="At this instant, with all that counts as having happened by then."
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Show what is in a wallet: now, or at an instant of the past."""
    wallet_id = await client.wallet_id(api, wallet)
    question = {"asset": asset, "at": at, "effective_at": effective_at}
    found = await api.get(f"/wallets/{wallet_id}/balance", question)
    if json:
        output.print_json(found)
    elif not found["balances"]:
        typer.echo(f"Nothing has been in this wallet yet. Put money in: billfold wallets deposit {wallet} AMOUNT ASSET")
    elif at is None and effective_at is None:
        columns = ("asset", "posted", "held", "available")
        rows = [(*(line[column] for column in columns), _limit(line["credit_limit"])) for line in found["balances"]]
        output.print_table(("asset", "posted", "held", "available", "credit limit"), rows)
    else:
        output.print_table(("asset", "posted"), [(line["asset"], line["posted"]) for line in found["balances"]])


def _limit(amount: str) -> str:
    """A credit limit; the one that an import sets for none at all is told by its name."""
    return UNLIMITED if Decimal(amount) >= Decimal(UNLIMITED_AMOUNT) else amount
