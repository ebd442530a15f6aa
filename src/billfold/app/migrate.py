"""The migrations of all contexts in the order in which they depend on each other. How one is applied is platform's."""

from __future__ import annotations

from collections.abc import Sequence

from billfold.app import settings
from billfold.platform.postgres import migrations
from billfold.platform.postgres.migrations import Migration, Migrations

#: The roles come first, because every other migration grants something to them.
SETS: Sequence[Migrations] = (
    Migrations("roles", "billfold.platform.postgres.roles"),
    Migrations("messaging", "billfold.platform.messaging.migrations"),
    Migrations("mail", "billfold.platform.mail.migrations"),
    Migrations("identity", "billfold.identity.migrations"),
    Migrations("ledger", "billfold.ledger.migrations"),
    Migrations("wallets", "billfold.wallets.migrations"),
    Migrations("notifications", "billfold.notifications.migrations"),
)


async def migrate(tree: settings.Settings) -> list[Migration]:
    """Bring the database up to date, as its owner, and return what was applied.

    Raises: SettingInvalid, MigrationFailed, MigrationChanged, MigrationBusy, DatabaseUnavailable.
    """
    return await migrations.migrate(_owner_dsn(tree), SETS)


async def plan(tree: settings.Settings) -> list[Migration]:
    """What `migrate` would apply now.

    Raises: SettingInvalid, MigrationChanged, DatabaseUnavailable.
    """
    return await migrations.plan(_owner_dsn(tree), SETS)


def _owner_dsn(tree: settings.Settings) -> str:
    if tree.postgres.owner_dsn is None:
        raise settings.SettingInvalid(
            f"postgres.owner_dsn is not set: set {settings.variable('postgres.owner_dsn')}, "
            "or start the stack with `billfold up`, which migrates its own database."
        )
    return tree.postgres.owner_dsn
