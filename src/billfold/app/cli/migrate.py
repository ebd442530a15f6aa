"""`billfold migrate`: bring a database up to date."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from billfold.app import migrate as migrations
from billfold.app import settings
from billfold.app.cli import direct, options, output
from billfold.platform.postgres.migrations import Migration


def migrate(
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would be applied.")] = False,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Apply the migrations that the database lacks, as its owner (postgres.owner_dsn).

    `billfold up` does this for its own database. Where lists of transactions are copied to Cassandra, the tables there
    are made too.
    """
    tree = direct.database_settings(config, data)
    found = asyncio.run(migrations.plan(tree) if plan else _migrated(tree))
    if json:
        output.print_json([{"context": step.context, "migration": step.name} for step in found])
    elif not found:
        typer.echo("The database is up to date.")
    else:
        typer.echo("Would be applied:" if plan else "Applied:")
        for step in found:
            typer.echo(f"  {step.context}/{step.name}")


async def _migrated(tree: settings.Settings) -> list[Migration]:
    applied = await migrations.migrate(tree)
    if tree.history.kind == "cql":
        from billfold.app import history  # noqa: PLC0415 - it takes longer to import than all the rest

        await history.make_tables(tree.history)
    return applied
