"""Unit tests do no I/O: whoever reaches for the network or another program is stopped and named."""

import sys
from collections.abc import Iterator

import pytest

_FORBIDDEN = {
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.system",
    "socket.bind",
    "socket.connect",
    "socket.getaddrinfo",
    "socket.sendto",
    "subprocess.Popen",
}


class Guard:
    """An audit hook can't be taken away, so it asks whether a unit test is running."""

    watching = False
    seen: list[str]

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.watching and event in _FORBIDDEN:
            self.seen.append(f"{event} {arguments}")
            raise RuntimeError(f"a unit test does no I/O, but this one called {event} {arguments}")


guard = Guard()
sys.addaudithook(guard)


@pytest.fixture(autouse=True)
def no_io() -> Iterator[None]:
    guard.seen = []
    guard.watching = True
    yield
    guard.watching = False
    # The code under test may have taken the refusal for an error of the network.
    assert guard.seen == []
