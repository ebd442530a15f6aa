"""Keys as they are made: who may create which, who sees them, and what is told of them."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from billfold.identity import Identity, errors
from billfold.identity.contracts import KEY_SCOPES, Grant, Owner
from billfold.kernel import idempotency, ids, paging
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database
from tests.integration.identity.support import a_key, asking, principal, told


async def test_a_key_creates_keys_of_its_own_mode_and_no_more_scopes(identity: Identity, ada: Owner) -> None:
    creator = principal(await a_key(identity, ada, "keys:write", "wallets:read", mode="test"))
    grant = Grant(owner_id=UUID(ada.id), name="Child", scopes=frozenset({"wallets:read"}), mode="live")
    child, _ = await identity.keys.create_key(by=creator, grant=grant)
    assert (child.mode, child.scopes) == ("test", ["wallets:read"])
    with pytest.raises(errors.ScopeNotYours):
        await identity.keys.create_key(
            by=creator, grant=Grant(owner_id=UUID(ada.id), name="x", scopes=frozenset({"operator"}))
        )


async def test_only_an_operator_creates_keys_for_others(
    identity: Identity, ada: Owner, bob: Owner, operator: Principal
) -> None:
    grant = Grant(owner_id=UUID(bob.id), name="Bob's", scopes=frozenset({"wallets:read"}))
    with pytest.raises(errors.OwnerNotYours):
        await identity.keys.create_key(
            by=principal(await a_key(identity, ada, "keys:write", "wallets:read")), grant=grant
        )
    key, _ = await identity.keys.create_key(by=operator, grant=grant)
    assert key.owner_id == bob.id
    with pytest.raises(errors.OwnerUnknown):
        await identity.keys.create_key(
            by=operator, grant=Grant(owner_id=ids.new(), name="x", scopes=frozenset({"wallets:read"}))
        )


async def test_another_owners_keys_are_not_there(
    identity: Identity, ada: Owner, bob: Owner, operator: Principal
) -> None:
    adas, bobs = await a_key(identity, ada, "keys:read", "keys:write"), await a_key(identity, bob)
    asks = principal(adas)
    assert [key.id for key in (await identity.keys.list_keys(by=asks)).items] == [adas.id]
    with pytest.raises(errors.ApiKeyUnknown):
        await identity.keys.find_key(by=asks, key_id=UUID(bobs.id))
    with pytest.raises(errors.ApiKeyUnknown):
        await identity.keys.revoke_key(by=asks, key_id=UUID(bobs.id))
    assert (await identity.keys.find_key(by=operator, key_id=UUID(bobs.id))).revoked_at is None
    assert {adas.id, bobs.id} <= {key.id for key in (await identity.keys.list_keys(by=operator, limit=100)).items}


async def test_keys_are_listed_page_by_page_the_newest_first(identity: Identity, ada: Owner) -> None:
    made = [(await a_key(identity, ada)).id for _ in range(5)]
    asks = asking(ada)
    first = await identity.keys.list_keys(by=asks, limit=2)
    # A key that is created meanwhile moves no page.
    await a_key(identity, ada)
    second = await identity.keys.list_keys(by=asks, limit=2, cursor=first.next_cursor)
    third = await identity.keys.list_keys(by=asks, limit=2, cursor=second.next_cursor)
    assert [key.id for page in (first, second, third) for key in page.items] == made[::-1]
    assert third.next_cursor is None
    with pytest.raises(paging.InvalidCursor):
        await identity.keys.list_keys(by=asks, cursor="nonsense")


async def test_the_same_request_creates_one_key_and_tells_its_text_once(identity: Identity, ada: Owner) -> None:
    asks = principal(await a_key(identity, ada))
    grant = Grant(owner_id=UUID(ada.id), name="Once", scopes=frozenset({"wallets:read"}))

    def request(content: bytes) -> idempotency.Key:
        return idempotency.key(owner=asks.owner_id, text="k-1", operation="test", content=content)

    answers = await asyncio.gather(
        *(identity.keys.create_key(by=asks, grant=grant, request=request(b"same")) for _ in range(8))
    )
    assert len({key.id for key, _ in answers}) == 1
    assert sorted(replayed for _, replayed in answers) == [False] + [True] * 7
    assert [key.key is not None for key, replayed in answers if not replayed] == [True]
    assert all(key.key is None for key, replayed in answers if replayed)
    with pytest.raises(idempotency.IdempotencyKeyReused):
        await identity.keys.create_key(by=asks, grant=grant, request=request(b"other"))


async def test_a_program_makes_no_key_for_a_person_whatever_it_may_do(
    identity: Identity, database: Database, ada: Owner, operator: Principal
) -> None:
    """A person's keys take a factor of theirs, which no program has."""
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO identity.users (id, display_name, locale, time_zone, created_at)"
            " VALUES ($1, 'Ada', 'en', 'UTC', now())",
            UUID(ada.id),
        )
    grant = Grant(owner_id=UUID(ada.id), name="Theirs", scopes=frozenset({"operator"}))
    with pytest.raises(errors.OwnerNotYours):
        await identity.keys.create_key(by=operator, grant=grant)
    assert (await identity.keys.list_keys(by=asking(ada))).items == []


