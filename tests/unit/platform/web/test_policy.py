"""Who may call what. An operation that does not say so, or says what nobody knows, never gets to serve."""

from typing import Any

import pytest
from litestar import get

from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.platform import web
from billfold.platform.web import Answer, Call, Route
from billfold.platform.web.measuring import Requests
from tests.unit.platform.web.example import GOOD, Client, Known

SCOPES = web.Scopes(
    every=frozenset({"things:read", "things:burn", "people:write"}), personal=frozenset({"people:write"})
)


def handler(**operation: Any) -> web.Part:
    @get("/things", opt=web.operation(summary="List things", tag="Things", **operation))
    async def things() -> dict[str, str]:
        return {"seen": "yes"}

    return web.Part(handlers=[things])


def without_operation() -> web.Part:
    @get("/things")
    async def things() -> dict[str, str]:
        return {}

    return web.Part(handlers=[things])


def route(scope: Any, **more: Any) -> web.Part:
    async def things(_call: Call) -> Answer:
        return Answer({"seen": "yes"})

    operation = web.Operation(summary="List things", tag="Things", scope=scope, **more)
    return web.Part(
        routes=[Route(method="GET", path="/things", handler=things, answer=dict[str, str], operation=operation)]
    )


class Caller(Known):
    """Knows one caller."""

    def __init__(self, *scopes: str, is_session: bool = False) -> None:
        self._principal = Principal(
            credential_id=ids.new(),
            owner_id=ids.new(),
            scopes=frozenset(scopes),
            user_id=ids.new(),
            is_session=is_session,
        )

    def remembered(self, token: bytes) -> Principal | None:
        return self._principal if token == GOOD else None


def client(part: web.Part, authenticator: Known | None = None) -> Client:
    app = web.build(
        [part],
        authenticator=authenticator or Known(),
        checks={},
        requests=Requests(),
        public_url="http://api.test",
        version="0",
        scopes=SCOPES,
    )
    return Client(app=app)


async def status(part: web.Part, authenticator: Known, token: bytes | None = GOOD) -> tuple[int, str | None]:
    reply = await client(part, authenticator).call("GET", "/api/v1/things", token=token)
    return reply.status, reply.json.get("code")


@pytest.mark.parametrize("scope", ["things:write", "", None, "anybody"])
@pytest.mark.parametrize("part", [lambda scope: handler(scope=scope), route], ids=["plain", "lean"])
def test_a_route_with_a_scope_that_nobody_knows_does_not_start(part: Any, scope: Any) -> None:
    with pytest.raises(AssertionError, match=r"/things.* has the scope"):
        client(part(scope))


def test_a_route_that_does_not_say_who_may_call_it_does_not_start() -> None:
    with pytest.raises(AssertionError, match="has no opt=operation"):
        client(without_operation())
    with pytest.raises(TypeError, match="scope"):
        handler()


@pytest.mark.parametrize("scope", [web.Access.ANYBODY, web.Access.CALLER, "people:write"])
def test_where_money_moves_fast_there_is_a_scope_that_keys_can_have(scope: Any) -> None:
    with pytest.raises(AssertionError):
        client(route(scope))


async def test_what_is_for_anybody_takes_no_credentials() -> None:
    part = handler(scope=web.Access.ANYBODY)
    assert await status(part, Caller(), token=None) == (200, None)
    assert await status(part, Caller(), token=b"bf_test_bad") == (200, None)


async def test_what_is_for_any_caller_takes_valid_credentials_and_no_scope() -> None:
    part = handler(scope=web.Access.CALLER)
    assert await status(part, Caller()) == (200, None)
    assert await status(part, Caller(), token=None) == (401, "unauthorized")


async def test_what_takes_several_scopes_is_refused_without_one_of_them() -> None:
    for part in (handler(scope="things:read", also=("things:burn",)), route("things:read", also=("things:burn",))):
        assert await status(part, Caller("things:read", "things:burn")) == (200, None)
        assert await status(part, Caller("things:read")) == (403, "missing_scope")
        assert await status(part, Caller("things:burn")) == (403, "missing_scope")


async def test_what_takes_one_of_several_scopes_is_refused_without_any_of_them() -> None:
    part = handler(scope="things:read", instead=("people:write",), also=("things:burn",))
    assert await status(part, Caller("things:read", "things:burn")) == (200, None)
    assert await status(part, Caller("people:write", "things:burn", is_session=True)) == (200, None)
    assert await status(part, Caller("people:write", "things:burn")) == (403, "session_needed")
    for lacking in ((), ("things:burn",), ("things:read", "people:write")):
        assert await status(part, Caller(*lacking, is_session=True)) == (403, "missing_scope")
    with pytest.raises(AssertionError, match="several ways"):
        client(route("things:read", instead=("things:burn",)))


@pytest.mark.parametrize(
    "more", [{"also": ("things:bury",)}, {"instead": ("things:bury",)}, {"everybody": "things:bury"}]
)
def test_no_scope_of_an_operation_is_unknown(more: Any) -> None:
    for part in (handler(scope="things:read", **more), route("things:read", **more)):
        with pytest.raises(AssertionError, match="has the scope 'things:bury'"):
            client(part)


async def test_what_takes_a_person_is_refused_to_a_key_whatever_it_carries() -> None:
    part = handler(scope="people:write")
    assert await status(part, Caller("people:write", is_session=True)) == (200, None)
    assert await status(part, Caller("people:write")) == (403, "session_needed")
    assert await status(part, Caller(is_session=True)) == (403, "missing_scope")


@pytest.mark.parametrize(
    ("scope", "security", "codes"),
    [
        (web.Access.ANYBODY, [], set()),
        (web.Access.CALLER, [{"api_key": []}], {"missing_scope"}),
        ("things:read", [{"api_key": ["things:read"]}], {"missing_scope"}),
        ("people:write", [{"api_key": ["people:write"]}], {"missing_scope", "session_needed"}),
    ],
)
async def test_the_document_tells_the_policy(scope: Any, security: Any, codes: set[str]) -> None:
    reply = await client(handler(scope=scope)).call("GET", "/api/v1/openapi.json", token=None)
    operation = reply.json["paths"]["/api/v1/things"]["get"]
    assert operation["security"] == security
    told = operation["responses"].get("403", {"description": ""})["description"]
    assert {code for code in ("missing_scope", "session_needed") if code in told} == codes


async def test_the_document_tells_what_else_it_takes_and_what_reaches_everybodys_things() -> None:
    part = handler(scope="things:read", also=("things:burn",), everybody="things:burn")
    reply = await client(part).call("GET", "/api/v1/openapi.json", token=None)
    operation = reply.json["paths"]["/api/v1/things"]["get"]
    assert operation["security"] == [{"api_key": ["things:read", "things:burn"]}]
    assert operation["x-everybody"] == "things:burn"


async def test_the_document_tells_each_way_in() -> None:
    part = handler(scope="things:read", instead=("people:write",), also=("things:burn",))
    reply = await client(part).call("GET", "/api/v1/openapi.json", token=None)
    assert reply.json["paths"]["/api/v1/things"]["get"]["security"] == [
        {"api_key": ["things:read", "things:burn"]},
        {"api_key": ["people:write", "things:burn"]},
    ]
