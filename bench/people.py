"""Somebody with wallets, and both kinds of credentials by which their money can be moved: an API key, and a login."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec

from bench import population
from bench.stack import Running
from billfold.identity import Identity
from billfold.identity.contracts import Grant, scopes_of
from billfold.kernel import ids
from billfold.ledger import Ledger
from billfold.platform.keys import Envelope
from billfold.platform.keys.local import load
from billfold.platform.postgres.database import Connection, Database

#: Enough that chance seldom moves money between two that another transfer is busy with.
WALLETS = 1_000
ROLES = frozenset({"user"})
#: Different logins in a file, none of an account that there is: a password is hashed for them all the same.
LOGINS = 5_000
_LOGIN_PATH = "/api/v1/auth/login"


class Person(msgspec.Struct, frozen=True):
    """Somebody with money: their own key, and files of transfers between their wallets and of other people's logins."""

    user_id: UUID
    key: str
    transfers: Path
    logins: Path


class _NoMail:
    """Nobody reads the mails of a bench."""

    async def append(
        self, _connection: Connection, /, *, template: str, to: str, locale: str, values: Mapping[str, str]
    ) -> None:
        """Lose it."""


def identity(database: Database, running: Running) -> Identity:
    """The facade over the stack's database, under its master keys."""
    record = running.record
    envelope = Envelope(load(Path(record.keys_file)))
    return Identity(database=database, envelope=envelope, mail=_NoMail(), issuer=record.api_url)


async def create(
    database: Database,
    ledger: Ledger,
    facade: Identity,
    owner: asyncpg.Connection[asyncpg.Record],
    *,
    folder: Path,
    progress: Callable[[int], None],
) -> Person:
    """Somebody new. How they register and confirm their address is not measured, so it is left out."""
    made = await facade.keys.create_owner(name=f"Person {ids.new()}")
    user_id = UUID(made.id)
    await owner.execute(
        "INSERT INTO identity.users (id, display_name, locale, time_zone, created_at) "
        "VALUES ($1, 'Person', 'en', 'UTC', now())",
        user_id,
    )
    # By themselves they could not give it to a key that moves money for them without a second factor.
    scopes = scopes_of(ROLES) & {"wallets:read", "wallets:write", "transfers:read", "transfers:write"}
    created, _ = await facade.keys.create_key(by=None, grant=Grant(owner_id=user_id, name="bench", scopes=scopes))
    assert created.key is not None, "it was just created"
    wallets = await population.create(database, ledger, facade, owner=user_id, count=WALLETS, progress=progress)
    person = Person(user_id, created.key, folder / "person", folder / "logins")
    population.write_spread(person.transfers, wallets)
    _write_logins(person.logins)
    return person


async def access_token(database: Database, facade: Identity, person: Person) -> str:
    """A new one, good for some minutes."""
    async with database.transaction() as connection:
        tokens = await facade.sessions.start(
            connection, user_id=person.user_id, methods=["pwd"], device="bench", address="127.0.0.1"
        )
    assert tokens.access_token is not None, "it was just issued"
    return tokens.access_token


def _write_logins(path: Path) -> None:
    """Logins of people that there are not, with passwords of the usual length."""
    chance = random.Random(time.time_ns())
    with path.open("w", encoding="utf-8") as file:
        for _ in range(LOGINS):
            number = chance.randrange(10**12)
            body = {"login": f"nobody-{number}@example.com", "password": f"correct horse {number}"}
            file.write(f"{_LOGIN_PATH} {json.dumps(body, separators=(',', ':'))}\n")
