"""What is done around every call: it has an id, is measured, its errors told, its deadline kept, its caller known."""

from __future__ import annotations

import asyncio
import hmac
import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import grpc
import structlog

from billfold.kernel import ids, origin
from billfold.kernel.errors import BillfoldError, Refusal
from billfold.kernel.origin import Origin
from billfold.platform.rpc import statuses
from billfold.platform.rpc.errors import CallerNotAllowed, CallerUnknown, DeadlinePassed
from billfold.platform.rpc.metrics import Calls
from billfold.platform.rpc.witness import CHANNEL, Witness
from billfold.platform.telemetry import logs, traces

REQUEST_ID = "x-request-id"
TRACE_PARENT = "traceparent"
#: Where the command came from that a call is made for, for the audit. Only our own processes know the token.
ORIGIN = "x-billfold-origin"
#: A call without a deadline of its own ends after this, unless it is a stream. What it has begun is not undone.
CALL_MAX_S = 30.0
#: Asked by whoever keeps the process running; they say nothing but whether it works.
_OPEN_TO_ALL = "/grpc.health.v1.Health/"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_TRACE_PARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

log = structlog.get_logger(__name__)

Context = Any


class Around(grpc.aio.ServerInterceptor, ABC):  # type: ignore[type-arg]
    """Something that is done around every call, whatever kind it is of."""

    @abstractmethod
    def call(
        self, method: str, metadata: Mapping[str, str], context: Context, *, streaming: bool
    ) -> AbstractAsyncContextManager[None]:
        """The block that a call runs in. `method` is as /package.Service/Method."""

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """As gRPC asks for it; a method that nobody has is answered by gRPC itself."""
        handler = await continuation(details)
        if handler is None:
            return None
        kind = f"{_word(handler.request_streaming)}_{_word(handler.response_streaming)}"
        streaming = handler.request_streaming or handler.response_streaming
        metadata = {key: value for key, value in details.invocation_metadata or () if isinstance(value, str)}

        def block(context: Context) -> AbstractAsyncContextManager[None]:
            return self.call(details.method, metadata, context, streaming=streaming)

        return handler._replace(**{kind: _inside(getattr(handler, kind), block)})


class Identified(Around):
    """The caller's request id, or a new one, stands in every line of the log, and the trace where there is one."""

    @asynccontextmanager
    async def call(
        self, _method: str, metadata: Mapping[str, str], _context: Context, *, streaming: bool
    ) -> AsyncIterator[None]:
        """Each call has a task and so variables of its own."""
        del streaming
        given = metadata.get(REQUEST_ID, "")
        logs.request_id.set((given if _REQUEST_ID.fullmatch(given) else str(ids.new())).encode())
        if (trace := _TRACE_PARENT.fullmatch(metadata.get(TRACE_PARENT, ""))) is not None:
            logs.trace_id.set(trace[1].encode())
        yield


class Audited(Around):
    """It is known where the command comes from: from the caller, who says where it has it from, or is it itself."""

    @asynccontextmanager
    async def call(
        self, _method: str, metadata: Mapping[str, str], context: Context, *, streaming: bool
    ) -> AsyncIterator[None]:
        """Each call has a task and so variables of its own."""
        del streaming
        given = origin.arrived(metadata.get(ORIGIN, ""))
        request_id = logs.request_id.get().decode()
        origin.begin(given or Origin(channel=CHANNEL, address=context.peer(), request_id=request_id))
        yield


class Witnessed(Around):
    """The audit is told of what was refused, before the caller is."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    @asynccontextmanager
    async def call(
        self, method: str, _metadata: Mapping[str, str], context: Context, *, streaming: bool
    ) -> AsyncIterator[None]:
        """Outside of those who let nobody in, and of the deadline: it is over when they have refused."""
        del streaming
        try:
            yield
        except Refusal as error:
            await self._witness.refused(error, method=method, context=context)
            raise


class Traced(Around):
    """A call is a span of its caller's trace, where that is recorded."""

    @asynccontextmanager
    async def call(
        self, method: str, metadata: Mapping[str, str], _context: Context, *, streaming: bool
    ) -> AsyncIterator[None]:
        """Errors have their say before: a refusal is an answer as any other."""
        del streaming
        place = traces.carried(metadata.get(TRACE_PARENT))
        if place is None:
            yield
            return
        attributes = {"rpc.system.name": "grpc", "rpc.method": method[1:]}
        with traces.span(method[1:], attributes, kind="server", parent=place):
            yield


