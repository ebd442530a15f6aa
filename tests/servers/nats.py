"""A throwaway NATS with JetStream."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from billfold.platform.messaging.embedded import EmbeddedNats
from tests.servers.loop import LOG_LINES, LoopThread, ended_at_the_end, loop_thread


class NatsServer:
    """A running server with JetStream, and the means to kill it."""

    def __init__(self, thread: LoopThread, embedded: EmbeddedNats, log: deque[str]) -> None:
        self._thread = thread
        self.embedded = embedded
        self.log = log
        self.child = thread.run(embedded.start())

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return self.embedded.url

    @property
    def user(self) -> str:
        """The user name that the server asks for."""
        return self.embedded.user

    @property
    def password(self) -> str:
        """The password that the server asks for."""
        return self.embedded.password

    def kill(self) -> None:
        """SIGKILL the server."""
        self.child.process.kill()
        self._thread.run(self.child.wait())

    def hang(self) -> None:
        """Let it accept connections and answer none."""
        self.child.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """The end of `hang`."""
        self.child.process.send_signal(signal.SIGCONT)

    def start(self) -> None:
        """Start it again after `kill` or `stop`; the address and password stay as they are."""
        self.child = self._thread.run(self.embedded.start())

    def stop(self) -> None:
        """Stop it cleanly."""
        self._thread.run(self.child.stop())


@contextmanager
def running_nats(folder: Path, *, port: int | None = None) -> Iterator[NatsServer]:
    """A NATS with its files in `folder`, until the block ends."""
    with loop_thread() as thread:
        log: deque[str] = deque(maxlen=LOG_LINES)
        server = NatsServer(thread, EmbeddedNats(folder, port=port, on_line=log.append), log)
        with ended_at_the_end(thread, lambda: server.child):
            yield server
