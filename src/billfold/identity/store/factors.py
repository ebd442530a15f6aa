"""SQL over second factors: authenticator apps, passkeys, recovery codes, and what waits for one of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from billfold.identity.contracts import Passkey, TotpFactor
from billfold.platform.postgres.database import Connection

if TYPE_CHECKING:
    import asyncpg

_PASSKEY = "id, name, synced, created_at, last_used_at"


class Attempt(msgspec.Struct, frozen=True):
    """What a code is compared with."""

    sealed: bytes
    last_step: int


class PendingTotp(msgspec.Struct, frozen=True):
    """An app that waits for its first code: what it is, and the factors that there were when it was begun."""

    sealed: bytes
    beside: list[str]


class Credential(msgspec.Struct, frozen=True):
    """A passkey as it is checked."""

    id: UUID
    user_id: UUID
    public_key: bytes
    name: str


def _passkey(row: asyncpg.Record) -> Passkey:
    values = {name: row[name] for name in ("name", "synced", "created_at", "last_used_at")}
    return Passkey(id=str(row["id"]), **values)


async def counting(connection: Connection, user_id: UUID) -> list[str]:
    """Which factors somebody has now, each by a name that no other one ever has."""
    rows = await connection.fetch(
        """
        SELECT 'passkey ' || id AS name FROM identity.passkeys WHERE user_id = $1
        UNION ALL
        SELECT 'totp ' || extract(epoch FROM confirmed_at) FROM identity.totp
        WHERE user_id = $1 AND confirmed_at IS NOT NULL
        ORDER BY 1
        """,
        user_id,
    )
    return [row["name"] for row in rows]


# --- authenticator apps ----------------------------------------------------------------------------------------------


async def put_totp(
    connection: Connection, user_id: UUID, sealed: bytes, *, beside: Sequence[str], now: datetime
) -> bool:
    """Keep the secret of an app that is still to be confirmed, instead of an earlier such one; no if one counts."""
    row = await connection.fetchval(
        """
        INSERT INTO identity.totp AS app (user_id, sealed, created_at, beside) VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_id) DO UPDATE
            SET sealed = $2, created_at = $3, beside = $4, last_step = 0, attempts = 0, blocked_until = NULL
            WHERE app.confirmed_at IS NULL
        RETURNING true
        """,
        user_id,
        sealed,
        now,
        list(beside),
    )
    return row is not None


async def attempt_totp(
    connection: Connection,
    user_id: UUID,
    *,
    confirmed: bool,
    now: datetime,
    free: int,
    first: timedelta,
    longest: timedelta,
) -> Attempt | datetime | None:
    """Count an attempt at a code before it is looked at; or until when none is allowed; None if there is no app.

    One statement: however many attempts come at once, each sees those before it.
    """
    row = await connection.fetchrow(
        """
        UPDATE identity.totp SET attempts = attempts + 1,
            blocked_until = CASE WHEN attempts + 1 >= $4
                THEN $3 + least($5::interval * power(2, least(attempts + 1 - $4, 20)), $6::interval) END
        WHERE user_id = $1 AND (confirmed_at IS NOT NULL) = $2 AND (blocked_until IS NULL OR blocked_until <= $3)
        RETURNING sealed, last_step
        """,
        user_id,
        confirmed,
        now,
        free,
        first,
        longest,
    )
    if row is not None:
        return Attempt(*row)
    until: datetime | None = await connection.fetchval(
        "SELECT blocked_until FROM identity.totp WHERE user_id = $1 AND (confirmed_at IS NOT NULL) = $2",
        user_id,
        confirmed,
    )
    return until


async def use_step(connection: Connection, user_id: UUID, step: int, *, now: datetime) -> bool:
    """Accept the code of a step, unless it or a later one was accepted before; this is what confirms an app.

    One statement: of any number of requests with the same code it is the row's lock that lets one find it unused.
    """
    row = await connection.fetchval(
        """
        UPDATE identity.totp SET last_step = $2, last_used_at = $3, attempts = 0, blocked_until = NULL,
            confirmed_at = coalesce(confirmed_at, $3)
        WHERE user_id = $1 AND last_step < $2
        RETURNING true
        """,
        user_id,
        step,
        now,
    )
    return row is not None


async def totp(connection: Connection, user_id: UUID) -> TotpFactor | None:
    """The app, if it counts."""
    row = await connection.fetchrow(
        "SELECT confirmed_at, last_used_at FROM identity.totp WHERE user_id = $1 AND confirmed_at IS NOT NULL", user_id
    )
    return TotpFactor(created_at=row["confirmed_at"], last_used_at=row["last_used_at"]) if row else None


async def pending_totp(connection: Connection, user_id: UUID, *, since: datetime) -> PendingTotp | None:
    """The app that waits for its first code since then or later; locked until a database transaction ends."""
    row = await connection.fetchrow(
        "SELECT sealed, beside FROM identity.totp WHERE user_id = $1 AND confirmed_at IS NULL AND created_at >= $2 "
        "FOR NO KEY UPDATE",
        user_id,
        since,
    )
    return PendingTotp(*row) if row else None


async def delete_totp(connection: Connection, user_id: UUID) -> bool:
    """Remove the app; no if there is none that counts."""
    row = await connection.fetchval(
        "DELETE FROM identity.totp WHERE user_id = $1 AND confirmed_at IS NOT NULL RETURNING true", user_id
    )
    return row is not None


# --- recovery codes --------------------------------------------------------------------------------------------------


async def replace_recovery_codes(
    connection: Connection, user_id: UUID, hashes: Sequence[bytes], *, now: datetime
) -> None:
    """Give somebody these recovery codes, and no others."""
    await connection.execute("DELETE FROM identity.recovery_codes WHERE user_id = $1", user_id)
    await connection.execute(
        "INSERT INTO identity.recovery_codes (user_id, code_hash, created_at) SELECT $1, unnest($2::bytea[]), $3",
        user_id,
        list(hashes),
        now,
    )


async def recovery_code_left(connection: Connection, user_id: UUID, code_hash: bytes) -> bool:
    """Whether there is such a code that was not used."""
    found = await connection.fetchval(
        "SELECT true FROM identity.recovery_codes WHERE user_id = $1 AND code_hash = $2 AND used_at IS NULL",
        user_id,
        code_hash,
    )
    return found is not None


async def use_recovery_code(connection: Connection, user_id: UUID, code_hash: bytes, *, now: datetime) -> bool:
    """Use up a code; no if it was used before."""
    row = await connection.fetchval(
        "UPDATE identity.recovery_codes SET used_at = $3 "
        "WHERE user_id = $1 AND code_hash = $2 AND used_at IS NULL RETURNING true",
        user_id,
        code_hash,
        now,
    )
    return row is not None


async def count_recovery_codes(connection: Connection, user_id: UUID) -> int:
    """How many are left."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM identity.recovery_codes WHERE user_id = $1 AND used_at IS NULL", user_id
    )
    return count


