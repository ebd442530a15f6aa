"""Puts the API together: plain handlers, lean routes, who may call what, and the edge around it all."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, Router
from litestar.handlers import HTTPRouteHandler
from litestar.plugins import PluginProtocol
from litestar.types import ASGIApp

from billfold.platform.telemetry.health import Check
from billfold.platform.web import authentication, docs, lean, openapi, plain
from billfold.platform.web.addresses import Addresses
from billfold.platform.web.cookies import Cookies
from billfold.platform.web.cors import Cors
from billfold.platform.web.edge import Edge
from billfold.platform.web.gate import NO_LIMITS, Gate, Limits
from billfold.platform.web.health import health_handlers
from billfold.platform.web.measuring import Requests
from billfold.platform.web.operations import PREFIX
from billfold.platform.web.policy import Scopes
from billfold.platform.web.problems import Problems
from billfold.platform.web.sockets import SocketRoute
from billfold.platform.web.witness import Witness


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one context adds to the API: its `rest.py` gives one of these."""

    #: Handlers of Litestar's with `opt=operation(...)`; see `operations` for what they can take.
    handlers: Sequence[HTTPRouteHandler] = ()
    routes: Sequence[lean.Route] = ()
    #: What stands at the root instead, below /.well-known/: public, without an operation, and as it is.
    at_root: Sequence[HTTPRouteHandler] = ()
    sockets: Sequence[SocketRoute] = ()
    #: What else they take by name, such as the context's facade.
    dependencies: Mapping[str, Any] = {}


def build(
    parts: Sequence[Part],
    *,
    authenticator: authentication.Authenticator,
    checks: Mapping[str, Check],
    requests: Requests,
    public_url: str,
    version: str,
    scopes: Scopes,
    limits: Limits = NO_LIMITS,
    addresses: Addresses | None = None,
    cors: Cors | None = None,
    hsts: bool = False,
    witness: Witness | None = None,
) -> ASGIApp:
    """The whole API as one ASGI application. `public_url` is where its callers find it, `scopes` what they can carry.

    Without `addresses` no proxy is trusted; without `cors` no page of another origin may call it; with `hsts` browsers
    are told to come by HTTPS alone from now on, also to the subdomains of that address. A `witness` keeps an audit.

    The document has every type that is read or written, so one that is wrong is found here and not by the first who
    sends it.

    Raises:
        TypeError: a body, a query or an answer has a type that is none for JSON.
        AssertionError: a route does not say who may call it, or asks for something that nobody gives.
    """
    public_url = public_url.rstrip("/")
    cookies = Cookies(https=public_url.startswith("https://"))
    gate = Gate(authenticator, limits, addresses or Addresses(), cookies, witness)
    problems = Problems(public_url + docs.ERRORS_PATH)
    routes = [route for part in parts for route in part.routes]
    dependencies = {name: value for part in parts for name, value in part.dependencies.items()}
    dependencies["cookies"] = cookies
    handlers = [
        *(plain.served(handler, gate, dependencies, scopes) for part in parts for handler in part.handlers),
        *(plain.standing_for(route, gate, scopes) for route in routes),
    ]
    document = openapi.Document(
        handlers, problems, prefix=PREFIX, public_url=public_url, version=version, scopes=scopes
    ).encoded()
    api = Router(PREFIX, route_handlers=[*plain.options_of(handlers), *handlers])
    app = _Litestar(
        [
            api,
            *(handler for part in parts for handler in part.at_root),
            *health_handlers(checks),
            *docs.handlers(document, prefix=PREFIX),
        ],
        openapi_config=None,
        logging_config=None,
        exception_handlers={Exception: _out_of_litestar},
        # Bodies are read by `decoding`, which knows each operation's own limit.
        request_max_body_size=None,
    )
    return Edge(
        app,
        routes=lean.Table(routes, prefix=PREFIX),
        gate=gate,
        problems=problems,
        requests=requests,
        cors=cors,
        hsts=hsts,
        sockets=[socket for part in parts for socket in part.sockets],
    )


class _Litestar(Litestar):
    """Without its plugins for other libraries' models: they import all of pydantic wherever that is installed."""

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return plugins


def _out_of_litestar(_request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Errors are answered at the edge, and nowhere else."""
    raise error
