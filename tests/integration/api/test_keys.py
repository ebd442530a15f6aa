"""API keys over HTTP, as their callers see them."""

import time
from uuid import UUID

import pytest

from billfold.identity.contracts import ALL_SCOPES, KEY_SCOPES, STAFF, Grant
from billfold.kernel import ids
from billfold.platform.postgres.database import Database
from billfold.wallets.contracts import ORDER_SCOPES
from tests import facades, servers
from tests.integration.api.support import ApiServer, Caller

NOT_OPERATOR = KEY_SCOPES - STAFF


@pytest.fixture(scope="module")
def operator(api_server: ApiServer, operator_key: str) -> Caller:
    return api_server.caller(operator_key)


async def key_of(
    database: servers.TestDatabase, *, scopes: frozenset[str] = NOT_OPERATOR, owner: str | None = None
) -> str:
    """A key of a new owner's, or of the given one's."""
    connected = await Database.connect(database.app_dsn, name="test")
    try:
        identity = facades.identity(connected)
        owner_id = owner or (await identity.keys.create_owner(name=str(ids.new()))).id
        key, _ = await identity.keys.create_key(
            by=None, grant=Grant(owner_id=UUID(owner_id), name="test", scopes=scopes, mode="live")
        )
    finally:
        await connected.close()
    assert key.key is not None
    return key.key


@pytest.fixture
async def ada(api_server: ApiServer, api_database: servers.TestDatabase) -> Caller:
    return api_server.caller(await key_of(api_database))


@pytest.fixture
async def bob(api_server: ApiServer, api_database: servers.TestDatabase) -> Caller:
    return api_server.caller(await key_of(api_database))


def test_a_key_is_created_used_and_revoked(api_server: ApiServer, ada: Caller) -> None:
    made = ada.post("/api-keys", {"name": "Reader", "scopes": ["wallets:read", "keys:read"]})
    assert made.status_code == 201
    body = made.json()
    assert body["key"].startswith("bf_live_")
    assert body["scopes"] == ["keys:read", "wallets:read"]
    reader = api_server.caller(body["key"])
    assert reader.get("/wallets").status_code == 200
    shown = reader.get(f"/api-keys/{body['id']}")
    assert "key" not in shown.json()
    assert body["key"] not in shown.text + reader.get("/api-keys").text
    assert reader.post("/wallets", {"name": "x"}).json()["code"] == "missing_scope"
    gone = ada.request("DELETE", f"/api-keys/{body['id']}")
    assert gone.json()["revoked_at"] is not None
    # The process that revokes a key forgets it at once.
    refused = reader.get("/wallets")
    assert (refused.status_code, refused.json()["detail"]) == (401, "This API key has been revoked.")
    assert ada.request("DELETE", f"/api-keys/{body['id']}").json() == gone.json()


async def test_a_key_that_another_process_revokes_is_refused_within_a_second(
    api_server: ApiServer, api_database: servers.TestDatabase
) -> None:
    text = await key_of(api_database)
    caller = api_server.caller(text)
    (key,) = caller.get("/api-keys").json()["items"]
    connected = await Database.connect(api_database.app_dsn, name="test")
    await facades.identity(connected).keys.revoke_key(by=None, key_id=UUID(key["id"]))
    revoked_at = time.monotonic()
    await connected.close()
    while True:
        asked_at = time.monotonic()
        if caller.get("/api-keys").status_code == 401:
            break
        assert asked_at < revoked_at + 1.0


def test_a_repeat_gives_the_same_key_without_its_text(ada: Caller) -> None:
    order = {"name": "Once", "scopes": ["wallets:read"]}
    first = ada.post("/api-keys", order, idempotency_key="once")
    again = ada.post("/api-keys", order, idempotency_key="once")
    assert (first.status_code, again.status_code) == (201, 201)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json() | {"key": None}
    other = ada.post("/api-keys", order | {"name": "Twice"}, idempotency_key="once")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_idempotency_keys_of_api_keys_and_of_money_are_apart(ada: Caller) -> None:
    order = {"name": "Once", "scopes": ["wallets:read"]}
    money = {"money": {"amount": "1.00", "asset": "USD"}}
    wallet = ada.post("/wallets", {"name": "A"}).json()["id"]
    assert ada.post(f"/wallets/{wallet}/deposits", money, idempotency_key="same").status_code == 201
    refused = ada.post("/api-keys", order | {"expires_at": "2020-01-01"}, idempotency_key="same")
    assert refused.json()["code"] == "api_key_expiry_in_past"
    # The refusal is not kept either.
    assert ada.post("/api-keys", order, idempotency_key="same").status_code == 201
    assert ada.post(f"/wallets/{wallet}/deposits", money, idempotency_key="same").headers["idempotency-replayed"]


