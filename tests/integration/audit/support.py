"""Facts, and who reads about them."""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from billfold.audit import Audit
from billfold.audit.contracts import AuditRecord, Checked, Filter
from billfold.audit.domain import exports, notes
from billfold.audit.domain.notes import Head
from billfold.audit.service import signing
from billfold.kernel import ids
from billfold.kernel.facts import Fact, Facts
from billfold.kernel.origin import Channel, Origin
from billfold.kernel.principal import Principal
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Database
from tests.integration.api import support as api

#: Far more than it takes.
ARRIVES_S = 60.0

AUDITOR = Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=frozenset({"audit:read"}))


def fact(
    number: int,
    *,
    by: UUID | None = None,
    about: UUID | None = None,
    type_: str = "wallet.frozen.v1",
    channel: Channel = "api",
) -> Fact:
    return Fact(
        type=type_,
        source="/billfold/wallets",
        id=f"id-{number}",
        subject=f"subject-{number}",
        time="2026-01-31T12:00:00.000000Z",
        origin=Origin(channel=channel, address="192.0.2.1", owner_id=by),
        data={"owner_id": str(about)} if about else {},
    )


def facts(count: int, *, start: int = 0) -> list[Fact]:
    return [fact(number) for number in range(start, start + count)]


def person() -> Principal:
    user_id = ids.new()
    return Principal(credential_id=ids.new(), owner_id=user_id, scopes=frozenset({"account"}), user_id=user_id)


async def export(audit: Audit) -> list[bytes]:
    return [line async for line in audit.reading.exported()]


async def trusted(audit: Audit) -> exports.Trusted:
    keys = [notes.read_key(key) for key in await audit.sealing.public_keys()]
    return partial(signing.signed_by, keys=keys)


async def checked(audit: Audit, lines: Iterable[bytes] | None = None, *, known: Iterable[Head] = ()) -> Checked:
    return exports.check(await export(audit) if lines is None else lines, trusted=await trusted(audit), known=known)


async def records(audit: Audit, *, count: int = 1, **asked: Any) -> list[AuditRecord]:
    """What is asked for, once there is so much of it; the oldest first."""
    async with asyncio.timeout(ARRIVES_S):
        while True:
            page = await audit.reading.page(by=AUDITOR, asked=Filter(**asked), limit=100)
            if len(page.items) >= count:
                return page.items[::-1]
            await asyncio.sleep(0.05)


async def told(database: Database, *, kind: str) -> list[Fact]:
    """The facts of this type that wait in the outbox, the oldest first. Nobody may take them meanwhile."""
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT payload FROM messaging.outbox WHERE kind = $1 ORDER BY seq", outbox.AUDIT)
    carried = [msgspec.json.decode(row["payload"], type=_Carried).data for row in rows]
    return [one for each in carried for one in each.facts if one.type == kind]


class _Carried(msgspec.Struct):
    data: Facts


def wallet(caller: api.Caller, name: str) -> str:
    made: str = caller.post("/wallets", {"name": name}).json()["id"]
    return made


def pay(caller: api.Caller, source: str, target: str, amount: str, **headers: str) -> Any:
    body = {"from": source, "to": target, "money": {"amount": amount, "asset": "USD"}}
    return caller.post("/transfers", body, **headers)
