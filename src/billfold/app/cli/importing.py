"""`billfold import transactions`: a bank's file into wallets, each row exactly once."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from billfold.app.cli import client, commands, exits, options, output, progress
from billfold.app.client import Api
from billfold.app.importing import mapping as mappings
from billfold.app.importing import memory, posting
from billfold.app.importing.run import Import, Summary
from billfold.app.importing.source import FileUnfinished

app = commands.group("import")

_GZIP = ".gz"


def _column(flag: str, what: str) -> Any:
    return typer.Option(flag, metavar="COLUMN", help=what)


@app.callback()
def _group() -> None:
    pass


@app.command("transactions")
@client.command
async def transactions(
    api: Api,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with a header, or JSON Lines; gzip too.")],
    *,
    mapping: Annotated[
        Path | None, typer.Option("--mapping", metavar="FILE", help="TOML file with any of the flags that follow.")
    ] = None,
    asset: Annotated[str | None, options.asset("What the amounts are in.")] = None,
    account_column: Annotated[
        str | None, _column("--account-column", "Whose it is: the external_id of a wallet.")
    ] = None,
    amount_column: Annotated[str | None, _column("--amount-column", "How much.")] = None,
    id_column: Annotated[
        str | None, _column("--id-column", "What is unique to the row; otherwise its line in the file.")
    ] = None,
    date_column: Annotated[str | None, _column("--date-column", "The value date; otherwise now.")] = None,
    date_format: Annotated[
        str | None, typer.Option("--date-format", metavar="FORMAT", help="Such as %d.%m.%Y; otherwise ISO dates.")
    ] = None,
    direction_column: Annotated[
        str | None, _column("--direction-column", "In or out; otherwise the sign of the amount says it.")
    ] = None,
    credit_value: Annotated[
        str | None, typer.Option("--credit-value", metavar="TEXT", help="What says in; otherwise 'credit'.")
    ] = None,
    debit_value: Annotated[
        str | None, typer.Option("--debit-value", metavar="TEXT", help="What says out; otherwise 'debit'.")
    ] = None,
    reference_column: Annotated[str | None, _column("--reference-column", "A short text to search for.")] = None,
    description_columns: Annotated[
        list[str] | None, _column("--description-columns", "Text for people; may be given often.")
    ] = None,
    metadata_columns: Annotated[
        list[str] | None, _column("--metadata-columns", "Kept under its name; may be given often.")
    ] = None,
    overdraft: Annotated[
        str | None,
        typer.Option(
            "--overdraft",
            metavar="none|unlimited|AMOUNT",
            help="How far a wallet may go below zero; needs an operator's key.",
        ),
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option("--delimiter", metavar="CHARACTER", help="Between columns: a comma, or this, or tab.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option("--encoding", metavar="NAME", help="Of the file, if not utf-8; such as cp1250.")
    ] = None,
    decimal_comma: Annotated[bool, typer.Option("--decimal-comma", help="Amounts are written as 1234,56.")] = False,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="TEXT", help="What this import is called; by default as the file. Rows count once for it."
        ),
    ] = None,
    rejects: Annotated[
        Path | None,
        typer.Option(
            "--rejects",
            metavar="FILE",
            help="Where rows go that can't be imported: a new file, by default in the working folder.",
        ),
    ] = None,
    allow_rejects: Annotated[
        bool, typer.Option("--allow-rejects", help="End with exit code 0 though rows were rejected.")
    ] = False,
    complete: Annotated[
        bool, typer.Option("--complete", help="The file's last line is whole, though it has no line end.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Import a bank's transactions as deposits and withdrawals, and create the wallets they need.

    Run it again after anything that broke it off: it goes on where it was, and no row ever counts twice.
    """
    flags = {
        "asset": asset,
        "account_column": account_column,
        "amount_column": amount_column,
        "id_column": id_column,
        "date_column": date_column,
        "date_format": date_format,
        "direction_column": direction_column,
        "credit_value": credit_value,
        "debit_value": debit_value,
        "reference_column": reference_column,
        "description_columns": description_columns,
        "metadata_columns": metadata_columns,
        "overdraft": overdraft,
        "delimiter": delimiter,
        "encoding": encoding,
        "decimal_comma": decimal_comma or None,
    }
    api.patience_s = posting.PATIENCE_S
    running = Import(
        api,
        path=file,
        mapping=mappings.load(mapping, flags),
        name=name or file.name.removesuffix(_GZIP),
        rejects=rejects,
        memory=memory.default_folder(),
        complete=complete,
    )
    unfinished = await _run(running)
    _show(running.summary, json=json)
    if unfinished is not None:
        raise unfinished
    if running.summary.rejected and not allow_rejects:
        raise typer.Exit(exits.FAILED)


async def _run(running: Import) -> FileUnfinished | None:
    try:
        with progress.bar("Import") as advance:
            await running.run(lambda summary: advance(summary.read_bytes, summary.size_bytes, _beside_the_bar(summary)))
    except FileUnfinished as unfinished:
        return unfinished
    except asyncio.CancelledError:
        # Said when the bar has gone: it takes its lines of the terminal along.
        now, before = running.summary.now.rows, running.summary.before.done
        earlier = f", {now + before:,} with those of earlier runs" if before else ""
        typer.echo(f"Stopped after {now:,} rows{earlier}. The same command goes on from there.", err=True)
        raise
    return None


def _beside_the_bar(summary: Summary) -> str:
    rejected = f", {summary.rejected:,} rejected" if summary.rejected else ""
    return f"{summary.now.rows:,} rows, {summary.rows_per_s:,.0f}/s{rejected}"


def _show(summary: Summary, *, json: bool) -> None:
    if json:
        found = msgspec.to_builtins(summary)
        del found["read_bytes"], found["size_bytes"]
        output.print_json(found)
        return
    now, before = summary.now, summary.before
    fields = [
        ("Import", summary.name),
        ("Imported", f"{now.imported:,}"),
        ("Replayed", f"{now.replayed:,} (had been posted before)" if now.replayed else "0"),
        ("Skipped", f"{before.done:,} (done by an earlier run)" if before.done else "0"),
        ("Rejected", _rejected(summary)),
        ("Wallets created", f"{now.wallets_created:,}"),
        ("Time", f"{summary.seconds:.1f} s" + (f" ({summary.rows_per_s:,.0f} rows/s)" if now.rows else "")),
    ]
    output.show_fields(fields)


def _rejected(summary: Summary) -> str:
    """How many rows, and where they are as far as that is known: an earlier run's file may be gone, or corrected."""
    elsewhere = summary.rejected_elsewhere
    places = [f"{elsewhere:,} by an earlier run"] if elsewhere else []
    if summary.rejects_file is not None:
        here = summary.rejected - elsewhere
        file = os.path.relpath(summary.rejects_file)
        shown = summary.rejects_file if file.startswith(os.pardir) else file
        places.append(f"{here:,} in {shown}" if elsewhere else f"in {shown}")
    return f"{summary.rejected:,}" + (f" ({', '.join(places)})" if places else "")
