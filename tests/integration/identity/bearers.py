"""People who have logged in, what they bear in their requests, and what a process makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from billfold.identity import Identity, errors
from billfold.identity.contracts import Grant, Role
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database
from tests.integration.approvals.people import person


@dataclass
class Login:
    user_id: UUID
    session_id: UUID
    token: bytes


async def a_login(identity: Identity, database: Database, role: Role = "user") -> Login:
    user_id = (await person(database, role)).owner_id
    async with database.transaction() as connection:
        made = await identity.sessions.start(
            connection, user_id=user_id, methods=["pwd"], device="test", address="127.0.0.1"
        )
    assert made.access_token is not None
    return Login(user_id, UUID(made.session_id), made.access_token.encode())


async def key_of(identity: Identity, owner_id: UUID, *scopes: str) -> bytes:
    """A key of a person or a program."""
    made, _ = await identity.keys.create_key(
        by=None, grant=Grant(owner_id=owner_id, name="A key", scopes=frozenset(scopes))
    )
    assert made.key is not None
    return made.key.encode()


async def taken(identity: Identity, token: bytes) -> Principal:
    return identity.remembered(token) or await identity.authenticate(token)


async def refused(identity: Identity, token: bytes) -> str:
    with pytest.raises(errors.CredentialsInvalid) as caught:
        await identity.authenticate(token)
    return caught.value.detail


async def execute(database: Database, sql: str, *values: Any) -> None:
    async with database.connection() as connection:
        await connection.execute(sql, *values)
