import asyncio
import contextlib
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.unit import conftest


@pytest.fixture(autouse=True)
def on_purpose(no_io: None) -> Iterator[None]:
    """What these tests reach for is not held against them."""
    yield
    conftest.guard.seen = []


def test_a_unit_test_can_not_connect() -> None:
    with contextlib.closing(socket.socket()) as unconnected, pytest.raises(RuntimeError, match=r"socket\.connect"):
        unconnected.connect(("127.0.0.1", 9))


def test_a_unit_test_can_not_start_a_program() -> None:
    with pytest.raises(RuntimeError, match=r"subprocess\.Popen"):
        subprocess.run(["true"], check=True)


async def test_a_unit_test_can_use_an_event_loop() -> None:
    await asyncio.sleep(0)


async def test_a_unit_test_can_not_listen() -> None:
    with pytest.raises(RuntimeError, match=r"socket\.bind"):
        await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0)
