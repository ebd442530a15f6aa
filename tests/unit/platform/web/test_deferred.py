"""A request that is accepted and waits: both kinds of routes answer alike, and the document says so."""

from typing import Any

import msgspec
import pytest
from litestar import post
from structlog.testing import capture_logs

from billfold.kernel.deferred import Deferred
from billfold.platform import web
from billfold.platform.web import Answer, Call, Route
from tests.unit.platform.web.example import NewThing, Thing
from tests.unit.platform.web.test_policy import Caller, client

BODY = {"name": "cup", "price": {"amount": "1.00", "asset": "USD"}}


class Wait(msgspec.Struct, frozen=True):
    """What a request waits for."""

    until: str


def later() -> Deferred:
    return Deferred(Wait("tomorrow"), path="/waits/1")


def plain(defers: Any) -> web.Part:
    @post("/things", opt=web.operation(summary="Make a thing", tag="Things", scope="things:read", defers=defers))
    async def make(command: NewThing) -> Thing:
        assert command.name
        raise later()

    return web.Part(handlers=[make])


def lean(defers: Any) -> web.Part:
    async def make(_call: Call) -> Answer:
        raise later()

    operation = web.Operation(summary="Make a thing", tag="Things", scope="things:read", defers=defers)
    return web.Part(
        routes=[
            Route(
                method="POST",
                path="/things",
                handler=make,
                command=NewThing,
                answer=Thing,
                status=201,
                operation=operation,
            )
        ]
    )


@pytest.mark.parametrize("part", [plain, lean])
@pytest.mark.parametrize("path", ["/api/v1/things", "/api/v1/things/"])
async def test_what_waits_is_answered_202_with_where_to_look(part: Any, path: str) -> None:
    reply = await client(part(Wait), Caller("things:read")).post(path, BODY)
    assert (reply.status, reply.json) == (202, {"until": "tomorrow"})
    assert reply.headers["location"] == "/api/v1/waits/1"
    assert reply.headers["content-type"] == "application/json"


@pytest.mark.parametrize("part", [plain, lean])
async def test_the_document_shows_it(part: Any) -> None:
    document = (await client(part(Wait)).call("GET", "/api/v1/openapi.json", token=None)).json
    waits = document["paths"]["/api/v1/things"]["post"]["responses"]["202"]
    assert waits["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Wait"}
    assert "Location" in waits["headers"]


@pytest.mark.parametrize("part", [plain, lean])
async def test_an_operation_that_does_not_say_so_never_waits(part: Any) -> None:
    with capture_logs():
        reply = await client(part(None), Caller("things:read")).post("/api/v1/things", BODY)
    assert (reply.status, reply.json["code"]) == (500, "internal_error")


def preferring() -> web.Part:
    async def make(call: Call) -> Answer:
        assert call.preferences.wait_s in (None, 3)
        return Answer(Wait("later"), status=202) if call.preferences.respond_async else Answer({})

    operation = web.Operation(
        summary="Make a thing", tag="Things", scope="things:read", responds_async=Wait, answers_async={"until": "later"}
    )
    route = Route(
        method="POST", path="/things", handler=make, command=NewThing, answer=Thing, prefers=True, operation=operation
    )
    return web.Part(routes=[route])


@pytest.mark.parametrize("path", ["/api/v1/things", "/api/v1/things/"])
async def test_what_a_caller_prefers_reaches_a_route_that_can_do_so(path: str) -> None:
    api = client(preferring(), Caller("things:read"))
    assert (await api.post(path, BODY)).status == 200
    assert (await api.post(path, BODY, prefer="respond-async, wait=3")).status == 202


async def test_the_document_shows_what_can_be_preferred_and_what_is_answered_then() -> None:
    document = (await client(preferring()).call("GET", "/api/v1/openapi.json", token=None)).json
    operation = document["paths"]["/api/v1/things"]["post"]
    assert [one["name"] for one in operation["parameters"]] == ["Prefer"]
    accepted = operation["responses"]["202"]
    assert accepted["content"]["application/json"] == {
        "schema": {"$ref": "#/components/schemas/Wait"},
        "example": {"until": "later"},
    }
    assert {"Location", "Preference-Applied"} <= set(accepted["headers"])
