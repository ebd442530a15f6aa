"""The life of a key: created, used, written down, revoked."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from billfold.identity import Identity, domain, errors
from billfold.identity.contracts import ALL_SCOPES, CreatedApiKey, Grant, Mode, Owner
from billfold.identity.service import verified
from billfold.kernel import idempotency, ids, paging
from billfold.kernel.errors import Unavailable
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database
from tests import servers


def principal(key: CreatedApiKey) -> Principal:
    return Principal(credential_id=UUID(key.id), owner_id=UUID(key.owner_id), scopes=frozenset(key.scopes))


async def a_key(
    identity: Identity, owner: Owner, *scopes: str, mode: Mode = "test", expires_at: datetime | None = None
) -> CreatedApiKey:
    grant = Grant(
        owner_id=UUID(owner.id), name="A key", scopes=frozenset(scopes) or ALL_SCOPES, mode=mode, expires_at=expires_at
    )
    key, replayed = await identity.create_key(by=None, grant=grant)
    assert not replayed
    assert key.key is not None
    return key


def text(key: CreatedApiKey) -> bytes:
    assert key.key is not None
    return key.key.encode()


async def told(database: Database, owner: Owner) -> list[dict[str, Any]]:
    """The events of the owner's in the outbox, in their order."""
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT payload FROM messaging.outbox ORDER BY seq")
    events = [json.loads(row["payload"]) for row in rows]
    return [event for event in events if event["data"]["owner_id"] == owner.id]


def asking(owner: Owner) -> Principal:
    """Somebody who may see the owner's keys."""
    return Principal(credential_id=ids.new(), owner_id=UUID(owner.id), scopes=frozenset({"keys:read"}))


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
    for place in (stored, outbox, repr(await identity.list_keys(by=asking(ada)))):
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
    expires_at = datetime.now(UTC) + timedelta(seconds=0.3)
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


async def test_a_key_that_is_revoked_elsewhere_is_refused_within_a_second(database: Database, ada: Owner) -> None:
    here, elsewhere = Identity(database=database), Identity(database=database)
    key = await a_key(here, ada)
    clock = asyncio.get_running_loop().time
    stop = asyncio.Event()

    async def use() -> float:
        """When the key was taken for the last time."""
        taken_at = 0.0
        while True:
            asked_at = clock()
            try:
                here.remembered(text(key)) or await here.authenticate(text(key))
            except errors.ApiKeyInvalid:
                assert stop.is_set(), "it was refused before it was revoked"
                return taken_at
            taken_at = asked_at
            await asyncio.sleep(0.005)

    using = asyncio.create_task(use())
    await asyncio.sleep(verified.BELIEVED_S * 1.5)
    stop.set()
    await elsewhere.revoke_key(by=None, key_id=UUID(key.id))
    revoked_at = clock()
    taken_at = await asyncio.wait_for(using, 10)
    assert taken_at < revoked_at + 1.0
    with pytest.raises(errors.ApiKeyInvalid, match="revoked"):
        await here.authenticate(text(key))


async def test_a_key_that_is_revoked_here_is_refused_at_once(identity: Identity, ada: Owner) -> None:
    key = await a_key(identity, ada)
    await identity.authenticate(text(key))
    await identity.revoke_key(by=None, key_id=UUID(key.id))
    assert identity.remembered(text(key)) is None
    with pytest.raises(errors.ApiKeyInvalid, match="revoked"):
        await identity.authenticate(text(key))


async def test_a_key_in_use_never_waits_for_the_database(
    identity: Identity, ada: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verified, "REFRESHED_AFTER_S", 0.05)
    key = await a_key(identity, ada)
    await identity.authenticate(text(key))
    until = asyncio.get_running_loop().time() + verified.BELIEVED_S * 2
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
    monkeypatch.setattr(verified, "KEYS_MAX", 2)
    good = [await a_key(identity, ada) for _ in range(3)]
    for key in good:
        await identity.authenticate(text(key))
    for number in range(10):
        with pytest.raises(errors.ApiKeyInvalid):
            await identity.authenticate(domain.text_of(UUID(int=number), "live", b"\x01" * 32).encode())
    assert len(identity._keys._refused) == 3
    assert len(identity._keys._verified) == 2
    assert identity.remembered(text(good[0])) is None
    assert identity.remembered(text(good[2])) is not None


