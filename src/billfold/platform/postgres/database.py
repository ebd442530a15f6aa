"""One pool of PostgreSQL connections, and what a lost connection means. The only way to a database transaction.

SQL itself lives in the stores of the contexts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import msgspec

from billfold.kernel import errors
from billfold.platform.postgres import metrics
from billfold.platform.telemetry import traces
from billfold.platform.telemetry.logs import mask_text

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[asyncpg.Record]
else:
    Connection = Any

UniqueViolation = asyncpg.UniqueViolationError

#: Waiting longer than this for a free connection means that the database can't keep up: better a clear 503.
ACQUIRE_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 5.0
#: No statement of ours needs longer, but for streams, which set their own.
STATEMENT_TIMEOUT_S = 30
#: The server ends a statement by itself before; if nothing was heard by then, the network has lost it, or its answer.
ANSWER_TIMEOUT_S = STATEMENT_TIMEOUT_S + 5
#: Row locks are held for milliseconds; whoever waits longer than this waits for something that is stuck.
LOCK_TIMEOUT_S = 10
#: An application that hangs while its transaction is open must not hold row locks for longer. Less than others wait for
#: them: so they are held up once, and not refused.
IDLE_IN_TRANSACTION_TIMEOUT_S = 5

#: Where PostgreSQL listens when a DSN does not say it.
_PORT = 5432

_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # What the driver says of a session whose end it has been told and has not yet taken in.
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    # The loser of a deadlock; the same again will do.
    asyncpg.TransactionRollbackError,
    # Each new connection logs in: a password or a database may have gone while we ran.
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    OSError,
    TimeoutError,
    asyncio.TimeoutError,
)


class DatabaseUnavailable(errors.Unavailable):
    """The database can't be reached now; try again with the same idempotency key."""

    code = "database_unavailable"


class RowsLocked(DatabaseUnavailable):
    """Another session of the database holds what this needs; try again with the same idempotency key."""

    code = "rows_locked"


class CommitUnknown(DatabaseUnavailable):
    """The connection was lost during COMMIT: the transaction may or may not have taken place."""

    code = "commit_unknown"


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors about lost connections, time-outs and full disks into DatabaseUnavailable."""
    try:
        yield
    except asyncpg.LockNotAvailableError as error:
        raise RowsLocked from error
    except _LOST as error:
        raise DatabaseUnavailable from error


class _Connection(asyncpg.Connection[asyncpg.Record] if TYPE_CHECKING else asyncpg.Connection):  # type: ignore[misc]
    """A connection that is given back as it is: we leave no session state, so a reset would be a wasted round trip."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        #: What is called after the open transaction, see `after_commit`.
        self.calls: list[Callable[[], object]] = []

    def get_reset_query(self) -> str:
        """No statement."""
        return ""


