"""Makes keys, and looks at what was told of them."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from billfold.identity import Identity
from billfold.identity.contracts import KEY_SCOPES, CreatedApiKey, Grant, Mode, Owner
from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database


def principal(key: CreatedApiKey) -> Principal:
    return Principal(credential_id=UUID(key.id), owner_id=UUID(key.owner_id), scopes=frozenset(key.scopes))


async def a_key(
    identity: Identity, owner: Owner, *scopes: str, mode: Mode = "test", expires_at: datetime | None = None
) -> CreatedApiKey:
    grant = Grant(
        owner_id=UUID(owner.id), name="A key", scopes=frozenset(scopes) or KEY_SCOPES, mode=mode, expires_at=expires_at
    )
    key, replayed = await identity.keys.create_key(by=None, grant=grant)
    assert not replayed
    assert key.key is not None
    return key


def text(key: CreatedApiKey) -> bytes:
    assert key.key is not None
    return key.key.encode()


async def told(database: Database, owner: Owner) -> list[dict[str, Any]]:
    """The events of the owner's in the outbox, in their order."""
    return await told_of(database, UUID(owner.id))


async def told_of(database: Database, owner_id: UUID) -> list[dict[str, Any]]:
    """The same by the owner's id."""
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT payload FROM messaging.outbox ORDER BY seq")
    events = [json.loads(row["payload"]) for row in rows]
    return [event for event in events if event["data"].get("owner_id") == str(owner_id)]


def asking(owner: Owner) -> Principal:
    """Somebody who may see the owner's keys."""
    return Principal(credential_id=ids.new(), owner_id=UUID(owner.id), scopes=frozenset({"keys:read"}))
