"""The table on the terminal, and the files in results/."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from bench import figures
from bench.figures import significant
from bench.plan import Measured
from bench.rows import Row

_HEADS = ("work", "figure", "ratio", "target", "")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run, as it is kept."""

    day: date
    command: str
    commit: str
    rows: Sequence[Row]
    measured: Measured


def show(report: Report) -> None:
    """Print the table."""
    table = Table(title=f"Billfold {report.commit}", caption=_circumstances(report.measured))
    for head in _HEADS:
        table.add_column(head, justify="right" if head in {"figure", "ratio"} else "left")
    for row in report.rows:
        table.add_row(*_cells(row), style="red" if row.verdict.startswith("missed") else None)
    Console().print(table)


def write(report: Report, folder: Path) -> None:
    """Write <day>.md and <day>.json, and the table alone to latest.md."""
    folder.mkdir(parents=True, exist_ok=True)
    json = msgspec.json.format(msgspec.json.encode(report), indent=1)
    (folder / f"{report.day}.json").write_bytes(json + b"\n")
    (folder / f"{report.day}.md").write_text(_page(report), encoding="utf-8")
    (folder / "latest.md").write_text(_summary(report), encoding="utf-8")


def _summary(report: Report) -> str:
    return (
        f"{_markdown(report.rows)}\n"
        f"Measured on {report.day} at {report.commit} by `{report.command}`. {_circumstances(report.measured)}\n"
    )


def _page(report: Report) -> str:
    notes = "\n".join(f"- **{row.work.lstrip('… ')}**: {row.note}" for row in report.rows if row.note)
    return (
        f"# Bench of {report.day}\n\n{_summary(report)}\n## Notes\n\n{notes}\n\n"
        f"{report.measured.verified:,} transfers were verified at the end and found right. "
        f"Every round is in {report.day}.json.\n"
    )


def _markdown(rows: Sequence[Row]) -> str:
    lines = ["| " + " | ".join(_HEADS) + " |", "|---|---:|---:|---|---|"]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else f"{significant(row.ratio)}×"
    return row.work, row.figure, ratio, "" if row.target is None else str(row.target), row.verdict


def _circumstances(measured: Measured) -> str:
    machine = measured.machine
    loads = [load for turn in measured.rounds for load in (turn.spread, turn.hot, turn.bulk)]
    others = figures.median([load.others for load in loads])
    return (
        f"{machine.cores} cores of {machine.processor}, {machine.memory_gib:g} GiB, {machine.kernel}, "
        f"{machine.filesystem} with {significant(machine.sync_ms, 2)} ms for a write and fdatasync "
        f"(p99 {significant(machine.sync_p99_ms, 2)} ms); Python {machine.python}, "
        f"PostgreSQL {machine.postgresql}, NATS {machine.nats}. Other programs and machines took {others:.0%} of the "
        f"processors' time while the loads ran."
    )
