"""Settings: one typed tree, read from defaults, a TOML file, the environment, secret files and the command line."""

from billfold.app.settings.sources import (
    Loaded,
    SettingInvalid,
    SettingUnknown,
    load,
    variable,
)
from billfold.app.settings.tree import Api, Client, Log, Nats, Postgres, Settings, Worker, leaves, mask

__all__ = [
    "Api",
    "Client",
    "Loaded",
    "Log",
    "Nats",
    "Postgres",
    "SettingInvalid",
    "SettingUnknown",
    "Settings",
    "Worker",
    "leaves",
    "load",
    "mask",
    "variable",
]
