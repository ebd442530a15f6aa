"""The servers of `billfold.devservers` for tests: Kafka, Cassandra, OpenSearch, RabbitMQ, Redis, S3, one for MongoDB.

What they are and how they run stands there. Here they are started, killed and stopped from any test.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from billfold import devservers
from billfold.devservers.server import READY_TIMEOUT_S, STOP_TIMEOUT_S
from billfold.platform import children, cql
from tests.servers.loop import LOG_LINES, STEP_TIMEOUT_S, LoopThread, loop_thread

S = TypeVar("S", bound=devservers.DevServer)


class LocalServer(Generic[S]):
    """A running server, and the means to kill it and to make it hang."""

    def __init__(self, thread: LoopThread, server: S, log: deque[str]) -> None:
        self._thread = thread
        self.server = server
        self.log = log
        self.start()

    @property
    def url(self) -> str:
        """Where clients connect to, with the credentials where it asks for any."""
        return self.server.url

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def version(self) -> str:
        return self.server.version()

    @property
    def child(self) -> children.Child:
        return self.server.child

    def start(self) -> None:
        """Start it, also after `kill` or `stop`, at the same address, and return when it answers clients."""
        self._thread.run(self.server.start(), timeout_s=READY_TIMEOUT_S + STEP_TIMEOUT_S)

    def stop(self) -> None:
        """Stop it cleanly."""
        self._thread.run(self.server.stop(), timeout_s=STOP_TIMEOUT_S + STEP_TIMEOUT_S)

    def kill(self) -> None:
        """SIGKILL the server."""
        self._thread.run(self.server.kill())

    def hang(self) -> None:
        """Let it accept connections and answer none."""
        self.server.hang()

    def go_on(self) -> None:
        """The end of `hang`."""
        self.server.go_on()


def cql_of(server: LocalServer[devservers.Cassandra]) -> cql.Server:
    """As Billfold is told of it."""
    own = server.server
    return cql.Server(contact_points=[("127.0.0.1", own.port)], user=own.user, password=own.password)


KafkaServer = LocalServer[devservers.Kafka]
CassandraServer = LocalServer[devservers.Cassandra]
RabbitMQServer = LocalServer[devservers.RabbitMQ]
MongoServer = LocalServer[devservers.Mongo]
OpenSearchServer = LocalServer[devservers.OpenSearch]
RedisServer = LocalServer[devservers.Redis]
S3Server = LocalServer[devservers.S3]


@contextmanager
def _running(kind: type[S], folder: Path) -> Iterator[LocalServer[S]]:
    """One with its files in `folder`, until the block ends.

    Raises: Missing: it can't be had on this machine.
    """
    kind.fetch()
    with loop_thread() as thread:
        log: deque[str] = deque(maxlen=LOG_LINES)
        server = LocalServer(thread, kind(folder, on_line=log.append), log)
        try:
            yield server
        finally:
            # Nobody wants its files afterwards, and a clean end takes seconds.
            thread.run(server.server.kill())


def running_kafka(folder: Path) -> AbstractContextManager[KafkaServer]:
    return _running(devservers.Kafka, folder)


def running_cassandra(folder: Path) -> AbstractContextManager[CassandraServer]:
    return _running(devservers.Cassandra, folder)


def running_rabbitmq(folder: Path) -> AbstractContextManager[RabbitMQServer]:
    return _running(devservers.RabbitMQ, folder)


def running_mongo(folder: Path) -> AbstractContextManager[MongoServer]:
    return _running(devservers.Mongo, folder)


def running_opensearch(folder: Path) -> AbstractContextManager[OpenSearchServer]:
    return _running(devservers.OpenSearch, folder)


def running_redis(folder: Path) -> AbstractContextManager[RedisServer]:
    return _running(devservers.Redis, folder)


def running_s3(folder: Path) -> AbstractContextManager[S3Server]:
    return _running(devservers.S3, folder)