# --- passkeys --------------------------------------------------------------------------------------------------------


async def insert_passkey(
    connection: Connection,
    *,
    passkey_id: UUID,
    user_id: UUID,
    credential_id: bytes,
    public_key: bytes,
    sign_count: int,
    name: str,
    synced: bool,
    transports: Sequence[str],
    now: datetime,
) -> bool:
    """Add a passkey; no if there is one with this credential's id, whosesoever it is."""
    row = await connection.fetchval(
        """
        INSERT INTO identity.passkeys
            (id, user_id, credential_id, public_key, sign_count, name, synced, transports, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (credential_id) DO NOTHING RETURNING true
        """,
        passkey_id,
        user_id,
        credential_id,
        public_key,
        sign_count,
        name,
        synced,
        list(transports),
        now,
    )
    return row is not None


async def passkeys(connection: Connection, user_id: UUID) -> list[Passkey]:
    """Somebody's passkeys, the oldest first."""
    rows = await connection.fetch(f"SELECT {_PASSKEY} FROM identity.passkeys WHERE user_id = $1 ORDER BY id", user_id)
    return [_passkey(row) for row in rows]


async def known_credentials(connection: Connection, user_id: UUID) -> list[tuple[bytes, list[str]]]:
    """The id and transports of each of somebody's passkeys."""
    rows = await connection.fetch(
        "SELECT credential_id, transports FROM identity.passkeys WHERE user_id = $1 ORDER BY id", user_id
    )
    return [(row["credential_id"], row["transports"]) for row in rows]


async def credential(connection: Connection, credential_id: bytes) -> Credential | None:
    """The passkey with this credential's id."""
    row = await connection.fetchrow(
        "SELECT id, user_id, public_key, name FROM identity.passkeys WHERE credential_id = $1", credential_id
    )
    return Credential(*row) if row else None


async def use_passkey(connection: Connection, passkey_id: UUID, sign_count: int, *, now: datetime) -> bool:
    """Accept a use of a passkey; no if its sign count has not gone on: then there are two of it (WebAuthn, 6.1.1).

    Authenticators that don't count say 0 always.
    """
    row = await connection.fetchval(
        """
        UPDATE identity.passkeys SET sign_count = $2, last_used_at = $3
        WHERE id = $1 AND (sign_count < $2 OR (sign_count = 0 AND $2 = 0))
        RETURNING true
        """,
        passkey_id,
        sign_count,
        now,
    )
    return row is not None


async def delete_passkey(connection: Connection, user_id: UUID, passkey_id: UUID) -> str | None:
    """Remove a passkey and give its name; None if there is none."""
    name: str | None = await connection.fetchval(
        "DELETE FROM identity.passkeys WHERE id = $1 AND user_id = $2 RETURNING name", passkey_id, user_id
    )
    return name


# --- all of them -----------------------------------------------------------------------------------------------------


async def delete_all(connection: Connection, user_id: UUID) -> None:
    """Forget everything by which somebody could prove that it is them, and what waits for it."""
    for table in ("totp", "passkeys", "recovery_codes", "pending_logins", "step_ups"):
        await connection.execute(f"DELETE FROM identity.{table} WHERE user_id = $1", user_id)
