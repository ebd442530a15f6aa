"""Names that no other test has, and what comes of asking for them."""

import json
from typing import Any

from billfold.identity import Identity
from billfold.identity.contracts import Alias, NewAlias, Visibility
from billfold.kernel import ids
from billfold.kernel.errors import BillfoldError
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database


def tail() -> str:
    return ids.new().hex[-10:].translate(str.maketrans("0123456789", "ghijklmnop"))


def handle() -> str:
    """One that no other test has, nor one that looks like it."""
    return f"@t{tail()}"


async def add(identity: Identity, by: Principal, text: str, visibility: Visibility | None = None) -> Alias:
    return await identity.aliases.add(by=by, new=NewAlias(alias=text, visibility=visibility))


async def refusal(action: Any) -> str:
    try:
        await action
    except BillfoldError as error:
        return error.code
    return "none"


async def told(database: Database, alias: Alias) -> list[dict[str, Any]]:
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT payload FROM messaging.outbox ORDER BY seq")
    events = [json.loads(row["payload"]) for row in rows]
    return [event for event in events if event["subject"] == alias.id]