async def test_a_key_creates_keys_of_its_own_mode_and_no_more_scopes(identity: Identity, ada: Owner) -> None:
    creator = principal(await a_key(identity, ada, "keys:write", "wallets:read", mode="test"))
    grant = Grant(owner_id=UUID(ada.id), name="Child", scopes=frozenset({"wallets:read"}), mode="live")
    child, _ = await identity.create_key(by=creator, grant=grant)
    assert (child.mode, child.scopes) == ("test", ["wallets:read"])
    with pytest.raises(errors.ScopeNotYours):
        await identity.create_key(
            by=creator, grant=Grant(owner_id=UUID(ada.id), name="x", scopes=frozenset({"operator"}))
        )


async def test_only_an_operator_creates_keys_for_others(
    identity: Identity, ada: Owner, bob: Owner, operator: Principal
) -> None:
    grant = Grant(owner_id=UUID(bob.id), name="Bob's", scopes=frozenset({"wallets:read"}))
    with pytest.raises(errors.OwnerNotYours):
        await identity.create_key(by=principal(await a_key(identity, ada, "keys:write", "wallets:read")), grant=grant)
    key, _ = await identity.create_key(by=operator, grant=grant)
    assert key.owner_id == bob.id
    with pytest.raises(errors.OwnerUnknown):
        await identity.create_key(
            by=operator, grant=Grant(owner_id=ids.new(), name="x", scopes=frozenset({"wallets:read"}))
        )


async def test_another_owners_keys_are_not_there(
    identity: Identity, ada: Owner, bob: Owner, operator: Principal
) -> None:
    adas, bobs = await a_key(identity, ada, "keys:read", "keys:write"), await a_key(identity, bob)
    asks = principal(adas)
    assert [key.id for key in (await identity.list_keys(by=asks)).items] == [adas.id]
    with pytest.raises(errors.ApiKeyUnknown):
        await identity.find_key(by=asks, key_id=UUID(bobs.id))
    with pytest.raises(errors.ApiKeyUnknown):
        await identity.revoke_key(by=asks, key_id=UUID(bobs.id))
    assert (await identity.find_key(by=operator, key_id=UUID(bobs.id))).revoked_at is None
    assert {adas.id, bobs.id} <= {key.id for key in (await identity.list_keys(by=operator, limit=100)).items}


async def test_keys_are_listed_page_by_page_the_newest_first(identity: Identity, ada: Owner) -> None:
    made = [(await a_key(identity, ada)).id for _ in range(5)]
    asks = asking(ada)
    first = await identity.list_keys(by=asks, limit=2)
    # A key that is created meanwhile moves no page.
    await a_key(identity, ada)
    second = await identity.list_keys(by=asks, limit=2, cursor=first.next_cursor)
    third = await identity.list_keys(by=asks, limit=2, cursor=second.next_cursor)
    assert [key.id for page in (first, second, third) for key in page.items] == made[::-1]
    assert third.next_cursor is None
    with pytest.raises(paging.InvalidCursor):
        await identity.list_keys(by=asks, cursor="nonsense")


async def test_the_same_request_creates_one_key_and_tells_its_text_once(identity: Identity, ada: Owner) -> None:
    asks = principal(await a_key(identity, ada))
    grant = Grant(owner_id=UUID(ada.id), name="Once", scopes=frozenset({"wallets:read"}))

    def request(content: bytes) -> idempotency.Key:
        return idempotency.key(owner=asks.owner_id, text="k-1", operation="test", content=content)

    answers = await asyncio.gather(
        *(identity.create_key(by=asks, grant=grant, request=request(b"same")) for _ in range(8))
    )
    assert len({key.id for key, _ in answers}) == 1
    assert sorted(replayed for _, replayed in answers) == [False] + [True] * 7
    assert [key.key is not None for key, replayed in answers if not replayed] == [True]
    assert all(key.key is None for key, replayed in answers if replayed)
    with pytest.raises(idempotency.IdempotencyKeyReused):
        await identity.create_key(by=asks, grant=grant, request=request(b"other"))


async def test_one_request_is_not_used_for_two_owners(
    identity: Identity, ada: Owner, bob: Owner, operator: Principal
) -> None:
    request = idempotency.key(owner=operator.owner_id, text="k", operation="test", content=b"same")
    grants = [Grant(owner_id=UUID(owner.id), name="x", scopes=frozenset({"operator"})) for owner in (ada, bob)]
    results = await asyncio.gather(
        *(identity.create_key(by=operator, grant=grant, request=request) for grant in grants), return_exceptions=True
    )
    made = [result for result in results if isinstance(result, tuple)]
    assert len({key.id for key, _ in made}) == 1
    assert all(isinstance(result, tuple | idempotency.IdempotencyKeyReused) for result in results)


