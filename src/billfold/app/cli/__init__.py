"""The command line: thin commands over the REST API, the facades and the supervisor. One file for each group.

Here: the entry point, and how a command ends: a refusal is one sentence on standard error and a code of `exits`.
"""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

import billfold
from billfold.app.cli import exits
from billfold.app.cli.commands import LazyGroup
from billfold.kernel import errors

#: When this process began to be of use; `billfold up` counts its start time from here.
BEGUN_S = time.monotonic()

app = typer.Typer(
    cls=LazyGroup,
    help="Billfold: wallets on one double-entry ledger.",
    epilog="Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in exits.MEANINGS.items()) + ".",
    no_args_is_help=True,
    # Rich takes longer to draw the help than all the rest of `billfold --help`.
    rich_markup_mode=None,
    # A failure that is no refusal is a defect: its plain trace is what a report needs.
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"billfold {billfold.__version__}")
        raise typer.Exit


@app.callback()
def _top(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command of `sys.argv` and exit."""
    try:
        app(prog_name="billfold")
    except errors.BillfoldError as error:
        _report(error)
        sys.exit(exits.exit_code(error))
    except BrokenPipeError:
        # Whoever read our output, such as `head`, has seen enough. Nothing more can be written, not even at exit.
        sys.stdout = None
        sys.exit(exits.FAILED)


def _report(error: errors.BillfoldError) -> None:
    if "--json" in sys.argv:
        import msgspec  # noqa: PLC0415 - nothing else of the command line's start needs it.

        document = {"error": {"code": error.code, "detail": error.detail, "retryable": error.retryable}}
        sys.stderr.write(msgspec.json.encode(document).decode() + "\n")
    else:
        sys.stderr.write(f"billfold: {error.detail}\n")
