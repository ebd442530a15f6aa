"""The servers of one service as its clients see them: calls go round among them, and past those that don't answer.

Whatever a call asks for, it asks for again with the same key: so one that was not answered is sent once more, to the
next server. One that refuses is answered, and not asked again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from billfold.kernel import errors, origin
from billfold.kernel.idempotency import IdempotencyKeyInUse
from billfold.platform.rpc import interceptors, metrics, statuses
from billfold.platform.rpc.addresses import Address
from billfold.platform.rpc.errors import CallerNotAllowed, CallerUnknown, DeadlinePassed, ServiceUnavailable, Stopping
from billfold.platform.rpc.serving import MESSAGE_MAX_BYTES, PING_MIN_S
from billfold.platform.telemetry import logs, traces
from billfold.platform.tls import Mutual

#: A server that has not answered within this time may hang, and another is asked. It may also be working on it: then
#: the other one finds the key in use or answered.
TRY_S = 4.0
#: A server that has failed is asked how it is after so long, and then after twice as long, up to the second.
PROBE_PAUSE_S = 0.05
PROBE_PAUSE_MAX_S = 1.0
PROBE_TIMEOUT_S = 1.0
#: Restarts are shorter. When all have failed for longer, callers are told at once instead of having to wait: the
#: breaker is open.
OPEN_AFTER_S = 3.0
#: The same server's answer to a key that it is still working on.
IN_USE_PAUSE_S = 0.05
_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES),
    ("grpc.max_send_message_length", MESSAGE_MAX_BYTES),
    # gRPC by itself would wait for two minutes before it connects again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A machine that is gone says nothing.
    ("grpc.keepalive_time_ms", 2 * PING_MIN_S * 1000),
    ("grpc.keepalive_timeout_ms", 3_000),
    # We send again ourselves, and know when.
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    # A name that stands for several machines is several servers.
    ("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'),
)

T = TypeVar("T")
Stub = Any
#: Sends one try: a method of the stub with a request, its time-out and metadata.
Try = Callable[..., Awaitable[T]]

log = structlog.get_logger(__name__)


class Replica:
    """One server, and whether it answers. One that does not is asked how it is until it does, and nothing else."""

    def __init__(self, address: Address, channel: grpc.aio.Channel, stub: Stub, came_back: Callable[[], None]) -> None:
        self.name = address.target
        self.channel = channel
        self.stub = stub
        self._health = health_pb2_grpc.HealthStub(channel)
        self._came_back = came_back
        self._failed_since: float | None = None
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_well(self) -> bool:
        """Whether it has answered since it failed."""
        return self._failed_since is None

    @property
    def gives_up_at(self) -> float:
        """When nobody should wait for it any more."""
        assert self._failed_since is not None, "it is well"
        return self._failed_since + OPEN_AFTER_S

    async def close(self) -> None:
        """Hang up."""
        if self._probing is not None:
            self._probing.cancel()
        await self.channel.close(None)

    def answered(self) -> None:
        """It has answered, whatever it was."""
        if not self.is_well:
            log.info("a server answers again", address=self.name)
            metrics.BREAKER_OPEN.labels(self.name).set(0)
            self._failed_since = None
            self._came_back()

    def failed(self, status: str, reason: str | None) -> None:
        """It has not, or is about to stop."""
        metrics.CLIENT_FAILURES.labels(self.name, status).inc()
        if self.is_well:
            log.warning("a server does not answer", address=self.name, status=status, reason=reason)
            metrics.BREAKER_OPEN.labels(self.name).set(1)
            self._failed_since = asyncio.get_running_loop().time()
            if self._probing is None or self._probing.done():
                self._probing = asyncio.create_task(self._probe(), name=f"probe {self.name}")

    async def ails(self) -> str | None:
        """Why it does not serve now; None when it does."""
        try:
            answer = await self._health.Check(health_pb2.HealthCheckRequest(), timeout=PROBE_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return f"{self.name} does not answer."
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            return f"{self.name} answers that it does not serve: it can't reach its database, or is stopping."
        return None

    async def _probe(self) -> None:
        pause = PROBE_PAUSE_S
        while not self.is_well:
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - it spreads, and hides nothing.
            pause = min(pause * 2, PROBE_PAUSE_MAX_S)
            if await self.ails() is None:
                self.answered()


class Replicas:
    """Calls whichever of them answers."""

    def __init__(
        self,
        addresses: Sequence[Address],
        make_stub: Callable[[grpc.aio.Channel], Stub],
        *,
        tls: Mutual | None,
        token: str | None,
        timeout_s: float,
    ) -> None:
        self._back = asyncio.Event()
        self._replicas = [
            Replica(address, channel, make_stub(channel), self._back.set)
            for address, channel in ((address, _channel(address, tls)) for address in addresses)
        ]
        self._token = token
        self._timeout_s = timeout_s
        self._turn = 0

    async def close(self) -> None:
        """Hang up."""
        for replica in self._replicas:
            await replica.close()

    async def check(self) -> None:
        """Pass if one of them serves now.

        Raises: ServiceUnavailable.
        """
        reasons = (await self.ailing()).values()
        if None not in reasons:
            raise ServiceUnavailable(" ".join(filter(None, reasons)))

    async def ailing(self) -> dict[str, str | None]:
        """Why each of them does not serve now, by its address; None for one that does."""
        reasons = await asyncio.gather(*(replica.ails() for replica in self._replicas))
        return {replica.name: reason for replica, reason in zip(self._replicas, reasons, strict=True)}

    async def call(
        self,
        method: str,
        send: Try[T],
        *,
        lost: type[errors.BillfoldError] = ServiceUnavailable,
        settled: Callable[[T], bool] = lambda _: True,
    ) -> T:
        """The answer to `send(stub, timeout=…, metadata=…)`, from whichever server gives one.

        `lost` says that a try may have had its effect, and nobody knows. An answer that is not `settled` tells only
        of a try before it that is still being worked on.

        Raises:
            BillfoldError: what the server has refused it with.
            ServiceUnavailable: none can be reached; or `lost`: none has answered in time.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        outcome = "error"
        try:
            with traces.span(method, {"rpc.system.name": "grpc"}, kind="client"):
                answer = await self._answer(method, send, began + self._timeout_s, lost, settled)
        except errors.BillfoldError as error:
            outcome = error.code
            raise
        else:
            outcome = "answered"
            return answer
        finally:
            metrics.CLIENT_SECONDS.labels(method, outcome).observe(loop.time() - began)

    async def _answer(
        self,
        method: str,
        send: Try[T],
        deadline: float,
        lost: type[errors.BillfoldError],
        settled: Callable[[T], bool],
    ) -> T:
        loop = asyncio.get_running_loop()
        unanswered = False
        while True:
            replica = await self._next(deadline, lost if unanswered else ServiceUnavailable)
            try:
                limit = min(TRY_S, deadline - loop.time())
                answer = await send(replica.stub, timeout=limit, metadata=self._metadata())
            except grpc.aio.AioRpcError as failed:
                error = statuses.said(failed)
                if error is None or isinstance(error, DeadlinePassed):
                    replica.failed(failed.code().name, failed.details())
                    unanswered = True
                elif isinstance(error, Stopping):
                    replica.failed(failed.code().name, error.code)
                else:
                    replica.answered()
                    _check_known(replica, error)
                    if not (unanswered and isinstance(error, IdempotencyKeyInUse)):
                        raise error from None
                    await asyncio.sleep(IN_USE_PAUSE_S)
            else:
                replica.answered()
                if settled(answer) or not unanswered:
                    return answer
                await asyncio.sleep(IN_USE_PAUSE_S)
            metrics.CLIENT_RETRIES.labels(method).inc()

    async def stream(self, open_stream: Callable[..., Any]) -> AsyncIterator[Any]:
        """The messages of `open_stream(stub, metadata=…)`. Once one has come, a failure is the reader's to mend.

        Raises:
            BillfoldError: what the server has refused it with.
            ServiceUnavailable: none can be reached, or the one that has answered is lost.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        begun = False
        while not begun:
            replica = await self._next(deadline, ServiceUnavailable)
            try:
                async for message in open_stream(replica.stub, metadata=self._metadata()):
                    begun = True
                    replica.answered()
                    yield message
            except grpc.aio.AioRpcError as failed:
                error = statuses.said(failed)
                if error is not None and not isinstance(error, Stopping):
                    _check_known(replica, error)
                    raise error from None
                replica.failed(failed.code().name, failed.details())
                if begun:
                    raise ServiceUnavailable from failed
            else:
                return

    async def _next(self, deadline: float, lost: type[errors.BillfoldError]) -> Replica:
        """The next in turn of those that are well. A short outage is waited out, a longer one is told."""
        loop = asyncio.get_running_loop()
        while loop.time() < deadline:
            self._turn += 1
            for place in range(len(self._replicas)):
                replica = self._replicas[(self._turn + place) % len(self._replicas)]
                if replica.is_well:
                    return replica
            until = min(deadline, max(replica.gives_up_at for replica in self._replicas))
            self._back.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._back.wait()
            except TimeoutError:
                break
        raise lost

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        known = []
        if request_id := logs.request_id.get():
            known.append((interceptors.REQUEST_ID, request_id.decode()))
        if (place := traces.current()) is not None:
            known.append((interceptors.TRACE_PARENT, place.traceparent()))
        if (came_from := origin.carried()) is not None:
            known.append((interceptors.ORIGIN, came_from))
        if self._token is not None:
            known.append(("authorization", f"Bearer {self._token}"))
        return tuple(known)


def _check_known(replica: Replica, error: errors.BillfoldError) -> None:
    """That a server does not know us is a mistake between the two: no answer to what somebody has asked of us.

    Raises: ServiceUnavailable.
    """
    if isinstance(error, CallerUnknown):
        log.error("a server does not know us: its token is another one", address=replica.name)
        raise ServiceUnavailable from error
    if isinstance(error, CallerNotAllowed):
        log.error("a server does not let us in: it does not name our certificate", address=replica.name)
        raise ServiceUnavailable from error


def _channel(address: Address, tls: Mutual | None) -> grpc.aio.Channel:
    if tls is None or address.path is not None:
        return grpc.aio.insecure_channel(address.target, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=tls.authority, private_key=tls.key, certificate_chain=tls.certificate
    )
    return grpc.aio.secure_channel(address.target, credentials, options=_OPTIONS)
