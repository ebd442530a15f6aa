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
    LEDGER = "ledger"
    SIGNER = "signer"
    MAIL_SINK = "mail-sink"


def serve(
    role: Annotated[RoleName, typer.Argument(help="Which role.")],
    config: options.Config = None,
    data: options.Data = None,
) -> None:
    """Run one role until SIGTERM or Ctrl-C.

    The API and the worker need postgres.dsn, keys.file and a broker: nats.url, or broker.kind and what it asks for; the
    ledger needs postgres.dsn, and the signer signer.dsn. `billfold up` needs none of them.
    """
    loaded = options.load(config, data)
    _check_servers(role, loaded.settings)
    importlib.import_module(f"billfold.app.roles.{role.name.lower()}").run(loaded.settings)


def _check_servers(role: RoleName, tree: settings.Settings) -> None:
    """What the role can't do without must be set.

    Raises: SettingInvalid.
    """
    if role is RoleName.MAIL_SINK:
        return
    if role is RoleName.SIGNER:
        _check_set("signer.dsn", tree.signer.dsn)
        return
    _check_set("postgres.dsn", tree.postgres.dsn)
    if role is RoleName.LEDGER:
        return
    _check_set(*messaging.server_setting(tree))
    if tree.keys.file is None:
        raise settings.SettingInvalid(
            "keys.file is not set: make the file once with `billfold keys create-master FILE`, give it to every role, "
            f"and name it in {settings.variable('keys.file')}; or run `billfold up`, which has one of its own."
        )


def _check_set(key: str, value: str | None) -> None:
    if value is None:
        raise settings.SettingInvalid(
            f"{key} is not set: set {settings.variable(key)}, or run `billfold up`, which has servers of its own."
        )
