"""Settings: one typed tree, read from defaults, a TOML file, the environment, secret files and the command line."""

from billfold.app.settings.sources import (
    PREFIX,
    Loaded,
    SettingInvalid,
    SettingUnknown,
    as_environment,
    load,
    variable,
)
from billfold.app.settings.tree import (
    Api,
    Client,
    Keys,
    Limits,
    Log,
    Nats,
    Postgres,
    Settings,
    Tokens,
    Worker,
    leaves,
    mask,
)

__all__ = [
    "PREFIX",
    "Api",
    "Client",
    "Keys",
    "Limits",
    "Loaded",
    "Log",
    "Nats",
    "Postgres",
    "SettingInvalid",
    "SettingUnknown",
    "Settings",
    "Tokens",
    "Worker",
    "as_environment",
    "leaves",
    "load",
    "mask",
    "variable",
]
