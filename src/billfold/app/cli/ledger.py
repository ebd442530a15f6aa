"""`billfold ledger verify`: every balance derived again from its entries, straight from the database."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Annotated

import typer

from billfold.app import container
from billfold.app.cli import commands, direct, exits, options, output, progress
from billfold.ledger.contracts import Verification

app = commands.group("ledger")


@app.callback()
def _group() -> None:
    pass


@app.command("verify")
def verify(
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
    faults_shown: Annotated[
        int, typer.Option("--faults", min=1, metavar="NUMBER", help="How many faults to show at most.")
    ] = 20,
) -> None:
    """Derive every balance and version again from the entries and compare, while the ledger goes on working.

    Exit code 4 means that a fault was found.
    """
    started = monotonic()
    found = asyncio.run(_verify(config, data))
    seconds = monotonic() - started
    if json:
        output.print_json(found)
    else:
        _show(found, seconds, faults_shown)
    if found.faults:
        raise typer.Exit(exits.FAULT_FOUND)


async def _verify(config: options.Config, data: options.Data) -> Verification:
    tree = direct.database_settings(config, data)
    async with container.opened(tree, name="billfold verify") as parts:
        with progress.bar("Entries") as advance:
            started = monotonic()

            def show(done: int, total: int) -> None:
                rate = done / max(monotonic() - started, 1e-9)
                advance(done, total, f"{done:,} of {total:,}, {rate:,.0f}/s")

            return await parts.ledger.verify(progress=show)


def _show(found: Verification, seconds: float, faults_shown: int) -> None:
    counts = (("Transfers", found.transfers), ("Accounts", found.accounts), ("Holds", found.holds))
    output.show_fields([*((name, f"{count:,}") for name, count in counts), ("Time", f"{seconds:.1f} s")])
    if not found.faults:
        typer.echo("The books are right.")
        return
    typer.echo(f"The books are wrong. Faults found: {len(found.faults):,}")
    rows = [(fault.invariant, str(fault.subject), fault.detail) for fault in found.faults[:faults_shown]]
    output.print_table(("invariant", "subject", "fault"), rows)
    typer.echo("Stop what writes to the ledger, keep the database as it is, and look at these accounts first.")