async def _prepare(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Every NUMERIC of ours is a whole number of smallest units, so it is an int here and never a Decimal."""
    await connection.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=int, format="text")
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: msgspec.json.encode(value).decode(),
        decoder=msgspec.json.decode,
        format="text",
    )


def _place(dsn: str) -> str:
    """Where it is, for a sentence: nothing else of a DSN, which has a password. What is no URL has no place."""
    try:
        parts = urlsplit(dsn)
        socket = "".join(parse_qs(parts.query).get("host", ()))
        where = f"{parts.hostname}:{parts.port or _PORT}" if parts.hostname else socket
    except ValueError:
        return ""
    return f" at {where}" if where else ""


class Database:
    """A pool of connections to one database."""

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], open_session: Callable[[float], Awaitable[Connection]]
    ) -> None:
        self._pool = pool
        self._open_session = open_session

    @classmethod
    async def connect(cls, dsn: str, *, size: int = 8, name: str = "billfold", at_once: bool = True) -> Database:
        """Open a pool of at most `size` connections; `name` is what pg_stat_activity shows.

        Without `at_once` the first connection is made when it is needed: whoever opens it can do without meanwhile.

        Raises:
            DatabaseUnavailable: nothing answers there, or not with these credentials.
        """
        settings = {
            "application_name": name,
            "jit": "off",
            "timezone": "UTC",
            "synchronous_commit": "on",
            "default_transaction_isolation": "read committed",
            "statement_timeout": f"{STATEMENT_TIMEOUT_S}s",
            "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_TIMEOUT_S}s",
        }

        async def open_session(lock_timeout_s: float) -> Any:
            connection = await asyncpg.connect(
                dsn,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=ANSWER_TIMEOUT_S,
                connection_class=_Connection,
                server_settings={**settings, "lock_timeout": f"{lock_timeout_s}s"},
            )
            await _prepare(connection)
            return connection

        try:
            pool = await asyncpg.create_pool(
                dsn,
                min_size=1 if at_once else 0,
                max_size=size,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=ANSWER_TIMEOUT_S,
                init=_prepare,
                connection_class=_Connection,
                server_settings={**settings, "lock_timeout": f"{LOCK_TIMEOUT_S}s"},
            )
        except _LOST as error:
            # Nobody has asked for anything yet: whoever reads this has set the address.
            why = mask_text(str(error)).rstrip(".") or type(error).__name__
            raise DatabaseUnavailable(
                f"The database{_place(dsn)} can't be reached: {why}. Check the address, the password and the server."
            ) from error
        metrics.watch(pool)
        return cls(pool, open_session)

    async def close(self) -> None:
        """Close the pool; connections in use are waited for briefly."""
        metrics.forget(self._pool)
        try:
            await asyncio.wait_for(self._pool.close(), CONNECT_TIMEOUT_S)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection outside any transaction: each statement is its own.

        Raises:
            DatabaseUnavailable: none could be had, or it was lost.
        """
        with translated():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A database transaction: committed when the block ends, rolled back when it raises.

        Raises:
            RowsLocked: a lock was not to be had within LOCK_TIMEOUT_S: nothing has happened.
            DatabaseUnavailable: no connection, or it was lost before COMMIT: nothing has happened.
            CommitUnknown: it was lost during COMMIT.
        """
        async with self.connection() as connection, _transaction(connection):
            yield connection

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[Connection]:
        """A connection beside the pool, for a session that stands for something. It ends with the block.

        Raises:
            DatabaseUnavailable: it could not be had, or was lost.
        """
        with translated():
            connection = await self._open_session(LOCK_TIMEOUT_S)
            try:
                yield connection
            finally:
                end(connection)

    def session(self, *, lock_timeout_s: float) -> Session:
        """A connection beside the pool for database transactions, whose statements wait so long for locks."""
        return Session(partial(self._open_session, lock_timeout_s))


class Session:
    """A connection that is kept from one database transaction to the next, and replaced when it is lost.

    To take one from the pool and to give it back are turns of the event loop each. Whoever has one transaction after
    the other, and a busy event loop, would wait for them while the database has nothing to do.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._connection: Connection | None = None

    async def close(self) -> None:
        """End the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*_LOST):
                await connection.close(timeout=CONNECT_TIMEOUT_S)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """As Database.transaction. One after the other."""
        with translated():
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._connect()
            async with _transaction(self._connection):
                yield self._connection


@asynccontextmanager
async def _transaction(connection: Connection) -> AsyncIterator[Connection]:
    await connection.execute("BEGIN")
    calls = _calls(connection)
    calls.clear()
    try:
        yield connection
    except BaseException:
        await _rollback(connection)
        raise
    try:
        with traces.span("COMMIT", {"db.system.name": "postgresql"}, kind="client"):
            await commit(connection)
    finally:
        # If its answer was lost it may have taken place all the same.
        for call in calls:
            call()


def after_commit(connection: Connection, call: Callable[[], object]) -> None:
    """Call this once the open transaction is committed, and never if it is rolled back.

    For what a process remembers of the database: forgotten any earlier, it could be read again as it was.
    """
    _calls(connection).append(call)


def _calls(connection: Connection) -> list[Callable[[], object]]:
    """What stands in the connection itself, of which the pool lends a proxy."""
    calls: list[Callable[[], object]] = connection.calls  # type: ignore[attr-defined]
    return calls


async def commit(connection: Connection) -> None:
    """COMMIT the open transaction; a connection that can't is closed.

    Raises:
        CommitUnknown: the connection was lost before the answer came.
    """
    try:
        await connection.execute("COMMIT")
    except _LOST as error:
        end(connection)
        raise CommitUnknown from error


async def _rollback(connection: Connection) -> None:
    """Leave the transaction; a connection that can't even do that is closed, which rolls back as well."""
    try:
        await connection.execute("ROLLBACK")
    except (*_LOST, asyncpg.PostgresError):
        end(connection)


def end(connection: Connection) -> None:
    """End the session of `connection` at once; the pool makes a new one when it needs it."""
    # A session that the server has ended is out of the pool already, and refuses any call; raising that here would
    # cover up why we end, a cancellation perhaps.
    with suppress(asyncpg.InterfaceError):
        connection.terminate()
