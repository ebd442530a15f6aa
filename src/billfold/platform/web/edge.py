"""The outermost layer: request ids, security headers, measuring, the fast way to lean routes, and the last resort.

Every request passes here and every answer leaves here, so whatever happens inside has a request id, is counted, and
never shows a stack trace.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from time import perf_counter
from typing import Any, cast

import structlog
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send, WebSocketScope

from billfold.kernel.errors import BillfoldError, Denied, InternalError
from billfold.platform.telemetry import logs, traces
from billfold.platform.web import decoding, errors, lean, plain, sockets, streaming
from billfold.platform.web.cors import Cors
from billfold.platform.web.gate import Gate
from billfold.platform.web.health import READY
from billfold.platform.web.measuring import Requests
from billfold.platform.web.operations import PREFIX
from billfold.platform.web.problems import Headers, Problems
from billfold.platform.web.sockets import Socket, SocketRoute

#: Slower answers are logged: a person waits by then.
SLOW_S = 1.0
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
#: A request's own id is this process's, drawn once, and a number: a UUID for each would be a tenth of its whole time.
_INSTANCE = secrets.token_hex(8).encode()
_numbers = itertools.count(1)
_UNMATCHED = "unmatched"
_SERVER_ERROR = 500

#: Nothing here is for other sites to frame, open, load or guess at, and no page of ours needs a camera. An answer is
#: data: a browser that shows it must run nothing of it, and keep nothing of it. What is meant for people to look at, or
#: for everybody to keep, says so itself: a header that an answer has by itself takes the place of ours.
API_HEADERS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
]
HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")

log = structlog.get_logger(__name__)


class Edge:
    """An ASGI application around the Litestar application `app`, whose own errors come out of it as they are."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: lean.Table,
        gate: Gate,
        problems: Problems,
        requests: Requests,
        cors: Cors | None = None,
        hsts: bool = False,
        sockets: Sequence[SocketRoute] = (),
    ) -> None:
        self._app = app
        self._sockets = {PREFIX + socket.path: socket for socket in sockets}
        self._routes = routes
        self._gate = gate
        self._problems = problems
        self._requests = requests
        self._cors = cors
        self._headers = [*API_HEADERS, HSTS] if hsts else API_HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of uvicorn's."""
        if scope["type"] == ScopeType.HTTP:
            await self._http(scope, receive, send)
        else:
            await self._socket(scope, receive, send)

    async def _socket(self, scope: WebSocketScope, receive: Receive, send: Send) -> None:
        headers = _headers_of(scope)
        await receive()  # That somebody wants to connect.
        # A connection lasts as long as its reader wants: what is measured and traced is how it came about.
        with traces.request("GET", headers.get(b"traceparent")) as span:
            route = await self._shaken(scope, headers, send, span)
        if route is None:
            return
        socket = Socket(scope, headers, receive, send, gate=self._gate)
        try:
            await route.handler(socket)
        except sockets.Closed:
            pass  # There is nobody any more to talk to.
        except Exception:
            log.exception("connection failed")
            await socket.close(sockets.FAILED, InternalError.code)

    async def _shaken(
        self, scope: WebSocketScope, headers: Mapping[bytes, bytes], send: Send, span: traces.AnySpan
    ) -> SocketRoute | None:
        """Answer the handshake. Whoever is let in talks with the route that is given back."""
        request_id = _noted(headers, span.place)
        started, path = perf_counter(), scope["path"]
        own = [*self._headers, (b"x-request-id", request_id)]
        route, status = None, int(HTTPStatus.SWITCHING_PROTOCOLS)
        try:
            route = await self._admitted(scope, headers)
            await sockets.accept(send, own)
        except BillfoldError as error:
            status, more, body = self._problems.answer(error, instance=path, request_id=request_id.decode())
            await sockets.refuse(send, status, [*more, *own], body)
        template = path if path in self._sockets else _UNMATCHED
        self._requests.observe("GET", template, status, perf_counter() - started)
        _describe(span, "GET", template, status, request_id)
        return route

    async def _admitted(self, scope: WebSocketScope, headers: Mapping[bytes, bytes]) -> SocketRoute:
        """Who talks at this path, if whoever calls may come in."""
        route = self._sockets.get(scope["path"])
        if route is None:
            raise errors.RouteNotFound
        sockets.check_origin(headers, self._cors)
        await self._gate.enter(scope, headers)
        route.admit()
        return route

    async def _http(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        headers = _headers_of(scope)
        method = cast("str", scope["method"])
        given_trace = headers.get(b"traceparent")
        with traces.request(method, given_trace) as span:
            request_id = _noted(headers, span.place)
            own = self._headers if self._cors is None else [*self._headers, *self._cors.answer(headers)]
            exchange = _Exchange(send, own, request_id, method=method, span=span, endless=self._measure)
            await self._exchanged(scope, headers, receive, exchange)
            if not exchange.is_endless:
                self._measure(exchange)

    async def _exchanged(
        self, scope: HTTPScope, headers: Mapping[bytes, bytes], receive: Receive, exchange: _Exchange
    ) -> None:
        """Answer, whatever happens."""
        path = scope["path"]
        found = self._routes.find(exchange.method, path)
        self._gate.begin(scope, exchange.request_id)
        try:
            if found is not None:
                exchange.lean = found[0].template
                await self._lean(found, headers, scope, receive, exchange)
            else:
                await self._plain(scope, headers, receive, exchange)
        except asyncio.CancelledError:
            await self._refuse(errors.ShuttingDown(), exchange, path)
            raise
        except decoding.ClientGone:
            pass  # There is nobody to answer, and nothing has been done.
        except Exception as error:  # noqa: BLE001 - this is the last resort, and `_refuse` logs what nobody expects.
            if isinstance(error, Denied):
                await self._gate.tell_denied(error, headers, route=exchange.template)
            await self._gate.tell_refused(error, scope, route=exchange.template)
            await self._refuse(await self._gate.answered(error, scope, headers), exchange, path)

    def _measure(self, exchange: _Exchange) -> None:
        """Count the request and end its span: once it is answered, or once it is begun if its answer has no end."""
        seconds = perf_counter() - exchange.started
        method, template, status = exchange.method, exchange.template, exchange.status
        self._requests.observe(method, template, status, seconds)
        # Who asks whether we are ready asks many times a second; what is away is told by `health`, once.
        waited_for = template == READY and status == HTTPStatus.SERVICE_UNAVAILABLE
        if (seconds > SLOW_S or status >= _SERVER_ERROR) and not waited_for:
            log.warning("request", method=method, route=template, status=status, seconds=round(seconds, 3))
        _describe(exchange.span, method, template, status, exchange.request_id)
        if exchange.is_endless:
            exchange.span.leave()

    async def _lean(
        self,
        found: tuple[lean.Found, Mapping[str, str]],
        headers: Mapping[bytes, bytes],
        scope: HTTPScope,
        receive: Receive,
        exchange: _Exchange,
    ) -> None:
        if b"authorization" not in headers:
            await self._gate.enter(scope, headers)
        status, sent, body = await lean.answer(
            found[0].route,
            headers=headers,
            target=scope["path"],
            query_string=scope["query_string"],
            receive=receive,
            path=found[1],
            gate=self._gate,
        )
        await exchange.answer(status, sent, body)

    async def _plain(
        self, scope: HTTPScope, headers: Mapping[bytes, bytes], receive: Receive, exchange: _Exchange
    ) -> None:
        """Let Litestar serve it."""
        preflight = self._cors.preflight(scope["method"], headers) if self._cors is not None else None
        if preflight is not None:
            await exchange.answer(HTTPStatus.NO_CONTENT, preflight, b"")
            return
        await self._gate.enter(scope, headers)
        inner: dict[str, Any] = {**scope}
        if scope["method"] == "HEAD":
            # Litestar has no HEAD for a GET handler. The server, which has the scope as it came, leaves out the body.
            inner["method"] = "GET"
            inner[streaming.HEAD] = True
        exchange.inner = inner
        await self._app(cast("Scope", inner), receive, exchange.send)

    async def _refuse(self, error: BaseException, exchange: _Exchange, path: str) -> None:
        known, allow = _known(error)
        if isinstance(known, InternalError):
            log.error("request failed", exc_info=error)
        if exchange.status:
            # The answer has begun. It stays unfinished, and the server cuts the connection, so the client sees that.
            return
        status, headers, body = self._problems.answer(
            known, instance=path, request_id=exchange.request_id.decode(), allow=allow
        )
        await exchange.answer(status, headers, body)


class _Exchange:
    """The way out: adds our headers to the answer of whoever sends one, and remembers its status."""

    __slots__ = (
        "_endless",
        "_headers",
        "_send",
        "inner",
        "is_endless",
        "lean",
        "method",
        "request_id",
        "span",
        "started",
        "status",
    )

    def __init__(
        self,
        send: Send,
        headers: Headers,
        request_id: bytes,
        *,
        method: str,
        span: traces.AnySpan,
        endless: Callable[[_Exchange], None],
    ) -> None:
        """`endless` is told that the answer has begun, and has no end."""
        self.started = perf_counter()
        self._send = send
        self._headers = headers
        self._endless = endless
        self.request_id = request_id
        self.method = method
        self.span = span
        #: 0 until the answer has begun.
        self.status = 0
        self.is_endless = False
        #: The template of a lean route; of any other Litestar puts it into its scope, once it has found the route.
        self.lean: str | None = None
        self.inner: Mapping[str, Any] = {}

    @property
    def template(self) -> str:
        """The route, as far as it is known by now."""
        return self.lean or self.inner.get("path_template") or _UNMATCHED

    async def send(self, message: Message) -> None:
        """Pass on what Litestar sends."""
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            sent = message["headers"]
            names = {name for name, _ in sent}
            ours = (header for header in self._headers if header[0] not in names)
            message["headers"] = [*sent, *ours, (b"x-request-id", self.request_id)]
            if streaming.ENDLESS in sent:
                self.is_endless = True
                self._endless(self)
        await self._send(message)

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole answer."""
        self.status = status
        sent = [*headers, *self._headers, (b"x-request-id", self.request_id)]
        await self._send({"type": "http.response.start", "status": status, "headers": sent})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


def _headers_of(scope: HTTPScope | WebSocketScope) -> Mapping[bytes, bytes]:
    given = cast("list[tuple[bytes, bytes]]", scope["headers"])
    headers = dict(given)
    if len(headers) < len(given):
        headers = _combined(given)
        scope["headers"] = list(headers.items())
    return headers


def _noted(headers: Mapping[bytes, bytes], place: traces.Place | None) -> bytes:
    """The id of a request by which the logs know it from now on."""
    trace_id = _trace_id(headers.get(b"traceparent"), place)
    request_id = _request_id(headers, trace_id)
    logs.request_id.set(request_id)
    logs.trace_id.set(trace_id)
    return request_id


def _combined(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers of which some stand more than once, each as the one list that RFC 9110 (5.3) says they are.

    What must be one value is none any more, and refused as such: no request has two idempotency keys or callers.
    """
    combined: dict[bytes, bytes] = {}
    for name, value in headers:
        combined[name] = combined[name] + b", " + value if name in combined else value
    return combined


def _trace_id(traceparent: bytes | None, place: traces.Place | None) -> bytes:
    """The trace that the request is a part of: the caller's, recorded or not, or one of ours."""
    if place is not None:
        return b"%032x" % place.trace_id
    given = traces.parse(traceparent) if traceparent is not None else None
    return b"%032x" % given.place.trace_id if given is not None else b""


def _describe(span: traces.AnySpan, method: str, template: str, status: int, request_id: bytes) -> None:
    if not isinstance(span, traces.Span):
        return
    span.rename(f"{method} {template}")
    span.set("http.request.method", method)
    span.set("http.route", template)
    span.set("http.response.status_code", status)
    span.set("billfold.request_id", request_id.decode())
    if status >= _SERVER_ERROR:
        span.broken()


def _request_id(headers: Mapping[bytes, bytes], trace_id: bytes) -> bytes:
    """The caller's own id when it is a sane one, else that of their trace, else a new one."""
    given = headers.get(b"x-request-id")
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given
    return trace_id or b"%b-%x" % (_INSTANCE, next(_numbers))


def _known(error: BaseException) -> tuple[BillfoldError, str | None]:
    """The error as our callers know it, and the methods that are allowed if that is what was wrong."""
    if isinstance(error, BillfoldError):
        return error, None
    if isinstance(error, MethodNotAllowedException):
        return errors.MethodNotAllowed(), plain.allowed((error.headers or {})["allow"].split(", "))
    if isinstance(error, NotFoundException):
        return errors.RouteNotFound(), None
    if isinstance(error, HTTPException) and error.status_code < _SERVER_ERROR:
        return errors.BadRequest(error.detail), None
    return InternalError(), None
