"""`billfold dev servers up`: what it says runs, and ends with it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from billfold import devservers
from billfold.app.cli.dev_servers import Name
from billfold.devservers import wire
from tests.commands import Billfold

END_TIMEOUT_S = 60.0


@asynccontextmanager
async def servers_up(*names: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command in a process of its own, which makes its folders in `folder`."""
    for name in names:
        try:
            devservers.KINDS[name].fetch()
        except devservers.Missing as reason:
            pytest.skip(str(reason))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "billfold.app.cli", "dev", "servers", "up", *names, "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def shown(process: asyncio.subprocess.Process) -> dict[str, dict[str, str | int]]:
    """The servers of the document that it prints when all of them answer."""
    assert process.stdout is not None
    document = b""
    while line := await process.stdout.readline():
        document += line
        if line == b"}\n":
            found: dict[str, dict[str, str | int]] = json.loads(document)["servers"]
            return found
    raise AssertionError(document)


def test_each_server_can_be_named() -> None:
    assert {*Name} == {*devservers.KINDS}


def test_another_is_refused_with_the_names_there_are() -> None:
    said = Billfold({})("dev", "servers", "up", "postgres", code=2)
    assert "'cassandra', 'kafka', 'mongo', 'opensearch', 'rabbitmq', 'redis', 's3'" in said.err


def test_what_can_not_be_had_is_said_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = Billfold({})("dev", "servers", "up", "kafka", "--json", code=1)
    assert json.loads(said.err)["error"]["code"] == "dev_server_missing"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_they_answer_until_they_are_stopped_and_leave_nothing(number: signal.Signals, tmp_path: Path) -> None:
    async with servers_up("redis", folder=tmp_path) as process:
        (redis,) = (await shown(process)).values()
        async with Redis.from_url(str(redis["url"])) as client:
            assert await client.ping()
            assert (await client.info())["redis_version"] == redis["version"]

        process.send_signal(number)

        async with asyncio.timeout(END_TIMEOUT_S):
            assert await process.wait() == 0
    assert not await wire.redis(int(str(redis["url"]).split(":")[-1].removesuffix("/0")))
    assert not list(tmp_path.iterdir())


async def test_when_one_ends_the_command_says_so_and_ends_the_others(tmp_path: Path) -> None:
    async with servers_up("redis", "rabbitmq", folder=tmp_path) as process:
        found = await shown(process)
        os.kill(int(found["redis"]["pid"]), signal.SIGKILL)
        async with asyncio.timeout(END_TIMEOUT_S):
            _, said = await process.communicate()
    assert process.returncode == 1
    assert "redis ended with exit code -9" in said.decode()
    assert not await wire.rabbitmq(int(str(found["rabbitmq"]["url"]).split(":")[-1].removesuffix("/")))
    assert not list(tmp_path.iterdir())
