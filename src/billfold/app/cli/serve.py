"""`billfold serve`: one role in this process, against servers that are given by the settings."""

from __future__ import annotations

import importlib
from enum import StrEnum
from typing import Annotated

import typer

from billfold.app import messaging, settings
from billfold.app.cli import options


class RoleName(StrEnum):
    """The roles there are; each is the module of that name, with underscores, in `billfold.app.roles`."""

    API = "api"
    WORKER = "worker"
    MAIL_SINK = "mail-sink"


def serve(
    role: Annotated[RoleName, typer.Argument(help="Which role.")],
    config: options.Config = None,
    data: options.Data = None,
) -> None:
    """Run one role until SIGTERM or Ctrl-C.

    The API and the worker need postgres.dsn, keys.file and a broker: nats.url, or broker.kind and what it asks for.
    `billfold up` needs none of them.
    """
    loaded = options.load(config, data)
    if role is not RoleName.MAIL_SINK:
        _check_servers(loaded)
    importlib.import_module(f"billfold.app.roles.{role.name.lower()}").run(loaded.settings)


def _check_servers(loaded: settings.Loaded) -> None:
    """What a role can't do without must be set.

    Raises: SettingInvalid.
    """
    tree = loaded.settings
    for key, value in (("postgres.dsn", tree.postgres.dsn), messaging.server_setting(tree)):
        if value is None:
            raise settings.SettingInvalid(
                f"{key} is not set: set {settings.variable(key)}, or run `billfold up`, which has servers of its own."
            )
    if loaded.settings.keys.file is None:
        raise settings.SettingInvalid(
            "keys.file is not set: make the file once with `billfold keys create-master FILE`, give it to every role, "
            f"and name it in {settings.variable('keys.file')}; or run `billfold up`, which has one of its own."
        )
