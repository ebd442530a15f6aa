"""Settings for commands that go to the database itself: the given DSNs, or those of the stack that runs here."""

from __future__ import annotations

from pathlib import Path

import msgspec

from billfold.app import settings
from billfold.app.cli import options
from billfold.app.supervisor import record

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
    dsn, owner_dsn, keys = tree.postgres.dsn, tree.postgres.owner_dsn, tree.keys
    if data is not None or (dsn is None and owner_dsn is None):
        try:
            found = record.read(tree.data_dir)
        except record.NotRunning as error:
            raise record.NotRunning(
                f"{error.detail} Or name a database of your own with {settings.variable('postgres.dsn')}."
            ) from error
        dsn, owner_dsn = found.postgres_dsn, found.postgres_owner_dsn
        keys = msgspec.structs.replace(keys, file=Path(found.keys_file))
    postgres = msgspec.structs.replace(tree.postgres, dsn=dsn, owner_dsn=owner_dsn, pool_size=_POOL_SIZE)
    return msgspec.structs.replace(tree, postgres=postgres, keys=keys)