class Measured(Around):
    """Every call is counted with its duration and the status that it ends with."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @asynccontextmanager
    async def call(
        self, method: str, _metadata: Mapping[str, str], context: Context, *, streaming: bool
    ) -> AsyncIterator[None]:
        """Streams are counted apart, since they last as long as somebody reads."""
        clock = asyncio.get_running_loop().time
        began = clock()
        self._calls.in_flight += 1
        cancelled = False
        try:
            yield
        except asyncio.CancelledError:
            cancelled = True
            raise
        finally:
            self._calls.in_flight -= 1
            code = grpc.StatusCode.CANCELLED if cancelled else _code(context)
            self._calls.ended(method, code.name, clock() - began, streaming=streaming)


class Told(Around):
    """What is raised ends the call with a status of its own, and of what nobody expected only the log says more."""

    @asynccontextmanager
    async def call(
        self, method: str, _metadata: Mapping[str, str], context: Context, *, streaming: bool
    ) -> AsyncIterator[None]:
        """An error of ours, or a defect."""
        del streaming
        request_id = logs.request_id.get().decode()
        try:
            yield
        except BillfoldError as error:
            await context.abort_with_status(statuses.of(error, request_id=request_id))
        except grpc.aio.AbortError:
            raise
        except Exception:
            log.exception("a call failed", method=method)
            await context.abort_with_status(statuses.of(None, request_id=request_id))


class Timed(Around):
    """Nobody waits for longer than the caller does."""

    @asynccontextmanager
    async def call(
        self, _method: str, _metadata: Mapping[str, str], context: Context, *, streaming: bool
    ) -> AsyncIterator[None]:
        """A call that comes too late is not begun."""
        remaining = context.time_remaining()
        if remaining is not None and remaining <= 0:
            raise DeadlinePassed
        limits = [seconds for seconds in (remaining, None if streaming else CALL_MAX_S) if seconds is not None]
        limit = asyncio.timeout(min(limits, default=None))
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise DeadlinePassed from None


class Allowed(Around):
    """The caller's certificate is for a name that is let in. That the authority has signed it was seen before.

    Its names are those of subjectAltName, and the common name only if there are none, as RFC 6125 (6.4.4) has it for
    servers: who may choose a common name at an authority need not be who may have the other names.
    """

    def __init__(self, names: frozenset[str]) -> None:
        self._names = {name.encode() for name in names}

    @asynccontextmanager
    async def call(
        self, method: str, _metadata: Mapping[str, str], context: Context, *, streaming: bool
    ) -> AsyncIterator[None]:
        """Whether it works may be asked by anybody."""
        del streaming
        if not method.startswith(_OPEN_TO_ALL):
            shown = set(context.peer_identities() or ())
            if shown.isdisjoint(self._names):
                names = sorted(name.decode(errors="replace") for name in shown)
                log.warning("a caller is not let in", names=names, address=context.peer())
                raise CallerNotAllowed
        yield


class Known(Around):
    """The caller has the token, where there is one. Certificates are looked at before there is a call."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    @asynccontextmanager
    async def call(
        self, method: str, metadata: Mapping[str, str], _context: Context, *, streaming: bool
    ) -> AsyncIterator[None]:
        """Whether it works may be asked by anybody."""
        del streaming
        given = metadata.get("authorization", "").encode()
        if not method.startswith(_OPEN_TO_ALL) and not hmac.compare_digest(given, self._expected):
            raise CallerUnknown
        yield


def _inside(behaviour: Callable[..., Any], block: Callable[[Context], AbstractAsyncContextManager[None]]) -> Any:
    """`behaviour`, which answers by returning, yielding or writing, in a block of its own."""
    if inspect.isasyncgenfunction(behaviour):

        async def yielding(request: Any, context: Context) -> AsyncIterator[Any]:
            async with block(context):
                async for answer in behaviour(request, context):
                    yield answer

        return yielding

    async def returning(request: Any, context: Context) -> Any:
        async with block(context):
            return await behaviour(request, context)

    return returning


def _word(streaming: bool) -> str:  # noqa: FBT001 - it is what the word says.
    return "stream" if streaming else "unary"


def _code(context: Context) -> grpc.StatusCode:
    number = context.code()
    if isinstance(number, grpc.StatusCode):
        return number
    return _BY_NUMBER.get(number or 0, grpc.StatusCode.UNKNOWN)


_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}
