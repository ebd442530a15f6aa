"""Processes that sign and check tokens, and what is looked at of these."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billfold.identity import errors
from billfold.identity.service.signing import Tokens
from billfold.kernel import ids
from billfold.platform.keys import Envelope
from billfold.platform.postgres.database import Connection, Database
from tests import facades

ISSUER = "https://wallets.example.com"
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)


class Clock:
    """Says what it is told to."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 21, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


def a_process(database: Database, envelope: Envelope, clock: Clock) -> Tokens:
    identity = facades.identity(database, envelope=envelope, clock=clock, issuer=ISSUER)
    return identity.tokens


async def issued(tokens: Tokens) -> bytes:
    async with tokens._database.connection() as connection:
        return await issued_by(connection, tokens)


async def issued_by(connection: Connection, tokens: Tokens) -> bytes:
    text, _ = await tokens.issue(
        connection,
        user_id=ids.new(),
        session_id=ids.new(),
        scopes=frozenset({"wallets:read"}),
        roles=frozenset({"user"}),
        methods=["pwd"],
        authenticated_at=tokens._clock.now(),
    )
    return text.encode()


def header_of(token: bytes) -> dict[str, Any]:
    part = token.split(b".")[0]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + b"=="))
    return found


async def refused(tokens: Tokens, token: bytes) -> str:
    with pytest.raises(errors.TokenInvalid) as caught:
        await tokens.check(token)
    return caught.value.detail


async def rows(database: Database) -> list[Any]:
    async with database.connection() as connection:
        return await connection.fetch("SELECT * FROM identity.signing_keys ORDER BY created_at")
