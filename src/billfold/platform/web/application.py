"""Puts the API together: plain handlers, lean routes, who may call what, and the edge around it all."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, Router
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.enums import HttpMethod
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, ControllerRouterHandler, Guard

from billfold.kernel.principal import Principal
from billfold.platform.telemetry.health import Check
from billfold.platform.web import authentication, decoding, docs, lean, openapi, operations
from billfold.platform.web.edge import Edge
from billfold.platform.web.health import health_handlers
from billfold.platform.web.measuring import Requests
from billfold.platform.web.problems import Problems

#: Every path of the API begins with it; what changes incompatibly gets another number.
PREFIX = "/api/v1"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one context adds to the API: its `rest.py` gives one of these."""

    handlers: Sequence[ControllerRouterHandler] = ()
    routes: Sequence[lean.Route] = ()
    #: What the handlers take by name, such as the context's facade.
    dependencies: Mapping[str, Any] = {}


def build(
    parts: Sequence[Part],
    *,
    authenticator: authentication.Authenticator,
    checks: Mapping[str, Check],
    requests: Requests,
    public_url: str,
    version: str,
) -> ASGIApp:
    """The whole API as one ASGI application. `public_url` is where its callers find it."""
    public_url = public_url.rstrip("/")
    problems = Problems(public_url + docs.ERRORS_PATH)
    routes = [route for part in parts for route in part.routes]
    provided = {
        "principal": Provide(_principal, sync_to_thread=False),
        "key": Provide(_key, sync_to_thread=False),
        "command": Provide(_command),
        "parameters": Provide(_parameters, sync_to_thread=False),
        "authenticator": _given(authenticator),
    }
    given = {name: _given(value) for part in parts for name, value in part.dependencies.items()}
    document = openapi.Document(problems, prefix=PREFIX, public_url=public_url, version=version)
    plain = [handler for part in parts for handler in part.handlers]
    api = Router(
        PREFIX,
        route_handlers=[*plain, *map(_registered, routes), docs.document_handler(document)],
        guards=[_guard(authenticator)],
        dependencies=provided | given,
    )
    app = Litestar(
        [api, *health_handlers(checks), *docs.handlers(prefix=PREFIX)],
        openapi_config=None,
        logging_config=None,
        exception_handlers={Exception: _out_of_litestar},
        # Bodies are read by `decoding`, which knows each operation's own limit.
        request_max_body_size=None,
    )
    _check(app)
    return Edge(
        app,
        routes=lean.Table(routes, prefix=PREFIX),
        authenticator=authenticator,
        problems=problems,
        requests=requests,
        https=public_url.startswith("https://"),
    )


def _registered(route: lean.Route) -> HTTPRouteHandler:
    """The lean route as a plain handler: Litestar then knows its path and methods, and can serve it too."""

    async def serve(request: Request[Any, Any, Any], authenticator: Any) -> Response[bytes]:
        status, headers, body = await lean.answer(
            route,
            headers=_headers(request),
            query_string=request.scope["query_string"],
            receive=request.receive,
            path=request.path_params,
            authenticator=authenticator,
        )
        # Litestar writes type and length on its own.
        extra = {name.decode(): value.decode() for name, value in headers[lean.OWN_HEADERS :]}
        return Response(body, status_code=status, headers=extra, media_type="application/json")

    handler = HTTPRouteHandler(
        route.path.replace("}", ":str}"),
        http_method=[HttpMethod(route.method)],
        status_code=route.status,
        opt={operations.OPT: route.operation, lean.OPT: route},
    )
    return handler(serve)


def _guard(authenticator: authentication.Authenticator) -> Guard:
    """Lets in whom the operation is for, and nobody where nothing is said."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        operation = operations.of(handler)
        if operation is None or lean.OPT in handler.opt:
            # Litestar's own answer to OPTIONS (`_check` sees that there is nothing else), or a lean route, which
            # does all this itself.
            return
        if operation.scope is not None:
            principal = await authentication.principal_of(_headers(connection), authenticator)
            principal.require(operation.scope)
            connection.scope["user"] = principal
        if "parameters" not in handler.parsed_fn_signature.parameters:
            decoding.query(connection.scope["query_string"], None)

    return guard


def _principal(request: Request[Any, Any, Any]) -> Principal:
    principal = request.scope["user"]
    assert isinstance(principal, Principal), "an operation for everybody has no principal"
    return principal


def _key(request: Request[Any, Any, Any]) -> str:
    return lean.header_key(_headers(request))


async def _command(request: Request[Any, Any, Any]) -> Any:
    form = request.route_handler.parsed_fn_signature.parameters["command"].annotation
    return decoding.body(await decoding.read(request.receive, _headers(request)), form)


def _parameters(request: Request[Any, Any, Any]) -> Any:
    form = request.route_handler.parsed_fn_signature.parameters["parameters"].annotation
    return decoding.query(request.scope["query_string"], form)


def _headers(connection: ASGIConnection[Any, Any, Any, Any]) -> Mapping[bytes, bytes]:
    return dict(connection.scope["headers"])


def _given(value: Any) -> Provide:
    def give() -> Any:
        return value

    return Provide(give, sync_to_thread=False)


def _out_of_litestar(_request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Errors are answered at the edge, and nowhere else."""
    raise error


def _check(app: Litestar) -> None:
    """Access is denied by default: a handler of the API that does not say who may call it is a mistake of ours."""
    for route in app.routes:
        if isinstance(route, HTTPRoute) and route.path.startswith(PREFIX):
            for handler in route.route_handlers:
                assert operations.of(handler) or handler.http_methods == {"OPTIONS"}, f"{route.path}: opt=operation(…)"
