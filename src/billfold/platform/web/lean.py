"""Routes without a framework's cost per request, for the calls on which money moves: decode, call the facade, encode.

A lean route is registered with Litestar as well (see `application`), which serves it where this fast way does not
match: an odd spelling of the path, HEAD, OPTIONS. Routes that are not hot are plain Litestar handlers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from uuid import UUID

import msgspec

from billfold.kernel import idempotency, ids
from billfold.kernel.deferred import Deferred
from billfold.kernel.principal import Principal
from billfold.platform.messaging.notary import RefusedPart
from billfold.platform.web import decoding, prefer
from billfold.platform.web.gate import Gate
from billfold.platform.web.operations import PREFIX, Operation

#: How many headers an answer begins with that every answer has: its type and its length.
OWN_HEADERS = 2

_encode = msgspec.json.Encoder().encode
_JSON = (b"content-type", b"application/json")
_REPLAYED = (b"idempotency-replayed", b"true")
_NOTHING: Mapping[str, str] = {}


class Call(msgspec.Struct, gc=False):
    """One request, understood and allowed."""

    principal: Principal
    #: The decoded body, of the route's `command` type.
    command: Any
    #: The decoded query string, of the route's `parameters` type.
    parameters: Any
    #: The Idempotency-Key, where the route wants one; otherwise empty.
    key: str
    #: The text that stands for the path's parameter.
    path: Mapping[str, str]
    #: The Step-Up header, where the route takes one and it was sent: what its caller has approved.
    step_up: UUID | None = None
    #: What the caller would like, where the route can do so.
    preferences: prefer.Preferences = prefer.NONE


class Answer(msgspec.Struct, gc=False):
    """What to send: `body` is anything that msgspec can write as JSON."""

    body: Any
    #: Whether it repeats the answer of an earlier request with the same key.
    replayed: bool = False
    status: int | None = None
    headers: Sequence[tuple[bytes, bytes]] = ()
    #: Parts of the request that were refused while it is answered, for the audit.
    refused: Iterable[RefusedPart] | None = None


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A method of a path, what it takes and gives, and who does it.

    The path has at most one parameter, `{name}`, which stands alone between slashes.
    """

    method: str
    path: str
    operation: Operation
    handler: Callable[[Call], Awaitable[Answer]]
    #: The type of the answer's body.
    answer: Any
    #: The type of the JSON body; None where there is none.
    command: Any = None
    #: The struct of the query parameters; None where there are none.
    parameters: type[msgspec.Struct] | None = None
    #: Whether it changes something, so that it needs an Idempotency-Key.
    idempotent: bool = False
    #: Whether it may need its caller's approval, named by the header Step-Up.
    stepped_up: bool = False
    #: Whether it does what its caller prefers: to be answered before it is done.
    prefers: bool = False
    status: int = 200
    body_max: int = decoding.BODY_MAX

    @property
    def scope(self) -> str:
        """What the caller's credentials must carry."""
        scope = self.operation.scope
        assert isinstance(scope, str), "a lean route has a scope"
        return scope


async def answer(
    route: Route,
    *,
    headers: Mapping[bytes, bytes],
    target: str,
    query_string: bytes,
    receive: decoding.Receive,
    path: Mapping[str, str],
    gate: Gate,
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Serve one request: status, headers and body of its answer.

    Raises:
        BillfoldError: it was refused.
    """
    principal = await gate.caller(headers, route.method)
    principal.require(route.scope)
    for scope in route.operation.also:
        principal.require(scope)
    look = gate.looking(principal, route.operation, method=route.method)
    parameters = decoding.query(query_string, route.parameters)
    key = header_key(headers) if route.idempotent else ""
    step_up = header_step_up(headers) if route.stepped_up else None
    preferences = prefer.parse(headers.get(b"prefer")) if route.prefers else prefer.NONE
    command = None
    if route.command is not None:
        command = decoding.body(await decoding.read(receive, headers, body_max=route.body_max), route.command)
    try:
        result = await route.handler(Call(principal, command, parameters, key, path, step_up, preferences))
    except Deferred as deferred:
        result = accepted(deferred, route.operation)
    if look is not None:
        await gate.looked(look, route.operation, path=target, query=query_string)
    if result.refused is not None:
        await gate.tell_refused_parts(result.refused, method=route.method, route=PREFIX + route.path, path=target)
    body = _encode(result.body)
    sent = [_JSON, (b"content-length", b"%d" % len(body)), *result.headers]
    if result.replayed:
        sent.append(_REPLAYED)
    return result.status or route.status, sent, body


def accepted(deferred: Deferred, operation: Operation) -> Answer:
    """The answer to a request that waits for something."""
    assert operation.defers is not None, f"{operation.summary} does not say that it may have to wait"
    location = (b"location", f"{PREFIX}{deferred.path}".encode("ascii"))
    return Answer(deferred.waits_for, status=HTTPStatus.ACCEPTED, headers=(location,))


def header_key(headers: Mapping[bytes, bytes]) -> str:
    """The Idempotency-Key header.

    Raises:
        IdempotencyKeyMissing, InvalidIdempotencyKey.
    """
    value = headers.get(b"idempotency-key")
    if value is None:
        raise idempotency.IdempotencyKeyMissing
    # Two keys, which the edge has put together, have a space between them.
    if not (0 < len(value) <= idempotency.KEY_MAX and value.isascii()) or b" " in value:
        raise idempotency.InvalidIdempotencyKey
    return value.decode("ascii")


def header_step_up(headers: Mapping[bytes, bytes]) -> UUID | None:
    """The Step-Up header, if it was sent.

    Raises:
        InvalidId.
    """
    value = headers.get(b"step-up")
    return None if value is None else ids.parse(value.decode("latin-1"), pointer="Step-Up")


class Found(msgspec.Struct, frozen=True, gc=False):
    """A lean route, its whole path as a template, and the name of the path's parameter if it has one."""

    route: Route
    template: str
    parameter: str = ""


class Table:
    """Finds the lean route of a request by plain dictionary look-ups."""

    def __init__(self, routes: Sequence[Route], *, prefix: str) -> None:
        self._plain: dict[tuple[str, str], Found] = {}
        #: A path such as /transfers/{id}/reverse by its method and what stands before and after the parameter.
        self._shaped: dict[tuple[str, str, str], Found] = {}
        for route in routes:
            template = prefix + route.path
            before, _, rest = template.partition("{")
            name, _, after = rest.partition("}")
            if name:
                assert "{" not in after and after.count("/") <= 1, f"{template} has more than the fast way understands"
                self._shaped[route.method, before.rstrip("/"), after.strip("/")] = Found(route, template, name)
            else:
                self._plain[route.method, template] = Found(route, template)

    def find(self, method: str, path: str) -> tuple[Found, Mapping[str, str]] | None:
        """The route of this very spelling of the path, and the path's parameter."""
        plain = self._plain.get((method, path))
        if plain is not None:
            return plain, _NOTHING
        before, _, last = path.rpartition("/")
        found, value = self._shaped.get((method, before, "")), last
        if found is None:
            before, _, value = before.rpartition("/")
            found = self._shaped.get((method, before, last))
        return (found, {found.parameter: value}) if found is not None and value else None
