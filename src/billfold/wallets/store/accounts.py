"""Which ledger account holds which asset of which wallet. Rows are only ever added."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from billfold.platform.postgres.database import Connection
from billfold.wallets.contracts import AccountHolder, WalletStatus

_STAYS = "NOT EXISTS (SELECT FROM wallets.departures AS gone WHERE gone.owner_id = wallet.owner_id)"
#: Before all others.
_NO_WALLET = UUID(int=0)


class Found(msgspec.Struct, frozen=True):
    """A wallet that is there, and its account for the asset asked about if it has one."""

    wallet_id: UUID
    asset: str
    #: Whether the caller owns it.
    mine: bool
    account_id: UUID | None
    status: WalletStatus


class Kept(msgspec.Struct, frozen=True):
    """A wallet's account."""

    account_id: UUID
    wallet_id: UUID
    asset: str
    mine: bool


async def find(
    connection: Connection, *, owner: UUID, wallet_ids: Sequence[UUID], assets: Sequence[str]
) -> list[Found]:
    """The wallets among `wallet_ids`, each with its account for the asset at the same place in `assets`."""
    rows = await connection.fetch(
        """
        SELECT wallet.id, wanted.asset, wallet.owner_id = $1, account.account_id, wallet.status
        FROM unnest($2::uuid[], $3::text[]) AS wanted (wallet_id, asset)
        JOIN wallets.wallets AS wallet ON wallet.id = wanted.wallet_id
        LEFT JOIN wallets.accounts AS account ON account.wallet_id = wanted.wallet_id AND account.asset = wanted.asset
        """,
        owner,
        wallet_ids,
        assets,
    )
    return [Found(*row) for row in rows]


async def insert(
    connection: Connection, *, wallet_ids: Sequence[UUID], assets: Sequence[str], account_ids: Sequence[UUID]
) -> set[UUID]:
    """Note new accounts, and answer which ones are: for the others somebody was first.

    Waits for whoever is adding the same; rows go in sorted, so that two who add several never wait for each other.
    """
    rows = await connection.fetch(
        """
        INSERT INTO wallets.accounts (wallet_id, asset, account_id)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[]) AS new (wallet_id, asset, account_id)
        ORDER BY wallet_id, asset
        ON CONFLICT (wallet_id, asset) DO NOTHING
        RETURNING account_id
        """,
        wallet_ids,
        assets,
        account_ids,
    )
    return {row["account_id"] for row in rows}


class OfWallet(msgspec.Struct, frozen=True):
    """Whose a wallet is, and its accounts by their asset."""

    owner_id: UUID
    accounts: dict[str, UUID]


async def of_wallet(connection: Connection, wallet_id: UUID, *, owner: UUID | None = None) -> OfWallet | None:
    """The wallet's accounts; None if there is no such wallet, or not of `owner`'s if that is given."""
    rows = await connection.fetch(
        """
        SELECT account.asset, account.account_id, wallet.owner_id
        FROM wallets.wallets AS wallet LEFT JOIN wallets.accounts AS account ON account.wallet_id = wallet.id
        WHERE wallet.id = $1 AND ($2::uuid IS NULL OR wallet.owner_id = $2) ORDER BY account.asset
        """,
        wallet_id,
        owner,
    )
    if not rows:
        return None
    return OfWallet(rows[0][2], {asset: account for asset, account, _ in rows if account is not None})


async def of_wallets(
    connection: Connection, *, wallet_ids: Sequence[UUID] = (), account_ids: Sequence[UUID] = ()
) -> dict[UUID, dict[str, UUID]]:
    """The accounts by their asset of each of these wallets, and of each wallet that has one of these accounts."""
    rows = await connection.fetch(
        """
        WITH meant AS (
            SELECT id FROM wallets.wallets WHERE id = ANY($1)
            UNION
            SELECT wallet_id FROM wallets.accounts WHERE account_id = ANY($2)
        )
        SELECT meant.id, account.asset, account.account_id
        FROM meant LEFT JOIN wallets.accounts AS account ON account.wallet_id = meant.id ORDER BY 1, 2
        """,
        list(wallet_ids),
        list(account_ids),
    )
    found: dict[UUID, dict[str, UUID]] = {}
    for wallet_id, asset, account_id in rows:
        accounts = found.setdefault(wallet_id, {})
        if account_id is not None:
            accounts[asset] = account_id
    return found


