"""Keys as requests bear them: known, expired, revoked, and their latest use written down."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from billfold.identity import Identity, errors
from billfold.identity.contracts import Owner
from billfold.identity.domain import keys as domain
from billfold.identity.service import verified
from billfold.kernel import ids
from billfold.kernel.errors import Unavailable
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database
from tests import facades, servers
from tests.integration.identity.support import a_key, asking, text, told


async def test_a_key_stands_for_its_owner_and_scopes(identity: Identity, ada: Owner) -> None:
    key = await a_key(identity, ada, "wallets:read", "keys:read")
    assert identity.remembered(text(key)) is None
    found = await identity.authenticate(text(key))
    assert found == Principal(
        credential_id=UUID(key.id), owner_id=UUID(ada.id), scopes=frozenset({"wallets:read", "keys:read"})
    )
    assert identity.remembered(text(key)) == found


async def test_the_text_is_in_no_table(identity: Identity, database: Database, ada: Owner) -> None:
    key = await a_key(identity, ada)
    secret = text(key).rpartition(b"_")[2].decode()
    async with database.connection() as connection:
        stored = await connection.fetchval("SELECT string_agg(k::text, '') FROM identity.api_keys AS k")
        outbox = await connection.fetchval("SELECT string_agg(convert_from(payload, 'UTF8'), '') FROM messaging.outbox")
    assert key.id in stored
    assert key.id in outbox
    for place in (stored, outbox, repr(await identity.keys.list_keys(by=asking(ada)))):
        assert secret not in place
        assert domain.hash_of(text(key)).hex() not in outbox


@pytest.mark.parametrize("token", [b"", b"nonsense", b"bf_test_" + b"0" * 66, b"\xff" * 74])
async def test_what_is_no_key_asks_no_database(
    identity: Identity, token: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(Database, "connection", never)
    with pytest.raises(errors.ApiKeyInvalid):
        await identity.authenticate(token)


async def test_a_right_id_with_a_wrong_secret_is_refused(identity: Identity, ada: Owner) -> None:
    key = await a_key(identity, ada)
    forged = domain.text_of(UUID(key.id), "test", b"\x00" * 32).encode()
    await identity.authenticate(text(key))
    with pytest.raises(errors.ApiKeyInvalid, match="not known"):
        await identity.authenticate(forged)
    assert identity.remembered(forged) is None


async def test_the_mode_of_a_key_is_part_of_its_secret(identity: Identity, ada: Owner) -> None:
    key = await a_key(identity, ada, mode="test")
    with pytest.raises(errors.ApiKeyInvalid):
        await identity.authenticate(text(key).replace(b"bf_test_", b"bf_live_"))


async def test_an_expired_key_is_refused_from_that_instant_on(identity: Identity, ada: Owner) -> None:
    # It is made and used before that on any machine.
    expires_at = datetime.now(UTC) + timedelta(seconds=2)
    key = await a_key(identity, ada, expires_at=expires_at)
    await identity.authenticate(text(key))
    while True:
        asked_at = datetime.now(UTC)
        try:
            identity.remembered(text(key)) or await identity.authenticate(text(key))
        except errors.ApiKeyInvalid as error:
            assert datetime.now(UTC) >= expires_at
            assert "expired" in error.detail
            break
        # An instant is counted by two clocks here, which tick apart by less than that.
        assert asked_at < expires_at + timedelta(milliseconds=50)
        await asyncio.sleep(0.01)


async def test_a_key_that_is_revoked_here_is_refused_at_once(identity: Identity, ada: Owner) -> None:
    key = await a_key(identity, ada)
    await identity.authenticate(text(key))
    await identity.keys.revoke_key(by=None, key_id=UUID(key.id))
    assert identity.remembered(text(key)) is None
    with pytest.raises(errors.ApiKeyInvalid, match="revoked"):
        await identity.authenticate(text(key))


async def test_a_key_in_use_never_waits_for_the_database(
    identity: Identity, ada: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A machine that stands still for a moment is forgiven.
    monkeypatch.setattr(verified, "BELIEVED_S", 3.0)
    monkeypatch.setattr(verified, "REFRESHED_AFTER_S", 0.05)
    key = await a_key(identity, ada)
    await identity.authenticate(text(key))
    until = asyncio.get_running_loop().time() + verified.BELIEVED_S * 1.2
    while asyncio.get_running_loop().time() < until:
        assert identity.remembered(text(key)) is not None
        await asyncio.sleep(0.01)


async def test_many_requests_with_one_key_look_it_up_once(
    identity: Identity, database: Database, ada: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await a_key(identity, ada)
    looked_up = []
    original = Database.connection

    def counted(self: Database) -> Any:
        looked_up.append(1)
        return original(self)

    monkeypatch.setattr(Database, "connection", counted)
    await asyncio.gather(*(identity.authenticate(text(key)) for _ in range(50)))
    assert len(looked_up) == 1
    forged = domain.text_of(ids.new(), "live", b"\x01" * 32).encode()
    for _ in range(5):
        with pytest.raises(errors.ApiKeyInvalid):
            await identity.authenticate(forged)
    assert len(looked_up) == 2


async def test_guessing_at_keys_fills_no_memory(
    identity: Identity, ada: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verified, "REFUSED_MAX", 3)
    monkeypatch.setattr(verified, "VERIFIED_MAX", 2)
    good = [await a_key(identity, ada) for _ in range(3)]
    for key in good:
        await identity.authenticate(text(key))
    for number in range(10):
        with pytest.raises(errors.ApiKeyInvalid):
            await identity.authenticate(domain.text_of(UUID(int=number), "live", b"\x01" * 32).encode())
    assert len(identity.keys._verifier._refused) == 3
    assert len(identity.keys._verifier._verified) == 2
    assert identity.remembered(text(good[0])) is None
    assert identity.remembered(text(good[2])) is not None


async def test_the_latest_use_is_written_down_and_once_a_minute_at_most(
    identity: Identity, database: Database, ada: Owner
) -> None:
    key = await a_key(identity, ada)

    async def written() -> datetime | None:
        return (await identity.keys.find_key(by=None, key_id=UUID(key.id))).last_used_at

    await identity.uses.touch()
    assert await written() is None
    await identity.authenticate(text(key))
    await identity.uses.touch()
    first = await written()
    assert first is not None
    identity.remembered(text(key))
    await identity.uses.touch()
    assert await written() == first
    # Another process has used it as well, and does not write either.
    other = facades.identity(database)
    await other.authenticate(text(key))
    await other.uses.touch()
    assert await written() == first


async def test_a_use_is_told_once_a_day_whichever_process_sees_it(
    identity: Identity, database: Database, ada: Owner
) -> None:
    key = await a_key(identity, ada)

    async def uses() -> list[dict[str, Any]]:
        return [event["data"] for event in await told(database, ada) if event["type"] == "api_key.used.v1"]

    async def use() -> None:
        # Other processes, which do not know of each other's uses.
        others = [facades.identity(database) for _ in range(2)]
        for other in others:
            await other.authenticate(text(key))
        await asyncio.gather(*(other.uses.touch() for other in others))

    async def last_used(before: str) -> None:
        async with database.connection() as connection:
            statement = f"UPDATE identity.api_keys SET last_used_at = {before} WHERE id = $1"
            await connection.execute(statement, UUID(key.id))

    await identity.uses.touch()
    assert await uses() == []
    await use()
    (event,) = await uses()
    assert (event["api_key_id"], event["by"]) == (key.id, key.id)
    # Later on the same day, unless that has just begun, and on the next one.
    await last_used("greatest(now() - interval '2 minutes', date_trunc('day', now(), 'UTC'))")
    await use()
    assert len(await uses()) == 1
    await last_used("date_trunc('day', now(), 'UTC') - interval '1 second'")
    await use()
    assert len(await uses()) == 2


async def test_uses_that_could_not_be_written_down_are_later(
    identity: Identity, ada: Owner, identity_database: servers.TestDatabase, postgres_server: servers.PostgresServer
) -> None:
    key = await a_key(identity, ada)
    await identity.authenticate(text(key))
    postgres_server.execute(f'ALTER DATABASE "{identity_database.name}" ALLOW_CONNECTIONS false')
    postgres_server.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{identity_database.name}'"
    )
    await identity.uses.touch()
    postgres_server.execute(f'ALTER DATABASE "{identity_database.name}" ALLOW_CONNECTIONS true')
    async with asyncio.timeout(10):
        written = None
        while written is None:
            # Each of the pool's connections that was cut has to be found out.
            with contextlib.suppress(Unavailable):
                await identity.uses.touch()
                written = (await identity.keys.find_key(by=None, key_id=UUID(key.id))).last_used_at


async def test_whoever_tries_one_key_after_another_keeps_no_known_one_waiting(
    identity: Identity, ada: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await a_key(identity, ada)
    await identity.authenticate(text(key))
    read, slow, tried = verified.Verifier._read, asyncio.Event(), []

    async def reading(self: verified.Verifier, token: bytes, token_hash: bytes) -> Any:
        if token != text(key):
            tried.append(token)
            await slow.wait()
        return await read(self, token, token_hash)

    monkeypatch.setattr(verified.Verifier, "_read", reading)
    guesses = [domain.text_of(ids.new(), "test", b"\x00" * 32).encode() for _ in range(20)]
    strangers = [asyncio.create_task(identity.authenticate(guess)) for guess in guesses]
    async with asyncio.timeout(10):
        assert (await identity.authenticate(text(key))).credential_id == UUID(key.id)
    assert len(tried) == verified.STRANGERS_MAX
    slow.set()
    found = await asyncio.gather(*strangers, return_exceptions=True)
    assert all(isinstance(error, errors.ApiKeyInvalid) for error in found)
