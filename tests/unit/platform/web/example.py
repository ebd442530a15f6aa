"""A small API around nothing: every mechanism of the edge, no context and no server."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, get, post
from litestar.types import ASGIApp
from msgspec import Meta

from billfold.kernel import errors, ids, paging
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.platform import web
from billfold.platform.telemetry.health import Check
from billfold.platform.web import Answer, Call, Route
from billfold.platform.web.addresses import Addresses
from billfold.platform.web.cors import Cors
from billfold.platform.web.errors import Unauthorized
from billfold.platform.web.gate import NO_LIMITS, Limits
from billfold.platform.web.measuring import Requests

GOOD = b"bf_test_good"
PRINCIPAL = Principal(
    credential_id=ids.new(), owner_id=ids.new(), scopes=frozenset({"things:read", "things:write", "money:write"})
)

#: The access token of a login.
LOGIN = b"eyJ.e30.c2ln"
PERSON = msgspec.structs.replace(PRINCIPAL, is_session=True, user_id=PRINCIPAL.owner_id)


SCOPES = web.Scopes(every=PRINCIPAL.scopes | {"things:burn"})


class TooHeavy(errors.Refusal):
    """The thing is too heavy."""

    code = "too_heavy"


class Gone(errors.Unavailable):
    """What we need is gone."""

    code = "gone"


class NewThing(msgspec.Struct, forbid_unknown_fields=True):
    """A thing to make."""

    name: Annotated[str, Meta(max_length=10, description="What it is called.", examples=["spoon"])]
    price: Money
    tags: Annotated[list[str], Meta(max_length=3)] = []
    notes: dict[str, Annotated[str, Meta(max_length=5)]] = {}
    weight: int = 0


class Thing(msgspec.Struct):
    """A thing."""

    name: str
    price: Money


class ThingList(msgspec.Struct):
    """Which things."""

    limit: Annotated[int, Meta(ge=1, le=100, description="How many at most.")] = 25
    colour: list[str] = []
    shape: Literal["round", "flat"] | None = None
    maker: Annotated[str, Meta(description="Who has made it.")] | None = None


class Known:
    """Knows one API key and one login."""

    def remembered(self, token: bytes) -> Principal | None:
        return {GOOD: PRINCIPAL, LOGIN: PERSON}.get(token)

    async def authenticate(self, token: bytes) -> Principal:
        raise Unauthorized(f"{len(token)} bytes that are nobody's.")


class Shelf:
    """What a facade is elsewhere."""

    #: Raised by the next call.
    fails_with: BaseException | None = None

    def make(self, new: NewThing) -> Thing:
        if self.fails_with is not None:
            raise self.fails_with
        return Thing(new.name, new.price)


@get("/things", opt=web.operation(summary="List things", tag="Things", scope="things:read", answers={"items": []}))
async def list_things(parameters: ThingList, shelf: Shelf) -> paging.Page[Thing]:
    thing = shelf.make(NewThing("cup", Money("1.00", "USD")))
    return paging.Page(items=[thing] * parameters.limit)


@post(
    "/things",
    opt=web.operation(
        summary="Make a thing",
        tag="Things",
        scope="things:write",
        errors=(TooHeavy,),
        sends={"name": "spoon"},
        answers={},
    ),
)
async def make_thing(command: NewThing, key: str, principal: Principal, shelf: Shelf) -> Thing:
    assert key
    assert principal in (PRINCIPAL, PERSON)
    return shelf.make(command)


@get("/things/{thing_id:str}", opt=web.operation(summary="Show a thing", tag="Things", scope="things:burn", answers={}))
async def show_thing(thing_id: str) -> Thing:
    return Thing(thing_id, Money("1.00", "USD"))


@get(
    "/motd",
    opt=web.operation(summary="Read the news", tag="News", scope=web.Access.ANYBODY, media_types=("text/plain",)),
)
async def news() -> Response[bytes]:
    return Response(b"none", media_type="text/plain")


def part(shelf: Shelf) -> web.Part:
    async def pay(call: Call) -> Answer:
        return Answer(shelf.make(call.command), replayed=call.key == "again")

    async def pay_for(call: Call) -> Answer:
        return Answer({**call.path, "key": call.key})

    operation = web.Operation(summary="Pay", tag="Money", scope="money:write", errors=(TooHeavy,), sends={}, answers={})
    return web.Part(
        handlers=[list_things, make_thing, show_thing, news],
        routes=[
            Route(
                method="POST", path="/payments", handler=pay, command=NewThing, answer=Thing, idempotent=True,
                status=201, body_max=1000, operation=operation,
            ),
            Route(
                method="POST", path="/things/{thing_id}/pay", handler=pay_for, answer=dict[str, str], idempotent=True,
                operation=msgspec.structs.replace(operation, summary="Pay for a thing"),
            ),
            Route(
                method="GET", path="/payments", handler=pay_for, answer=dict[str, str], parameters=ThingList,
                operation=msgspec.structs.replace(operation, summary="List payments"),
            ),
        ],
        dependencies={"shelf": shelf},
    )  # fmt: skip


@dataclass
class Reply:
    """An answer, as it went out."""

    status: int
    headers: dict[str, str]
    body: bytes
    sent: list[dict[str, Any]] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Calls the application as a server would, without one."""

    def __init__(
        self,
        *,
        public_url: str = "http://api.test",
        limits: Limits = NO_LIMITS,
        addresses: Addresses | None = None,
        cors: Cors | None = None,
        hsts: bool = False,
        checks: dict[str, Check] | None = None,
        app: ASGIApp | None = None,
    ) -> None:
        self.shelf = Shelf()
        self.requests = Requests()
        self.app: ASGIApp = app or web.build(
            [part(self.shelf)],
            authenticator=Known(),
            checks=checks or {},
            requests=self.requests,
            public_url=public_url,
            version="1.2.3",
            scopes=SCOPES,
            limits=limits,
            addresses=addresses,
            cors=cors,
            hsts=hsts,
        )

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        pieces: list[bytes] | None = None,
        query: bytes = b"",
        token: bytes | None = GOOD,
        more_headers: Sequence[tuple[bytes, bytes]] = (),
        address: str = "192.0.2.1",
        **headers: str,
    ) -> Reply:
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        raw += more_headers
        if token is not None:
            raw.append((b"authorization", b"Bearer " + token))
        scope: Any = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query,
            "headers": raw, "root_path": "", "scheme": "http", "server": ("api.test", 80), "client": (address, 9),
        }  # fmt: skip
        waiting = [*(pieces if pieces is not None else [body or b""])]
        sent: list[Any] = []

        async def receive() -> Any:
            if not waiting:
                return {"type": "http.disconnect"}
            piece = waiting.pop(0)
            # An empty piece is the last one.
            return {"type": "http.request", "body": piece, "more_body": pieces is not None and piece != b""}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        if not sent:
            return Reply(0, {}, b"")
        headers_sent = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], headers_sent, b"".join(message.get("body", b"") for message in sent[1:]), sent)

    async def post(self, path: str, body: object, *, key: str | None = "k1", **more: Any) -> Reply:
        """A POST of JSON; bytes go as they are."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content_type": "application/json", **({"idempotency_key": key} if key is not None else {}), **more}
        return await self.call("POST", path, body=raw, **headers)