async def test_an_owner_has_only_so_many_keys(identity: Identity, ada: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billfold.identity.service.KEYS_MAX", 2)
    first = await a_key(identity, ada)
    await a_key(identity, ada)
    with pytest.raises(errors.TooManyApiKeys):
        await a_key(identity, ada)
    await identity.revoke_key(by=None, key_id=UUID(first.id))
    await a_key(identity, ada)


async def test_an_expiry_in_the_past_creates_nothing(identity: Identity, database: Database, ada: Owner) -> None:
    with pytest.raises(errors.ApiKeyExpiryInPast):
        await a_key(identity, ada, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert (await identity.list_keys(by=asking(ada))).items == []
    assert await told(database, ada) == []


async def test_creating_and_revoking_is_told_once_each(identity: Identity, database: Database, ada: Owner) -> None:
    creator = await a_key(identity, ada)
    key, _ = await identity.create_key(
        by=principal(creator), grant=Grant(owner_id=UUID(ada.id), name="Told", scopes=frozenset({"wallets:read"}))
    )
    once = await identity.revoke_key(by=principal(creator), key_id=UUID(key.id))
    twice = await identity.revoke_key(by=principal(creator), key_id=UUID(key.id))
    assert once.revoked_at is not None
    assert twice.revoked_at == once.revoked_at
    events = await told(database, ada)
    assert [event["type"] for event in events] == ["api_key.created.v1", "api_key.created.v1", "api_key.revoked.v1"]
    assert [event["data"]["by"] for event in events] == [None, creator.id, creator.id]
    assert events[1]["subject"] == events[2]["subject"] == key.id


async def test_the_latest_use_is_written_down_and_once_a_minute_at_most(
    identity: Identity, database: Database, ada: Owner
) -> None:
    key = await a_key(identity, ada)

    async def written() -> datetime | None:
        return (await identity.find_key(by=None, key_id=UUID(key.id))).last_used_at

    await identity._touch()
    assert await written() is None
    await identity.authenticate(text(key))
    await identity._touch()
    first = await written()
    assert first is not None
    identity.remembered(text(key))
    await identity._touch()
    assert await written() == first
    # Another process has used it as well, and does not write either.
    other = Identity(database=database)
    await other.authenticate(text(key))
    await other._touch()
    assert await written() == first


async def test_uses_that_could_not_be_written_down_are_later(
    identity: Identity, ada: Owner, identity_database: servers.TestDatabase, postgres_server: servers.PostgresServer
) -> None:
    key = await a_key(identity, ada)
    await identity.authenticate(text(key))
    postgres_server.execute(f'ALTER DATABASE "{identity_database.name}" ALLOW_CONNECTIONS false')
    postgres_server.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{identity_database.name}'"
    )
    await identity._touch()
    postgres_server.execute(f'ALTER DATABASE "{identity_database.name}" ALLOW_CONNECTIONS true')
    async with asyncio.timeout(10):
        written = None
        while written is None:
            # Each of the pool's connections that was cut has to be found out.
            with contextlib.suppress(Unavailable):
                await identity._touch()
                written = (await identity.find_key(by=None, key_id=UUID(key.id))).last_used_at


async def test_bootstrap_gives_a_key_with_every_scope_to_an_owner_of_that_name(identity: Identity) -> None:
    keys = [await identity.bootstrap(owner_name="Sandbox") for _ in range(2)]
    found = [await identity.authenticate(key.encode()) for key in keys]
    assert [one.scopes for one in found] == [ALL_SCOPES, ALL_SCOPES]
    assert found[0].owner_id == found[1].owner_id
    assert found[0].is_operator
    assert found[0].credential_id != found[1].credential_id
    assert keys[0].startswith("bf_test_")


async def test_an_owner_has_one_name_and_a_name_one_owner(identity: Identity, ada: Owner) -> None:
    assert await identity.find_owner(name=ada.name) == ada
    with pytest.raises(errors.OwnerExists):
        await identity.create_owner(name=ada.name)
    with pytest.raises(errors.OwnerUnknown):
        await identity.find_owner(name="Eve")


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM identity.api_keys",
        "UPDATE identity.api_keys SET scopes = '{operator}'",
        "UPDATE identity.api_keys SET key_hash = ''",
        "UPDATE identity.api_keys SET owner_id = NULL",
        "UPDATE identity.api_keys SET expires_at = NULL",
        "TRUNCATE identity.api_keys",
        "DELETE FROM identity.owners",
        "UPDATE identity.owners SET id = NULL",
        "CREATE TABLE identity.extra ()",
        "ALTER TABLE identity.api_keys DROP COLUMN scopes",
    ],
)
async def test_the_application_may_not(database: Database, sql: str) -> None:
    async with database.connection() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(sql)
