"""A look at a server from outside, over one connection that is closed again: for who examines a set-up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec

from billfold.platform.postgres.database import CONNECT_TIMEOUT_S, DatabaseUnavailable


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a server says of itself."""

    major: int
    minor: int
    #: By how much its clock is ahead of ours.
    skew: timedelta


async def look(dsn: str) -> Seen:
    """Connect, ask, and go.

    Raises:
        DatabaseUnavailable: its detail is what the driver says.
    """
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailable(str(error) or type(error).__name__) from error
    try:
        version = connection.get_server_version()
        before = datetime.now(UTC)
        theirs = await connection.fetchval("SELECT clock_timestamp()", timeout=CONNECT_TIMEOUT_S)
        halfway = before + (datetime.now(UTC) - before) / 2
    finally:
        await connection.close()
    # Since version 10 there are two numbers, and the driver calls the second one by the name of the third.
    return Seen(major=version.major, minor=version.micro, skew=theirs - halfway)
