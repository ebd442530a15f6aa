"""`billfold projections rebuild history`: all transactions and ended requests copied to Cassandra anew."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic

import msgspec

from billfold.app import container, settings
from billfold.app.cli import direct, output, progress
from billfold.platform.telemetry import logs
from billfold.wallets.contracts import HistoryRebuilt


def rebuild(config: Path | None, data: Path | None, *, json: bool) -> None:
    """Copy them. They are read in PostgreSQL meanwhile, and money goes on moving.

    Raises:
        SettingInvalid: there is to be no copy.
        CqlUnavailable: the cluster was away for too long; begin again.
        RebuildOvertaken: somebody has begun the same later.
    """
    started = monotonic()
    done = asyncio.run(_rebuild(config, data))
    seconds = monotonic() - started
    if json:
        output.print_json(msgspec.structs.asdict(done) | {"seconds": round(seconds, 1)})
        return
    output.show_fields(
        [
            ("Accounts", f"{done.accounts:,}"),
            ("Transactions", f"{done.entries:,}"),
            ("Requests", f"{done.requests:,}"),
            ("Time", f"{seconds:.1f} s"),
        ]
    )


async def _rebuild(config: Path | None, data: Path | None) -> HistoryRebuilt:
    tree = direct.database_settings(config, data)
    # To standard error: what the command prints is for whoever reads it.
    logs.configure(role="projections", level="error", form=tree.log.format)
    async with container.opened(tree, name="billfold projections", with_history=True) as parts:
        if parts.wallets.history is None:
            raise settings.SettingInvalid(
                "There is no copy of the history: history.kind is postgresql; set "
                f"{settings.variable('history.kind')} to cql."
            )
        with progress.bar("Accounts and requests") as advance:
            started = monotonic()

            def show(done: HistoryRebuilt, total: int) -> None:
                rate = (done.entries + done.requests) / max(monotonic() - started, 1e-9)
                copied = f"{done.entries:,} transactions, {done.requests:,} requests, {rate:,.0f}/s"
                advance(done.accounts + done.requests, total, copied)

            return await parts.wallets.history.rebuild(progress=show)
