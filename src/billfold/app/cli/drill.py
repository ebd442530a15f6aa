"""`billfold custody restore-drill`: whether the money on chains could be got at after a loss."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from billfold.app import settings
from billfold.app.cli import at_signer, direct, exits, options, output, progress

if TYPE_CHECKING:
    from billfold.app.drilling.drill import Opening, Report
    from billfold.signer import Drills


def restore_drill(
    file: at_signer.Backup,
    *,
    shares: Annotated[
        bool, typer.Option("--shares", help="Read shares from standard input, one on each line.")
    ] = False,
    scan: Annotated[bool, typer.Option("--scan", help="Ask the chains what these addresses hold, too.")] = False,
    config: options.Config = None,
    data: options.Data = None,
    json: options.Json = False,
) -> None:
    """Restore a backup of the seeds where nobody sees it, and derive every address that was ever given out.

    The signer that runs is not touched. What was restored is gone afterwards, also when this is killed. Exit code 4
    means that an address has no key in the backup.
    """
    # gRPC would tell at each program that is started here that it does not follow; it has nothing to do in any of them.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    from billfold.app.drilling.drill import Opening  # noqa: PLC0415 - it takes what the chains take.
    from billfold.platform import secrecy  # noqa: PLC0415
    from billfold.platform.telemetry import logs  # noqa: PLC0415

    logs.configure(role="restore-drill", level="error", form="console")
    secrecy.keep()
    content = file.read_bytes()
    text, lines = at_signer.opening(shares=shares)
    found = asyncio.run(_drill(Opening(content=content, text=text, shares=lines), scan, config, data))
    output.print_json(found) if json else _show(found)
    if not found.good:
        raise typer.Exit(exits.FAULT_FOUND)


async def _drill(backup: Opening, scan: bool, config: Path | None, data: Path | None) -> Report:
    from billfold.app import container  # noqa: PLC0415 - see above.
    from billfold.app.drilling import drill  # noqa: PLC0415

    tree = direct.database_settings(config, data)
    async with container.opened(tree, name="billfold restore-drill") as parts, _drills(tree.signer) as drills:
        with progress.bar("Addresses") as advance:
            started = monotonic()

            def show(done: int, total: int) -> None:
                rate = done / max(monotonic() - started, 1e-9)
                advance(done, total, f"{done:,} of {total:,}, {rate:,.0f}/s")

            tokens = custody_tokens(tree) if scan else None
            return await drill.run(backup, custody=parts.custody, drills=drills, advance=show, tokens=tokens)


def custody_tokens(tree: settings.Settings) -> dict[str, list[str]]:
    """The tokens that count, by chain."""
    from billfold.app import custody  # noqa: PLC0415 - see above.

    return {name: custody.tokens(getattr(tree, name)) for name in custody.CHAINS}


@asynccontextmanager
async def _drills(tree: settings.Signer) -> AsyncIterator[Drills | None]:
    """What keeps the time of drills; None where the signer's database is not set."""
    from billfold.app import signing  # noqa: PLC0415 - see above.

    if tree.dsn is None:
        yield None
        return
    async with signing.drills(tree.dsn, name="billfold restore-drill") as drills:
        yield drills


def _show(found: Report) -> None:
    counts = [("Addresses", found.issued), ("Derived", found.derived), ("Equal", found.equal)]
    output.show_fields(
        [("Backup", found.backup), ("Trees", str(found.trees)), *((name, f"{count:,}") for name, count in counts)]
    )
    if found.held is not None:
        output.print_table(
            ("chain", "token", "addresses with money", "units"),
            [(one.chain, one.token or "", str(one.addresses), str(one.units)) for one in found.held],
        )
    if not found.good:
        rows = [
            (one.chain, one.purpose, str(one.place), one.issued, one.derived or "none") for one in found.differences
        ]
        output.print_table(("chain", "purpose", "place", "given out", "of the backup"), rows)
        typer.echo("This backup does not have the keys of every address. Make another one now, and try that.")
    else:
        typer.echo("The backup has the key of every address.")
    if not found.logged:
        typer.echo(f"The signer's log does not have this drill: set {settings.variable('signer.dsn')}.", err=True)