async def test_one_request_is_not_used_for_two_owners(
    identity: Identity, ada: Owner, bob: Owner, operator: Principal
) -> None:
    request = idempotency.key(owner=operator.owner_id, text="k", operation="test", content=b"same")
    grants = [Grant(owner_id=UUID(owner.id), name="x", scopes=frozenset({"operator"})) for owner in (ada, bob)]
    results = await asyncio.gather(
        *(identity.keys.create_key(by=operator, grant=grant, request=request) for grant in grants),
        return_exceptions=True,
    )
    made = [result for result in results if isinstance(result, tuple)]
    assert len({key.id for key, _ in made}) == 1
    assert all(isinstance(result, tuple | idempotency.IdempotencyKeyReused) for result in results)


async def test_an_owner_has_only_so_many_keys(identity: Identity, ada: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billfold.identity.service.keys.KEYS_MAX", 2)
    first = await a_key(identity, ada)
    await a_key(identity, ada)
    with pytest.raises(errors.TooManyApiKeys):
        await a_key(identity, ada)
    await identity.keys.revoke_key(by=None, key_id=UUID(first.id))
    await a_key(identity, ada)


async def test_an_expiry_in_the_past_creates_nothing(identity: Identity, database: Database, ada: Owner) -> None:
    with pytest.raises(errors.ApiKeyExpiryInPast):
        await a_key(identity, ada, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert (await identity.keys.list_keys(by=asking(ada))).items == []
    assert await told(database, ada) == []


async def test_creating_and_revoking_is_told_once_each(identity: Identity, database: Database, ada: Owner) -> None:
    creator = await a_key(identity, ada)
    key, _ = await identity.keys.create_key(
        by=principal(creator), grant=Grant(owner_id=UUID(ada.id), name="Told", scopes=frozenset({"wallets:read"}))
    )
    once = await identity.keys.revoke_key(by=principal(creator), key_id=UUID(key.id))
    twice = await identity.keys.revoke_key(by=principal(creator), key_id=UUID(key.id))
    assert once.revoked_at is not None
    assert twice.revoked_at == once.revoked_at
    events = await told(database, ada)
    assert [event["type"] for event in events] == ["api_key.created.v1", "api_key.created.v1", "api_key.revoked.v1"]
    assert [event["data"]["by"] for event in events] == [None, creator.id, creator.id]
    assert events[1]["subject"] == events[2]["subject"] == key.id


async def test_bootstrap_gives_a_key_with_every_scope_to_an_owner_of_that_name(identity: Identity) -> None:
    keys = [await identity.keys.bootstrap(owner_name="Sandbox") for _ in range(2)]
    found = [await identity.authenticate(key.encode()) for key in keys]
    assert [one.scopes for one in found] == [KEY_SCOPES, KEY_SCOPES]
    assert found[0].owner_id == found[1].owner_id
    assert found[0].is_operator
    assert found[0].credential_id != found[1].credential_id
    assert keys[0].startswith("bf_test_")


async def test_an_owner_has_one_name_and_a_name_one_owner(identity: Identity, ada: Owner) -> None:
    assert await identity.keys.find_owner(name=ada.name) == ada
    with pytest.raises(errors.OwnerExists):
        await identity.keys.create_owner(name=ada.name)
    with pytest.raises(errors.OwnerUnknown):
        await identity.keys.find_owner(name="Eve")


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


async def test_who_sees_everybodys_keys_revokes_none_of_them(identity: Identity, ada: Owner, bob: Owner) -> None:
    key = await a_key(identity, ada)
    looking = Principal(
        credential_id=ids.new(),
        owner_id=UUID(bob.id),
        scopes=frozenset({"keys:read", "keys:write", "everybody:read"}),
    )
    assert (await identity.keys.find_key(by=looking, key_id=UUID(key.id))).owner_id == ada.id
    assert key.id in {one.id for one in (await identity.keys.list_keys(by=looking)).items}
    with pytest.raises(errors.ApiKeyUnknown):
        await identity.keys.revoke_key(by=looking, key_id=UUID(key.id))
    assert (await identity.keys.find_key(by=None, key_id=UUID(key.id))).revoked_at is None
