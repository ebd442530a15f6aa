"""`billfold custody`: whether the chains hold what the ledger owes, and whether a backup has the keys of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from billfold.app.cli import client, commands, drill, exits, options, output, progress, reserves, seeds, treasury
from billfold.app.client import Api

app = commands.group("custody")
app.command("restore-drill")(drill.restore_drill)
app.command("export-seed")(seeds.export_seed)
app.command("fetch-seed")(seeds.fetch_seed)
app.command("prove-reserves")(reserves.prove_reserves)
app.command("reserves")(reserves.list_)
app.command("reserve-proof")(reserves.reserve_proof)
app.command("hot")(treasury.hot)
app.command("coins")(treasury.coins)
app.command("refills")(treasury.refills)
app.command("hurry")(treasury.hurry)

#: Each call asks the chain for as many addresses as it may; more than this and something is wrong with it.
_CALLS_MAX = 10_000
_IDS_SHOWN = 3
_WORDS: Mapping[str, str] = {
    "deposits_unconfirmed": "deposits that wait for confirmations",
    "deposits_below_minimum": "deposits below the minimum",
    "deposits_held_up": "deposits that their account does not take now",
    "deposits_being_credited": "deposits that are being credited",
    "deposits_to_be_taken_back": "deposits that no block has any more",
    "deposits_being_taken_back": "deposits that are being taken back",
    "unlisted_token": "came before the token was an asset",
    "withdrawals_not_settled": "withdrawals that a block has, and the ledger not yet",
    "network_fees_not_settled": "network fees that a block has, and the ledger not yet",
    "withdrawals_not_mined": "withdrawals that no block has yet",
    "coins_missing": "coins that should be there, and that the chain does not have",
}


@app.command("reconcile")
@client.command
async def reconcile(
    api: Api,
    chain: Annotated[str | None, typer.Option("--chain", metavar="CHAIN", help="Only this chain.")] = None,
    json: options.Json = False,
) -> None:
    """Compare what each chain holds with what the ledger owes, with an operator's key.

    Exit code 4 means that a difference was found that nobody can explain, and 1 that it can't be said now.
    """
    chains = [chain] if chain is not None else [one["id"] for one in (await api.get("/chains"))["items"]]
    found: list[dict[str, Any]] = []
    with progress.bar("Addresses") as advance:
        for name in chains:
            found += await _reconciled(api, name, advance)
    if json:
        output.print_json(found)
    else:
        _show(found)
    outcomes = {one["outcome"] for one in found}
    if "break" in outcomes:
        raise typer.Exit(exits.FAULT_FOUND)
    if "unsettled" in outcomes:
        raise typer.Exit(exits.FAILED)


@app.command("resume")
@client.command
async def resume(
    api: Api,
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="Whose withdrawals, such as ETH.")],
    difference: Annotated[
        str, typer.Option("--difference", metavar="AMOUNT", help="What you have seen in the report, such as -0.2.")
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit.")],
    json: options.Json = False,
) -> None:
    """Let withdrawals go on although chain and ledger differ, until they differ by another amount."""
    wanted = {"asset": asset, "difference": difference, "reason": reason}
    report = (await api.post("/custody/reconciliations/resume", wanted)).body
    if json:
        output.print_json(report)
    else:
        typer.echo(f"Withdrawals of {asset} go on, as long as the difference is {report['difference']}.")


async def _reconciled(api: Api, chain: str, advance: progress.Advance) -> list[dict[str, Any]]:
    """The reports of a chain, when all of its addresses were asked for."""
    wanted: dict[str, Any] = {"chain": chain}
    asked = 0
    items: list[dict[str, Any]] = []
    for _ in range(_CALLS_MAX):
        answer: dict[str, Any] = (await api.post("/custody/reconciliations", wanted, repeatable=True)).body
        items = answer["items"]
        asked += max((one["asked"] for one in items), default=0)
        advance(asked, asked + answer["remaining"], f"{chain}: {asked:,} of {asked + answer['remaining']:,}")
        if not answer["remaining"] or any(one["outcome"] == "break" for one in items) or _is_stuck(items):
            return items
        wanted = {"chain": chain, "since": answer["since"]}
    return items


def _is_stuck(items: Sequence[Mapping[str, Any]]) -> bool:
    """Whether asking again at once would find the same: only where much has moved the next call goes on."""
    return any(one["outcome"] == "unsettled" and one["reason"] != "much_has_moved" for one in items)


def _show(found: Sequence[Mapping[str, Any]]) -> None:
    if not found:
        typer.echo("No chain is served: none has nodes in the settings.")
        return
    columns = ("chain", "asset", "block", "chain holds", "ledger owes", "explained", "difference", "")
    output.print_table(columns, [_row(one) for one in found])
    for one in found:
        for term in one["explained"]:
            _show_term(one["asset"], term)
        if one["stopped"]:
            typer.echo(f"{one['asset']}: withdrawals are stopped. `billfold custody resume` lets them go on.")


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    if one["height"] is None:
        return (one["chain"], one["asset"], "", "", "", "", "", f"{one['outcome']}: {one['reason']}")
    explained = str(sum(1 for term in one["explained"] if term["amount"].strip("-0.")) or "")
    outcome = one["outcome"] + (f": {one['reason']}" if one["reason"] else "")
    amounts = (one["chain_holds"], one["ledger_owes"])
    return (one["chain"], one["asset"], str(one["height"]), *amounts, explained, one["difference"], outcome)


def _show_term(asset: str, term: Mapping[str, Any]) -> None:
    ids = ", ".join(term["ids"][:_IDS_SHOWN])
    more = term["count"] - min(_IDS_SHOWN, len(term["ids"]))
    amount = term["amount"] if term["amount"].strip("-0.") else f"({term['on_its_way']})"
    others = f" and {more:,} more" if more > 0 else ""
    typer.echo(output.printable(f"{asset}: {amount}  {_WORDS.get(term['name'], term['name'])}: {ids}{others}"))
