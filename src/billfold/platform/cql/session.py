"""Statements to a CQL server, without ever blocking the event loop.

The driver has a thread of its own that does the network; what it answers there is handed over to the loop. What blocks
(connecting, preparing, closing) is done in other threads. A server that is away is found again beside the requests:
whoever asks meanwhile is refused at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
import structlog
from prometheus_client import Gauge

from billfold.kernel import errors
from billfold.platform import extras

if TYPE_CHECKING:
    from cassandra.cluster import Cluster

Consistency = Literal["LOCAL_ONE", "LOCAL_QUORUM", "QUORUM", "ALL"]

#: A node in the same network answers in a millisecond or two; the rest is for a node that is busy, and for ourselves.
ANSWER_TIMEOUT_S = 2.0
#: For statements that change the schema, to which all nodes have to agree.
SCHEMA_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 5.0
PROBE_INTERVAL_S = 1.0
#: Statements of this process that may be on their way; a connection takes thousands, a node is slower than that.
IN_FLIGHT_MAX = 128
#: Only commands wait for a server, and they have time.
_POLL_S = 0.05
#: Answered by each node from its own tables: what it says matters less than that it does.
_PROBE = "SELECT release_version FROM system.local"

UP = Gauge("billfold_cql_up", "1 while the CQL server answers, 0 while it is away.")
#: Where there is none, none is away.
UP.set(math.nan)

log = structlog.get_logger(__name__)

# It writes each attempt to reach a lost server as an error, with its trace. That it is lost is told here, once.
logging.getLogger("cassandra").setLevel(logging.CRITICAL)


class CqlUnavailable(errors.Unavailable):
    """The history store does not answer now; nothing is lost by that, and it is tried again."""

    code = "history_unavailable"


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where the cluster is, and who we are there."""

    #: Names or addresses of some of its nodes, each with its port; the others are found through them.
    contact_points: Sequence[tuple[str, int]]
    #: Ours, whose nodes are asked; None takes that of the node that answers first.
    datacenter: str | None = None
    user: str | None = None
    password: str | None = None
    tls: bool = False
    #: Whom to believe; the machine's own authorities when not set.
    tls_ca: Path | None = None
    consistency: Consistency = "LOCAL_QUORUM"


class Session:
    """One cluster. Made by `opened`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._cluster: Cluster | None = None
        self._session: Any = None
        self._prepared: dict[str, Any] = {}
        self._preparing = asyncio.Lock()
        self._free = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._lost = asyncio.Event()
        #: Whether it is asked at all; and if not, why it does not answer.
        self.up = False
        self._why = ""
        self._told = False
        self._tending = asyncio.create_task(self._tend(), name="tend the CQL session")

    async def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of one page of answer; a statement says by LIMIT how many it wants. It must bear repetition.

        Raises:
            CqlUnavailable: the server is away, or gave no answer in time; a write may have been done all the same.
        """
        async with self._free:
            if not self.up:
                raise CqlUnavailable
            try:
                prepared = self._prepared.get(statement) or await self._prepare(statement)
                return await self._answer(prepared.bind(values), ANSWER_TIMEOUT_S)
            except _errors().refused as error:
                # It answers, and has no such table, or we no right to it.
                raise CqlUnavailable(
                    f"The CQL server refuses: {error}. Its tables are made by `billfold migrate`."
                ) from error
            except _errors().lost as error:
                self._lose(error)
                raise CqlUnavailable from error

    async def execute_all(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Execute it for each of `rows`, many at a time, in any order.

        Raises:
            CqlUnavailable: at least one was not done.
        """
        done = await asyncio.gather(*(self.execute(statement, *values) for values in rows), return_exceptions=True)
        for outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome

    async def apply_schema(self, statement: str) -> None:
        """Execute a statement that makes, changes or empties tables, which are named in full.

        Raises:
            CqlUnavailable
        """
        if not self.up:
            raise CqlUnavailable
        try:
            await self._answer(statement, SCHEMA_TIMEOUT_S)
        except (*_errors().lost, *_errors().refused) as error:
            raise CqlUnavailable(f"The CQL server has not changed its schema: {error}") from error

    async def wait_until_up(self, timeout_s: float) -> None:
        """Return when the server answers.

        Raises:
            CqlUnavailable: it has not in time.
        """
        waited = 0.0
        while not self.up:
            if waited >= timeout_s:
                raise CqlUnavailable(f"{CqlUnavailable.sentence()} {self._why}".rstrip())
            await asyncio.sleep(_POLL_S)
            waited += _POLL_S

    async def close(self) -> None:
        """Stop asking."""
        self.up = False
        self._tending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._tending
        await self._disconnect()

    async def _prepare(self, statement: str) -> Any:
        async with self._preparing:
            if statement not in self._prepared:
                prepared = await asyncio.to_thread(self._session.prepare, statement)
                # All that we write is written with its own time, so that twice is once.
                prepared.is_idempotent = True
                self._prepared[statement] = prepared
            return self._prepared[statement]

    async def _answer(self, statement: Any, timeout_s: float) -> list[tuple[Any, ...]]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[tuple[Any, ...]]] = loop.create_future()
        response = self._session.execute_async(statement, timeout=timeout_s)
        response.add_callbacks(partial(_hand_over, loop, answer), partial(_hand_over_error, loop, answer))
        return await answer

    async def _tend(self) -> None:
        """Turn it on as soon as it answers, and again whenever it was lost."""
        while True:
            try:
                if self._session is None:
                    await self._connect()
                await self._answer(_PROBE, ANSWER_TIMEOUT_S)
            except _errors().lost as error:
                self._why = str(error)
                self._tell("the CQL server does not answer", error)
                await asyncio.sleep(PROBE_INTERVAL_S)
                continue
            self._lost.clear()
            self.up, self._why, self._told = True, "", False
            UP.set(1)
            log.info("the CQL server answers")
            await self._lost.wait()
            await asyncio.sleep(PROBE_INTERVAL_S)

    def _lose(self, error: Exception) -> None:
        if self.up:
            self.up = False
            UP.set(0)
            self._lost.set()
            self._tell("the CQL server is lost", error)

    def _tell(self, event: str, error: Exception) -> None:
        """Once, until it answers again: each attempt may fail with other words."""
        if not self._told:
            self._told = True
            log.warning(event, error=str(error))

    async def _connect(self) -> None:
        """Connect in a thread. It ends in any case, so that no connection is left over when we stop meanwhile."""
        connecting = asyncio.ensure_future(asyncio.to_thread(_connected, self._server))
        try:
            self._cluster, self._session = await asyncio.shield(connecting)
        except asyncio.CancelledError:
            with contextlib.suppress(*_errors().lost):
                self._cluster, self._session = await connecting
            raise

    async def _disconnect(self) -> None:
        if self._cluster is not None:
            await asyncio.to_thread(self._cluster.shutdown)
            self._cluster = self._session = None


@contextlib.asynccontextmanager
async def opened(server: Server) -> AsyncIterator[Session]:
    """A session with the cluster, until the block ends. The cluster need not answer yet.

    Raises:
        ExtraNotInstalled: the driver is not there.
    """
    with extras.imported("cassandra"):
        import cassandra  # noqa: F401, PLC0415 - an extra
    session = Session(server)
    try:
        yield session
    finally:
        await session.close()


def _hand_over(loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Any], rows: Any) -> None:
    """In the driver's thread: the rows go to the loop, which may have ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_settle, answer, list(rows or ()), None)


def _hand_over_error(loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Any], error: Exception) -> None:
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_settle, answer, None, error)


