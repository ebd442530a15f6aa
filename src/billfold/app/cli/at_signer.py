"""The signer itself for commands at its own machine, and what they ask and write there."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from billfold.app import settings
from billfold.app.cli import options, output
from billfold.app.supervisor import record
from billfold.signer import Signer

Backup = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="What `billfold signer backup` has written.", exists=True, dir_okay=False),
]

#: Letters of 255 shares, with room.
_SHARES_MAX = 64 * 1024


def signer_settings(config: Path | None, data: Path | None) -> settings.Signer:
    """The settings of the signer of the stack that runs here, or those that are given.

    Raises:
        NotRunning: none are given, and no stack runs in the data folder.
    """
    tree = options.load(config, data).settings
    if data is not None or tree.signer.dsn is None:
        tree = record.read(tree.data_dir).over(tree)
    return tree.signer


@asynccontextmanager
async def opened(config: Path | None, data: Path | None) -> AsyncIterator[Signer]:
    """The signer itself, in a process that keeps its secrets."""
    from billfold.app import signing  # noqa: PLC0415 - imported where it is needed alone.
    from billfold.platform import secrecy  # noqa: PLC0415
    from billfold.platform.telemetry import logs  # noqa: PLC0415

    logs.configure(role="signer", level="error", form="console")
    secrecy.keep()
    async with signing.opened(signer_settings(config, data), name="billfold signer command") as (signer, _):
        yield signer


def run(config: Path | None, data: Path | None, call: Callable[[Signer], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with opened(config, data) as signer:
            return await call(signer)

    return asyncio.run(run())


def say(text: str, told: dict[str, Any], *, json: bool) -> None:
    output.print_json(told) if json else typer.echo(text)


def secret(what: str, *, again: bool = False) -> str:
    """Something that nobody else is to see: asked for at a terminal, or a line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    with output.asking():
        return str(typer.prompt(what, hide_input=True, confirmation_prompt=again, err=True))


def opening(*, shares: bool) -> tuple[str | None, list[str]]:
    """What opens a backup: its passphrase, or its shares, all of standard input."""
    if not shares:
        return secret("Passphrase"), []
    return None, [line for line in sys.stdin.read(_SHARES_MAX).splitlines() if line.strip()]


def write_new(file: Path, content: bytes) -> None:
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(content)
    except FileExistsError:
        raise typer.BadParameter(f"{file} is there already, and stays as it is.", param_hint="FILE") from None
