"""`billfold migrate`: bring a database up to date."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from billfold.app import migrate as migrations
from billfold.app.cli import direct, options, output


def migrate(
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would be applied.")] = False,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Apply the migrations that the database lacks, as its owner (postgres.owner_dsn).

    `billfold up` does this for its own database.
    """
    tree = direct.database_settings(config, data)
    found = asyncio.run(migrations.plan(tree) if plan else migrations.migrate(tree))
    if json:
        output.print_json([{"context": step.context, "migration": step.name} for step in found])
    elif not found:
        typer.echo("The database is up to date.")
    else:
        typer.echo("Would be applied:" if plan else "Applied:")
        for step in found:
            typer.echo(f"  {step.context}/{step.name}")
