"""`python -m bench`: measure everything against pgbench on this machine, and write the results."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bench import costs, kept, machine, plan, report, run, stack, targets
from bench.balances import WrongBalance
from bench.loads import Lost
from bench.machine import DataInMemory
from bench.plan import Measured, Plan
from bench.population import NoMoney
from bench.programs import ProgramFailed

RESULTS = Path(__file__).parent / "results"
#: Options that say how much is measured.
_NAMED = ("large", "quick", "brokers")
_FAILURES = (
    DataInMemory,
    Lost,
    NoMoney,
    ProgramFailed,
    WrongBalance,
    costs.NoTraces,
    kept.NotFromRedis,
    run.NoStorm,
    run.VerificationFailed,
)
#: As a shell says that Ctrl-C ended a program.
_INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Run the bench; the exit code."""
    options = _parser().parse_args(arguments)
    chosen = plan.QUICK if options.quick else plan.LARGE if options.large else plan.STANDARD
    chosen = msgspec.structs.replace(
        chosen,
        brokers=options.brokers or chosen.brokers,
        outage_seconds=options.outage or chosen.outage_seconds,
    )
    if shutil.which("wrk") is None:
        print("The load generator wrk is missing: apt-get install wrk, or build it from its sources.", file=sys.stderr)
        return 1
    try:
        if not options.quick:
            machine.check_disk(options.folder)
        measured = asyncio.run(_run(chosen, options.folder))
    except _FAILURES as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("Stopped; nothing is left behind and nothing was written.", file=sys.stderr)
        return _INTERRUPTED
    found = report.Report(
        day=datetime.now(UTC).date(),
        command=_command(options),
        commit=machine.commit(),
        rows=targets.rows(measured),
        measured=measured,
    )
    report.show(found)
    if options.results is not None:
        report.write(found, options.results)
    return 0


def _command(options: argparse.Namespace) -> str:
    """What measures the same again."""
    named = [f"--{name}" for name in _NAMED if getattr(options, name)]
    outage = [f"--outage {options.outage}"] if options.outage else []
    return " ".join(["python -m bench", *named, *outage])


async def _run(chosen: Plan, parent: Path) -> Measured:
    """The whole run, its progress on standard error. SIGTERM ends it as Ctrl-C does."""
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bars:
        async with stack.data_folder(parent) as folder:
            return await run.run(chosen, folder, _progress(bars))


def _progress(bars: Progress) -> plan.Progress:
    """A bar for each step; a step of unknown length has one that only moves."""
    current = bars.add_task("")
    bars.update(current, visible=False)

    def step(name: str, total: int) -> None:
        nonlocal current
        done = bars.tasks[-1].total or 1
        bars.update(current, total=done, completed=done)
        current = bars.add_task(name, total=total or None)
        if not bars.console.is_terminal:
            bars.console.print(name)

    return plan.Progress(step, lambda count: bars.advance(current, count))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--brokers", action="store_true", help="events on Kafka and RabbitMQ, too, where their servers are to be had"
    )
    parser.add_argument("--outage", type=int, metavar="SECONDS", help="how long the broker is away")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--large",
        action="store_true",
        help="also accounts with 10^7 transfers, ten minutes of outage, and --brokers",
    )
    length.add_argument("--quick", action="store_true", help="only see whether everything works, in a minute")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("/var/tmp"),  # noqa: S108 - a folder of a random name is made in it, for us alone.
        help="where the servers keep their data meanwhile; on a disk, with 10 GB to spare (%(default)s)",
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the results go (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
