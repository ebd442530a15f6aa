"""Plain Litestar handlers, given what they ask for by name, always in the same order.

It is done here and not by Litestar's dependency injection, because that runs every dependency as a task of its own:
which of two errors a request meets is then a matter of chance, and the tasks are paid for by every request.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from litestar import Request, Response
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from billfold.kernel.deferred import Deferred
from billfold.platform.web import decoding, lean, operations, prefer
from billfold.platform.web.gate import Gate
from billfold.platform.web.policy import Access, Scopes

_encode = msgspec.json.Encoder().encode


def served(handler: HTTPRouteHandler, gate: Gate, dependencies: Mapping[str, Any], scopes: Scopes) -> HTTPRouteHandler:
    """A handler that checks who sends a request, calls `handler` with its arguments, and writes its answer."""
    operation = operations.of(handler)
    # Access is denied by default: an operation that does not say who may call it is a mistake of ours.
    assert operation is not None, f"{handler.paths} has no opt=operation(…)"
    scopes.check((*operation.policies, operation.everybody or Access.CALLER), where=str(handler.paths))
    shape = _shape(handler)
    names = _arguments(handler, dependencies)
    makes: Mapping[str, Callable[[Any, Any], Any]] = {
        "client": lambda scope, _: gate.client(scope),
        "again": lambda _, headers: partial(gate.again, headers),
    }

    async def serve(request: Request[Any, Any, Any]) -> Response[Any]:
        headers = dict(request.scope["headers"])
        given: dict[str, Any] = {"request": request, **request.path_params}
        look, query = None, request.scope["query_string"]
        if operation.scope is not Access.ANYBODY:
            principal = given["principal"] = await gate.caller(headers, request.method)
            scopes.allow(principal, operation.ways)
            look = gate.looking(principal, operation, method=request.method)
        given["parameters"] = decoding.query(query, shape.parameters, is_open=operation.open_query)
        given |= _of_headers(shape, headers)
        if shape.command is not None:
            given["command"] = decoding.body(await decoding.read(request.receive, headers), shape.command)
        # What is asked for seldom is made when it is.
        given |= {name: make(request.scope, headers) for name, make in makes.items() if name in names}
        given |= dependencies
        try:
            answer = await fn(**{name: given[name] for name in names})
        except Deferred as deferred:
            return _accepted(deferred, operation)
        await gate.looked(look, operation, path=request.scope["path"], query=query)
        if isinstance(answer, Response):
            return answer
        return Response(_encode(answer), status_code=handler.status_code, media_type="application/json")

    fn: Callable[..., Awaitable[Any]] = handler.fn
    if handler.status_code == HTTPStatus.NO_CONTENT:
        # Litestar wants to be told that there is no body.
        serve.__annotations__["return"] = Response[None]
    return HTTPRouteHandler(
        sorted(handler.paths),
        http_method=[HttpMethod(method) for method in handler.http_methods],
        status_code=handler.status_code,
        opt={**handler.opt, operations.SHAPE: shape},
    )(serve)


def _of_headers(shape: operations.Shape, headers: Mapping[bytes, bytes]) -> Mapping[str, Any]:
    """What a handler takes of the headers, by its name for it."""
    given: dict[str, Any] = {}
    if shape.idempotent:
        given["key"] = lean.header_key(headers)
    if shape.stepped_up:
        given["step_up"] = lean.header_step_up(headers)
    if shape.prefers:
        given["preferences"] = prefer.parse(headers.get(b"prefer"))
    return given


def _accepted(deferred: Deferred, operation: operations.Operation) -> Response[bytes]:
    answer = lean.accepted(deferred, operation)
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(_encode(answer.body), status_code=answer.status, headers=headers, media_type="application/json")


def standing_for(route: lean.Route, gate: Gate, scopes: Scopes) -> HTTPRouteHandler:
    """The lean route as a plain handler: Litestar then knows its path and methods, and can serve it too."""
    operation = route.operation
    scopes.check((*operation.policies, operation.everybody or Access.CALLER), where=f"{route.method} {route.path}")
    # The fast way asks for scopes and no more.
    assert isinstance(operation.scope, str), f"{route.path} is for more than a lean route can tell apart"
    assert not operation.instead, f"{route.path} can be called in several ways, so it is a plain route"
    assert scopes.personal.isdisjoint(operation.policies), f"{route.path} takes a person, so it is a plain route"

    async def serve(request: Request[Any, Any, Any]) -> Response[bytes]:
        status, headers, body = await lean.answer(
            route,
            headers=dict(request.scope["headers"]),
            target=request.scope["path"],
            query_string=request.scope["query_string"],
            receive=request.receive,
            path=request.path_params,
            gate=gate,
        )
        # Litestar writes type and length on its own.
        extra = {name.decode(): value.decode() for name, value in headers[lean.OWN_HEADERS :]}
        return Response(body, status_code=status, headers=extra, media_type="application/json")

    shape = operations.Shape(
        status=route.status,
        command=route.command,
        parameters=route.parameters,
        answer=route.answer,
        idempotent=route.idempotent,
        stepped_up=route.stepped_up,
        prefers=route.prefers,
    )
    return HTTPRouteHandler(
        route.path.replace("}", ":str}"),
        http_method=[HttpMethod(route.method)],
        status_code=route.status,
        opt={operations.OPT: route.operation, operations.SHAPE: shape},
    )(serve)


def options_of(handlers: Sequence[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """Answers to OPTIONS, which name the methods of each path. Litestar's own know one handler of a path alone."""
    methods: defaultdict[str, set[str]] = defaultdict(set)
    for handler in handlers:
        for path in handler.paths:
            methods[path] |= handler.http_methods
    return [_options(path, allowed(found)) for path, found in methods.items()]


def allowed(methods: Collection[str]) -> str:
    """The Allow header of a path with handlers for `methods`: what has a GET has a HEAD, and everything has OPTIONS."""
    more = {"HEAD", "OPTIONS"} if "GET" in methods else {"OPTIONS"}
    return ", ".join(sorted({*methods, *more}))


def _options(path: str, allow: str) -> HTTPRouteHandler:
    async def options() -> Response[None]:
        return Response(None, status_code=204, headers={"Allow": allow})

    return HTTPRouteHandler(path, http_method=[HttpMethod.OPTIONS], status_code=204)(options)


def _arguments(handler: HTTPRouteHandler, dependencies: Mapping[str, Any]) -> list[str]:
    names = [name for name in get_type_hints(handler.fn) if name != "return"]
    in_paths = {name.partition(":")[0] for path in handler.paths for name in operations.PARAMETER.findall(path)}
    for name in names:
        known = name in operations.NAMES or name in in_paths or name in dependencies
        assert known, f"{handler.paths}: there is nothing to give as {name}"
    return names


def _shape(handler: HTTPRouteHandler) -> operations.Shape:
    takes = get_type_hints(handler.fn)
    answer = takes["return"]
    if get_origin(answer) is Response:
        answer = get_args(answer)[0]
    untyped = isinstance(answer, type) and issubclass(answer, (Response, bytes, type(None)))
    return operations.Shape(
        status=handler.status_code,
        command=takes.get("command"),
        parameters=takes.get("parameters"),
        answer=None if untyped or answer in (Any, type(None)) else answer,
        idempotent="key" in takes,
        stepped_up="step_up" in takes,
        prefers="preferences" in takes,
    )