def test_nobody_sees_or_ends_another_owners_keys(ada: Caller, bob: Caller, operator: Caller) -> None:
    (bobs,) = bob.get("/api-keys").json()["items"]
    assert bobs["id"] not in ada.get("/api-keys").text
    for method in ("GET", "DELETE"):
        hidden = ada.request(method, f"/api-keys/{bobs['id']}")
        missing = ada.request(method, f"/api-keys/{ids.new()}")
        assert (hidden.status_code, hidden.json()["code"]) == (404, "api_key_unknown")
        same = ("code", "title", "detail", "status", "errors")
        assert [hidden.json()[name] for name in same] == [missing.json()[name] for name in same]
    assert operator.get(f"/api-keys/{bobs['id']}").json()["id"] == bobs["id"]
    assert bob.get("/api-keys").status_code == 200


def test_a_list_is_followed_by_its_links(ada: Caller) -> None:
    made = [ada.post("/api-keys", {"name": str(number), "scopes": ["keys:read"]}).json()["id"] for number in range(4)]
    page = ada.get("/api-keys?limit=2").json()
    seen = []
    while True:
        seen += [key["id"] for key in page["items"]]
        if page["next"] is None:
            break
        page = ada.get(page["next"].removeprefix("/api/v1")).json()
    assert seen[:4] == made[::-1]
    assert len(seen) == 5


def test_a_key_hands_on_no_more_than_it_has(ada: Caller, bob: Caller, operator: Caller) -> None:
    too_much = ada.post("/api-keys", {"name": "x", "scopes": ["operator"]})
    assert (too_much.status_code, too_much.json()["code"]) == (403, "scope_not_yours")
    (bobs,) = bob.get("/api-keys").json()["items"]
    for_bob = {"name": "x", "scopes": ["wallets:read"], "owner_id": bobs["owner_id"]}
    assert ada.post("/api-keys", for_bob).json()["code"] == "owner_not_yours"
    assert operator.post("/api-keys", for_bob).json()["owner_id"] == bobs["owner_id"]


def test_a_key_that_ends_creates_none_that_ends_later(api_server: ApiServer, ada: Caller) -> None:
    order = {"name": "x", "scopes": ["keys:write"], "expires_at": "2199-01-01T00:00:00Z"}
    ending = api_server.caller(ada.post("/api-keys", order).json()["key"])
    for later in ({"expires_at": "2199-01-01T00:00:01Z"}, {"expires_at": None}):
        refused = ending.post("/api-keys", order | later)
        assert (refused.status_code, refused.json()["code"]) == (403, "expiry_not_yours")
        assert refused.json()["errors"][0]["pointer"] == "/expires_at"
    assert ending.post("/api-keys", order).status_code == 201


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ({"scopes": ["wallets:read"]}, 422, "missing_field", "/name"),
        ({"name": "", "scopes": ["wallets:read"]}, 422, "invalid_value", "/name"),
        ({"name": "n" * 101, "scopes": ["wallets:read"]}, 422, "invalid_value", "/name"),
        ({"name": "a\0b", "scopes": ["wallets:read"]}, 422, "invalid_value", "/name"),
        ({"name": "x", "scopes": []}, 422, "invalid_value", "/scopes"),
        ({"name": "x", "scopes": ["wallets:burn"]}, 422, "invalid_value", "/scopes/0"),
        ({"name": "x", "scopes": "wallets:read"}, 422, "wrong_type", "/scopes"),
        ({"name": "x", "scopes": ["keys:read"], "expires_at": "soon"}, 422, "invalid_instant", "/expires_at"),
        (
            {"name": "x", "scopes": ["keys:read"], "expires_at": "2020-01-01"},
            422,
            "api_key_expiry_in_past",
            "/expires_at",
        ),
        ({"name": "x", "scopes": ["keys:read"], "owner_id": "me"}, 422, "invalid_id", "/owner_id"),
        ({"name": "x", "scopes": ["keys:read"], "mode": "live"}, 422, "unknown_field", "/mode"),
    ],
)
def test_a_wrong_order_creates_nothing(
    ada: Caller, body: dict[str, object], status: int, code: str, pointer: str
) -> None:
    refused = ada.post("/api-keys", body)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert [fault["pointer"] for fault in refused.json()["errors"]] == [pointer]
    assert len(ada.get("/api-keys").json()["items"]) == 1


async def test_every_operation_wants_credentials_and_its_scope(
    api_server: ApiServer, api_database: servers.TestDatabase, operator_key: str
) -> None:
    document = api_server.caller(None).get("/openapi.json").json()
    weak = {
        scopes: api_server.caller(await key_of(api_database, scopes=KEY_SCOPES - scopes))
        for scopes in (*(frozenset({scope}) for scope in ALL_SCOPES), frozenset(ORDER_SCOPES.values()))
    }
    stranger = api_server.caller(None)
    tried = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if not any(needed["api_key"] for needed in operation["security"]):
                continue  # It is open to everybody, or to every caller: see test_authorization.
            # One will do of those that each way in begins with.
            scopes = frozenset(needed["api_key"][0] for needed in operation["security"])
            assert scopes <= ALL_SCOPES, f"{method} {path}"
            address = path.removeprefix("/api/v1").replace("{", "").replace("}", "")
            assert stranger.request(method.upper(), address).status_code == 401
            refused = weak[scopes].request(method.upper(), address)
            assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope"), f"{method} {path}"
            tried += 1
    assert tried > 20
