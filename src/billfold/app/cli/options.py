"""Options that many commands share, and the settings they lead to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from billfold.app import settings

Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings file, instead of ./billfold.toml.")
]
Data = Annotated[Path | None, typer.Option("--data", metavar="FOLDER", help="Data folder, instead of $BILLFOLD_DATA.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def load(config: Path | None, data: Path | None = None) -> settings.Loaded:
    """The settings, with what the command line says above all other sources.

    Raises: SettingInvalid, SettingUnknown.
    """
    return settings.load(file=config, overrides={} if data is None else {"data_dir": str(data)})