async def of_owner(connection: Connection, *, owner: UUID, asset: str | None, limit: int) -> list[Kept]:
    """Accounts in the owner's wallets."""
    rows = await connection.fetch(
        """
        SELECT account.account_id, account.wallet_id, account.asset, true
        FROM wallets.accounts AS account JOIN wallets.wallets AS wallet ON wallet.id = account.wallet_id
        WHERE wallet.owner_id = $1 AND ($2::text IS NULL OR account.asset = $2) LIMIT $3
        """,
        owner,
        asset,
        limit,
    )
    return [Kept(*row) for row in rows]


async def staying(connection: Connection, *, account_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """The wallets of the accounts that are a wallet's, but for those whose owners have left."""
    rows = await connection.fetch(
        f"""
        SELECT account.account_id, account.wallet_id
        FROM wallets.accounts AS account JOIN wallets.wallets AS wallet ON wallet.id = account.wallet_id
        WHERE account.account_id = ANY($1) AND {_STAYS}
        """,
        account_ids,
    )
    return {account: wallet for account, wallet in rows}  # noqa: C416 - a record is no pair to mypy


async def of_those_who_stay(connection: Connection, *, after: tuple[UUID, str] | None, limit: int) -> list[Kept]:
    """Accounts of everybody, wallet by wallet, but for those whose owners have left."""
    wallet, asset = after or (_NO_WALLET, "")
    rows = await connection.fetch(
        f"""
        SELECT account.account_id, account.wallet_id, account.asset, false
        FROM wallets.accounts AS account JOIN wallets.wallets AS wallet ON wallet.id = account.wallet_id
        WHERE (account.wallet_id, account.asset) > ($1, $2) AND {_STAYS}
        ORDER BY account.wallet_id, account.asset LIMIT $3
        """,
        wallet,
        asset,
        limit,
    )
    return [Kept(*row) for row in rows]


async def of_asset(connection: Connection, *, asset: str, after: UUID | None, limit: int) -> list[tuple[UUID, UUID]]:
    """Wallets of everybody with their accounts for an asset, in the order of wallets."""
    rows = await connection.fetch(
        "SELECT wallet_id, account_id FROM wallets.accounts WHERE asset = $1 AND wallet_id > $2 "
        "ORDER BY wallet_id LIMIT $3",
        *(asset, after or _NO_WALLET, limit),
    )
    return [(wallet, account) for wallet, account in rows]


async def count(connection: Connection) -> int:
    """How many there are of those whose owners stay."""
    counted: int = await connection.fetchval(
        f"""
        SELECT count(*)
        FROM wallets.accounts AS account JOIN wallets.wallets AS wallet ON wallet.id = account.wallet_id WHERE {_STAYS}
        """
    )
    return counted


async def by_id(connection: Connection, *, owner: UUID, account_ids: Sequence[UUID]) -> list[Kept]:
    """The accounts among `account_ids` that are a wallet's; the others belong to the world outside or to the house."""
    rows = await connection.fetch(
        """
        SELECT account.account_id, account.wallet_id, account.asset, wallet.owner_id = $1
        FROM wallets.accounts AS account JOIN wallets.wallets AS wallet ON wallet.id = account.wallet_id
        WHERE account.account_id = ANY($2)
        """,
        owner,
        account_ids,
    )
    return [Kept(*row) for row in rows]


async def holders(connection: Connection, account_ids: Sequence[UUID]) -> dict[UUID, AccountHolder]:
    """Whose wallets these accounts are of; the others belong to the world outside or to the house."""
    rows = await connection.fetch(
        """
        SELECT account.account_id, wallet.owner_id, account.wallet_id, account.asset
        FROM wallets.accounts AS account JOIN wallets.wallets AS wallet ON wallet.id = account.wallet_id
        WHERE account.account_id = ANY($1)
        """,
        account_ids,
    )
    return {row["account_id"]: AccountHolder(row["owner_id"], str(row["wallet_id"]), row["asset"]) for row in rows}