def _settle(answer: asyncio.Future[Any], rows: Any, error: Exception | None) -> None:
    if answer.done():
        return  # Whoever asked has gone.
    if error is None:
        answer.set_result(rows)
    else:
        answer.set_exception(error)


class _Errors(NamedTuple):
    """What the driver raises. Anything else is a defect of ours."""

    #: The cluster, or too much of it, is away.
    lost: tuple[type[Exception], ...]
    #: It is there, and does not do what it is told.
    refused: tuple[type[Exception], ...]


@cache
def _errors() -> _Errors:
    from cassandra import (  # noqa: PLC0415 - an extra
        AuthenticationFailed,
        CoordinationFailure,
        InvalidRequest,
        OperationTimedOut,
        Timeout,
        Unauthorized,
        Unavailable,
    )
    from cassandra.cluster import NoHostAvailable  # noqa: PLC0415
    from cassandra.connection import ConnectionException  # noqa: PLC0415
    from cassandra.protocol import ErrorMessage  # noqa: PLC0415

    lost = (
        AuthenticationFailed,
        ConnectionException,
        CoordinationFailure,
        ErrorMessage,
        NoHostAvailable,
        OSError,
        OperationTimedOut,
        Timeout,
        Unavailable,
    )
    return _Errors(lost, (InvalidRequest, Unauthorized))


def _connected(server: Server) -> tuple[Cluster, Any]:
    """A connected cluster and its session; blocks."""
    from cassandra import ConsistencyLevel  # noqa: PLC0415 - an extra
    from cassandra.auth import PlainTextAuthProvider  # noqa: PLC0415
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile  # noqa: PLC0415
    from cassandra.connection import DefaultEndPoint  # noqa: PLC0415
    from cassandra.policies import (  # noqa: PLC0415
        ConstantReconnectionPolicy,
        DCAwareRoundRobinPolicy,
        TokenAwarePolicy,
    )
    from cassandra.query import tuple_factory  # noqa: PLC0415

    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc=server.datacenter or "")),
        consistency_level=ConsistencyLevel.name_to_value[server.consistency],
        request_timeout=ANSWER_TIMEOUT_S,
        row_factory=tuple_factory,
    )
    auth = PlainTextAuthProvider(server.user, server.password) if server.user is not None else None
    cluster = Cluster(
        contact_points=[DefaultEndPoint(host, port) for host, port in server.contact_points],
        port=server.contact_points[0][1],
        auth_provider=auth,
        ssl_context=_tls(server),
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        # What Cassandra and ScyllaDB both speak.
        protocol_version=4,
        # Soon it is known that a node is back, however long it was away.
        reconnection_policy=ConstantReconnectionPolicy(delay=PROBE_INTERVAL_S, max_attempts=None),
        connect_timeout=CONNECT_TIMEOUT_S,
        control_connection_timeout=CONNECT_TIMEOUT_S,
    )
    try:
        return cluster, cluster.connect()
    except BaseException:
        cluster.shutdown()
        raise


def _tls(server: Server) -> ssl.SSLContext | None:
    if not server.tls:
        return None
    return ssl.create_default_context(cafile=None if server.tls_ca is None else str(server.tls_ca))
