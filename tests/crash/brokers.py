"""The brokers that a topology can have: each a real server of its own, and what the roles are told of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests import servers

#: Far more than RabbitMQ takes to write its queues down.
_WRITTEN_WITHIN_S = 60.0


class Part(Protocol):
    """Something that can be taken away, and comes back."""

    def kill(self) -> None: ...

    def start(self) -> None: ...


class _Written:
    """A RabbitMQ that is killed only when its queues have been made for good: see `RabbitMQ.written`."""

    def __init__(self, own: servers.RabbitMQServer) -> None:
        self._own = own

    def kill(self) -> None:
        deadline = time.monotonic() + _WRITTEN_WITHIN_S
        while not self._own.server.written():
            assert time.monotonic() < deadline, "RabbitMQ does not write its queues down"
            time.sleep(0.05)
        self._own.kill()

    def start(self) -> None:
        self._own.start()


@contextmanager
def running(kind: str, folder: Path) -> Iterator[tuple[Part, dict[str, str]]]:
    """The server with its files in `folder`, and the settings that lead to it, until the block ends.

    Raises: Missing: it can't be had on this machine.
    """
    folder.mkdir()
    told = {"broker__kind": kind}
    if kind == "kafka":
        with servers.running_kafka(folder) as kafka:
            yield kafka, told | {"kafka__servers": kafka.url}
    elif kind == "rabbitmq":
        with servers.running_rabbitmq(folder) as rabbitmq:
            yield _Written(rabbitmq), told | {"rabbitmq__url": rabbitmq.url}
    else:
        with servers.running_nats(folder) as nats:
            where = {"nats__url": nats.url, "nats__user": nats.user, "nats__password": nats.password}
            yield nats, told | where
