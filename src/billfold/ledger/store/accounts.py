"""Assets and accounts: opening, finding, and what an operator may change of them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from billfold.kernel.assets import Asset
from billfold.ledger.contracts import Account, AccountStatus, NewAccount
from billfold.ledger.store import rows
from billfold.platform.postgres.database import Connection


async def assets(connection: Connection) -> dict[str, tuple[Asset, UUID]]:
    """Every asset with its external account, by code."""
    found = await connection.fetch(
        "SELECT code, scale, kind, name, chain, contract, external_account FROM ledger.assets ORDER BY code"
    )
    return {row[0]: (Asset(*row[:6]), row[6]) for row in map(tuple, found)}


async def add_asset(connection: Connection, asset: Asset, external_account: UUID) -> None:
    """Add the asset and its external account, unless there is one of its code."""
    added = await connection.fetchval(
        """
        INSERT INTO ledger.assets (code, scale, kind, name, chain, contract, external_account)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (code) DO NOTHING RETURNING true
        """,
        asset.code,
        asset.scale,
        asset.kind,
        asset.name,
        asset.chain,
        asset.contract,
        external_account,
    )
    if added:
        await open_accounts(
            connection, [NewAccount(id=external_account, asset=asset.code, kind="external", floor=None)]
        )


async def open_accounts(connection: Connection, accounts: Sequence[NewAccount]) -> None:
    """Open accounts; those whose id exists are left as they are.

    Raises:
        asyncpg.ForeignKeyViolationError: there is no such asset.
    """
    await connection.execute(
        """
        INSERT INTO ledger.accounts (id, asset, kind, floor)
        SELECT id, asset, kind::ledger.account_kind, floor
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::numeric[]) AS new (id, asset, kind, floor)
        ON CONFLICT (id) DO NOTHING
        """,
        [account.id for account in accounts],
        [account.asset for account in accounts],
        [account.kind for account in accounts],
        [account.floor for account in accounts],
    )


async def accounts(connection: Connection, ids: Sequence[UUID]) -> list[Account]:
    """These accounts, where they exist, in no particular order."""
    found = await connection.fetch(f"SELECT {rows.ACCOUNT} FROM ledger.accounts WHERE id = ANY($1)", ids)
    return [rows.account(row) for row in found]


async def lock(connection: Connection, ids: Sequence[UUID]) -> list[Account]:
    """As `accounts`, and nothing is posted to them until the transaction ends. In the order of posting: no deadlock."""
    found = await connection.fetch(
        f"SELECT {rows.ACCOUNT} FROM ledger.accounts WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", ids
    )
    return [rows.account(row) for row in found]


async def set_status(connection: Connection, ids: Sequence[UUID], status: AccountStatus) -> None:
    """Change the status of locked accounts."""
    await connection.execute(
        "UPDATE ledger.accounts SET status = $2::text::ledger.account_status WHERE id = ANY($1)", ids, status
    )


async def set_floor(connection: Connection, account_id: UUID, floor: int | None) -> None:
    """Change the floor of a locked account."""
    await connection.execute(
        "UPDATE ledger.accounts SET floor = $2, changes = changes + 1 WHERE id = $1", account_id, floor
    )
