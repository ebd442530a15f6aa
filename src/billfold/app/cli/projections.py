"""`billfold projections`: what is kept outside of the database, made anew from it or compared with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from billfold.app import container, settings
from billfold.app.cli import commands, direct, exits, history, options, output, progress
from billfold.platform.telemetry import logs
from billfold.wallets import Projections
from billfold.wallets.contracts import Comparison, Rebuilt

app = commands.group("projections")


class Projection(StrEnum):
    """What can be made anew."""

    BALANCES = "balances"
    HISTORY = "history"


class Comparable(StrEnum):
    """What can be compared. The history shows at each reading whether it is whole."""

    BALANCES = "balances"


What = Annotated[
    Projection,
    typer.Argument(
        metavar="PROJECTION", help="balances: those in Redis; history: the transactions and requests in Cassandra."
    ),
]
Which = Annotated[Comparable, typer.Argument(metavar="PROJECTION", help="balances: those in Redis.")]


@app.command("rebuild")
def rebuild(what: What, config: options.Config = None, data: options.Data = None, json: options.Json = False) -> None:
    """Forget what is kept, and keep it anew as the database has it; the database answers whoever reads meanwhile.

    Exit code 1 means that there was no room for all of it.
    """
    if what is Projection.HISTORY:
        history.rebuild(config, data, json=json)
        return
    found = asyncio.run(_rebuild(config, data))
    if json:
        output.print_json(found)
    else:
        typer.echo(f"Kept anew: {found.wallets:,} wallets.")
    if found.full:
        if not json:
            typer.echo(
                f"No room: {found.full:,} wallets. The ledger answers for them. Give the Redis more memory "
                "(maxmemory), or let it drop what nobody asks for (maxmemory-policy allkeys-lru)."
            )
        raise typer.Exit(exits.FAILED)


@app.command("compare")
def compare(what: Which, config: options.Config = None, data: options.Data = None, json: options.Json = False) -> None:
    """Compare all that is kept with the database. What is wrong is shown, and forgotten.

    Exit code 4 means that something was wrong.
    """
    assert what is Comparable.BALANCES, "there is no other"
    found = asyncio.run(_compare(config, data))
    if json:
        output.print_json(found)
    else:
        _show(found)
    if found.drift:
        raise typer.Exit(exits.FAULT_FOUND)


async def _rebuild(config: Path | None, data: Path | None) -> Rebuilt:
    async with _projections(config, data) as projections:
        with progress.bar("Wallets") as advance:
            started = monotonic()

            def show(done: int, total: int) -> None:
                advance(done, total, f"{done:,} of {total:,}, {done / max(monotonic() - started, 1e-9):,.0f}/s")

            return await projections.rebuild(progress=show)


async def _compare(config: Path | None, data: Path | None) -> Comparison:
    async with _projections(config, data) as projections:
        with progress.bar("Wallets") as advance:
            return await projections.compare(progress=lambda done: advance(done, None, f"{done:,}"))


@asynccontextmanager
async def _projections(config: Path | None, data: Path | None) -> AsyncIterator[Projections]:
    """Those of the settings, at the database itself.

    Raises:
        SettingInvalid: there are none.
    """
    tree = direct.database_settings(config, data)
    # To standard error: what the command prints is for whoever reads it.
    logs.configure(role="projections", level="error", form=tree.log.format)
    async with container.opened(tree, name="billfold projections", with_balances=True) as parts:
        if parts.wallets.projections is None:
            raise settings.SettingInvalid(
                "balances.redis_url is not set, so no balances are kept outside of the database: set "
                f"{settings.variable('balances.redis_url')}."
            )
        yield parts.wallets.projections


def _show(found: Comparison) -> None:
    output.show_fields(
        [
            ("Wallets", f"{found.wallets:,}"),
            ("Accounts", f"{found.accounts:,}"),
            ("Behind", f"{found.behind:,}"),
            ("Wrong", f"{len(found.drift):,}"),
        ]
    )
    if found.drift:
        rows = [(str(drift.wallet), drift.asset, drift.detail) for drift in found.drift]
        output.print_table(("wallet", "asset", "what is wrong"), rows)
        typer.echo("These were forgotten, and the ledger answers for them. Find out who else writes to this Redis.")
