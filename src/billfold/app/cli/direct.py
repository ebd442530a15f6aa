"""Settings for commands that go to the database itself: the given DSNs, or those of the stack that runs here.

Whatever they do is recorded by the audit as done at the command line, by the user of the machine.
"""

from __future__ import annotations

import getpass
import socket
from pathlib import Path

from billfold.app import settings
from billfold.app.cli import options
from billfold.app.supervisor import record
from billfold.kernel import origin
from billfold.kernel.origin import Origin

#: A command does one thing after the other; the roles need the database's connections.
_POOL_SIZE = 2


def database_settings(config: Path | None, data: Path | None) -> settings.Settings:
    """The settings with the DSNs of a database in them, and with the master keys of a stack that runs here.

    A data folder on the command line means the stack there.

    Raises:
        SettingInvalid, SettingUnknown
        NotRunning: no DSN is set, and no stack runs in the data folder.
    """
    tree = options.load(config, data).settings
    if data is not None or (tree.postgres.dsn is None and tree.postgres.owner_dsn is None):
        try:
            found = record.read(tree.data_dir)
        except record.NotRunning as error:
            raise record.NotRunning(
                f"{error.detail} Or name a database of your own with {settings.variable('postgres.dsn')}."
            ) from error
        tree = settings.replaced(
            tree,
            {
                "postgres.dsn": found.postgres_dsn,
                "postgres.owner_dsn": found.postgres_owner_dsn,
                "keys.file": Path(found.keys_file),
                "audit.dsn": found.audit_dsn,
                "audit.owner_dsn": found.audit_owner_dsn,
            },
        )
        tree = found.over(tree)
    if tree.audit.dsn is not None:
        begin_here()
    return settings.replaced(tree, {"postgres.pool_size": _POOL_SIZE})


def begin_here() -> None:
    """What is done from here on is recorded as done by whoever has called the command, at this machine."""
    origin.begin(Origin(channel="cli", address=f"{_user()}@{socket.gethostname()}"))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # No name stands for the number in a container.
        return "somebody"
