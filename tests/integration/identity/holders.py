"""People without the ways in which people come about, and a mail box that is looked into."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from billfold.identity.contracts import ROLE_SCOPES
from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Connection, Database


async def person(database: Database, name: str = "Ada Lovelace", *, email: str | None = None) -> Principal:
    """Somebody who has logged in."""
    user_id, now = ids.new(), datetime.now(UTC)
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO identity.owners (id, name, created_at) VALUES ($1, $2, $3)", user_id, str(user_id), now
        )
        await connection.execute(
            "INSERT INTO identity.users (id, email, email_verified_at, display_name, locale, time_zone, created_at) "
            "VALUES ($1, $2, $3, $4, 'en', 'UTC', $5)",
            user_id,
            email,
            now if email else None,
            name,
            now,
        )
    return Principal(
        credential_id=ids.new(), owner_id=user_id, scopes=ROLE_SCOPES["user"], user_id=user_id, is_session=True
    )


async def program(database: Database, name: str = "Shop") -> Principal:
    """A program with a key of its owner."""
    owner_id = ids.new()
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO identity.owners (id, name, created_at) VALUES ($1, $2, $3)",
            owner_id,
            f"{name} {owner_id}",
            datetime.now(UTC),
        )
    return Principal(credential_id=ids.new(), owner_id=owner_id, scopes=ROLE_SCOPES["service"])


class MailBox:
    """Keeps what would be sent, once its transaction commits or not: tests look at it after the answer."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, Mapping[str, str]]] = []

    async def append(
        self, connection: Connection, *, template: str, to: str, locale: str, values: Mapping[str, str]
    ) -> None:
        assert connection.is_in_transaction()
        assert locale
        self.sent.append((template, to, values))

    def code(self, to: str) -> str:
        """The last code that was sent there."""
        return [values["code"] for _, address, values in self.sent if address == to][-1]


class Watch:
    """A clock that can be put forward."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def forward(self, by: timedelta) -> None:
        self._ahead += by


async def close_account(database: Database, user_id: UUID) -> None:
    """Mark it as closed, and nothing else."""
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE identity.users SET closed_at = now(), email = NULL, email_verified_at = NULL WHERE id = $1", user_id
        )
