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
    Migrations("custody", "billfold.custody.migrations"),
    Migrations("wallets", "billfold.wallets.migrations"),
    Migrations("notifications", "billfold.notifications.migrations"),
)
#: Of the audit's own database.
AUDIT_SETS: Sequence[Migrations] = (
    Migrations("roles", "billfold.platform.postgres.roles"),
    Migrations("audit", "billfold.audit.migrations"),
)
#: Of the signer's own database.
SIGNER_SETS: Sequence[Migrations] = (
    Migrations("roles", "billfold.platform.postgres.roles"),
    Migrations("signer", "billfold.signer.migrations"),
)


async def migrate(tree: settings.Settings) -> list[Migration]:
    """Bring the databases up to date, as their owner, and return what was applied.

    Raises: SettingInvalid, MigrationFailed, MigrationChanged, MigrationBusy, DatabaseUnavailable.
    """
    applied = await migrations.migrate(_owner_dsn(tree), SETS)
    if (dsn := _audit_dsn(tree)) is not None:
        applied += await migrations.migrate(dsn, AUDIT_SETS)
    if (dsn := _signer_dsn(tree)) is not None:
        applied += await migrations.migrate(dsn, SIGNER_SETS)
    return applied


async def plan(tree: settings.Settings) -> list[Migration]:
    """What `migrate` would apply now.

    Raises: SettingInvalid, MigrationChanged, DatabaseUnavailable.
    """
    pending = await migrations.plan(_owner_dsn(tree), SETS)
    if (dsn := _audit_dsn(tree)) is not None:
        pending += await migrations.plan(dsn, AUDIT_SETS)
    if (dsn := _signer_dsn(tree)) is not None:
        pending += await migrations.plan(dsn, SIGNER_SETS)
    return pending


def _owner_dsn(tree: settings.Settings) -> str:
    if tree.postgres.owner_dsn is None:
        raise settings.SettingInvalid(
            f"postgres.owner_dsn is not set: set {settings.variable('postgres.owner_dsn')}, "
            "or start the stack with `billfold up`, which migrates its own database."
        )
    return tree.postgres.owner_dsn


def _audit_dsn(tree: settings.Settings) -> str | None:
    if tree.audit.owner_dsn is None and tree.audit.dsn is not None:
        raise settings.SettingInvalid(
            f"audit.owner_dsn is not set, and audit.dsn is: set {settings.variable('audit.owner_dsn')}, too."
        )
    return tree.audit.owner_dsn


def _signer_dsn(tree: settings.Settings) -> str | None:
    """Where the signer's is, when this process is to know. Others than its own machine have no business with it."""
    return tree.signer.owner_dsn
