"""`billfold config`: every setting, its value with secrets masked, and its source."""

from __future__ import annotations

from billfold.app import settings
from billfold.app.cli import options, output


def config(config: options.Config = None, data: options.Data = None, json: options.Json = False) -> None:
    """Show every setting, its value with secrets masked, and where it comes from."""
    loaded = options.load(config, data)
    found = [(key, value, loaded.sources.get(key, "default")) for key, value in settings.leaves(loaded.settings)]
    if json:
        output.print_json({key: {"value": value, "source": source} for key, value, source in found})
        return
    rows = [(key, "" if value is None else str(value), source) for key, value, source in found]
    output.print_table(("setting", "value", "source"), rows)
