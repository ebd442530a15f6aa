"""Options that many commands share, and the settings they lead to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from billfold.app import settings

Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings file, instead of ./billfold.toml.")
]
Data = Annotated[Path | None, typer.Option("--data", metavar="FOLDER", help="Data folder, instead of $BILLFOLD_DATA.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

Since = Annotated[
    str | None, typer.Option("--since", "--from", metavar="TIME", help="Recorded then or later, such as 2026-01-01.")
]
Until = Annotated[
    str | None, typer.Option("--until", "--to", metavar="TIME", help="Recorded before, such as 2026-02-01.")
]
LIMIT_DEFAULT = 25
Limit = Annotated[int, typer.Option("--limit", min=1, metavar="NUMBER", help="How many at most.")]


def asset(what: str) -> Any:
    """The option that names an asset. Codes have no small letters, so however it is typed, one thing is meant."""
    return typer.Option("--asset", metavar="ASSET", help=what, parser=str.upper)


def load(config: Path | None, data: Path | None = None) -> settings.Loaded:
    """The settings, with what the command line says above all other sources.

    Raises: SettingInvalid, SettingUnknown.
    """
    return settings.load(file=config, overrides={} if data is None else {"data_dir": str(data)})
