"""What a profile adds to a stack is kept like the rest of it, and never keeps the rest from running."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from billfold.app.supervisor import additions, record
from billfold.app.supervisor.additions import FOLLOWED, Added, Addition, Additions
from billfold.app.supervisor.keeper import Keeper
from billfold.platform import children
from billfold.platform.rpc import addresses
from tests import servers
from tests.integration.stack import support

#: The small roles of these tests call no ledger.
NO_LEDGER = {"BILLFOLD_LEDGER__ADDRESS": "unix:/run/billfold/elsewhere.sock"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def with_programs(folder: Path, *names: str) -> Mapping[str, str]:
    """An environment in which these programs are installed and no others."""
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return {"PATH": str(folder), **NO_LEDGER}


def test_what_is_not_to_be_had_is_left_out_and_told(data: Path, tmp_path: Path) -> None:
    with support.up(data, profile="full", env=with_programs(tmp_path / "bin")) as running:
        assert sorted(running.first["processes"]) == ["api", "nats", "postgres", "worker"]
        left_out = running.first["left_out"]
        assert sorted(left_out) == ["cassandra", "ledger", "redis"]
        assert "the Debian package redis-server, which is not installed. Without it balances are" in left_out["redis"]
        assert "needs Java 17 (the Debian package default-jre-headless)" in left_out["cassandra"]
        assert left_out["ledger"] == "ledger.address is set by $BILLFOLD_LEDGER__ADDRESS, and stays as it is"
        assert f"redis is left out: {left_out['redis']}" in running.log
        assert f"redis is left out: {left_out['redis']}." in support.billfold("status", "--data", str(data)).stdout
        found = support.billfold("doctor", "--data", str(data)).stdout
        assert f"full without redis: {left_out['redis']}" in found
        assert "unix:/run/billfold/elsewhere.sock does not answer" in found


def test_a_ledger_of_ones_own_is_listed_beside_the_parts(data: Path) -> None:
    with support.up(data, env=NO_LEDGER) as running:
        assert running.first["addresses"]["ledger"] == NO_LEDGER["BILLFOLD_LEDGER__ADDRESS"]
        listed = support.billfold("status", "--data", str(data)).stdout
        assert re.search(r"^ *ledger +yours +unix:/run/billfold/elsewhere.sock *$", listed, re.MULTILINE)


def test_a_minimal_stack_has_nothing_that_was_added(data: Path) -> None:
    with support.up(data) as running:
        assert (running.first["profile"], running.first["left_out"]) == ("minimal", {})
        assert sorted(running.first["processes"]) == ["api", "nats", "postgres", "worker"]
        assert not (data / "redis").exists()


def test_a_server_that_was_added_is_started_again_at_its_address(
    data: Path, tmp_path: Path, redis_server: servers.RedisServer
) -> None:
    with support.up(data, profile="full", env=with_programs(tmp_path / "bin", "redis-server")) as running:
        before = running.pid("redis")
        address = running.first["addresses"]["redis"]
        settings = running.first["settings"]
        assert address != redis_server.server.address
        os.kill(before, signal.SIGKILL)
        support.eventually(lambda: running.pid("redis") != before, "a new Redis")
        assert running.record["addresses"]["redis"] == address
        assert running.record["settings"] == settings
        found = support.billfold("doctor", "--data", str(data)).stdout
        assert f"Redis {redis_server.version} at redis://:********@{address}/0" in found


def test_orphans_of_a_server_that_was_added_are_ended_by_down(
    data: Path, tmp_path: Path, redis_server: servers.RedisServer
) -> None:
    with support.up(data, profile="full", env=with_programs(tmp_path / "bin", "redis-server")) as running:
        orphan = running.pid("redis")
        pids = support.descendants(running.process.pid)
        for pid in (*(one for one in pids if "billfold-leash" in support.command_line(one)), running.process.pid):
            os.kill(pid, signal.SIGKILL)
        running.end()
    assert support.alive(orphan)
    assert redis_server.child.running
    try:
        ended = support.billfold("down", "--data", str(data))
        assert f"redis {orphan}" in ended.stdout
        support.eventually(lambda: not support.alive(orphan), "the end of the Redis")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(orphan, signal.SIGKILL)


def test_a_redis_that_was_added_is_for_those_who_know_its_password_and_nobody_is_shown_it(
    data: Path, tmp_path: Path, redis_server: servers.RedisServer
) -> None:
    assert redis_server.child.running
    with support.up(data, profile="full", env=with_programs(tmp_path / "bin", "redis-server")) as running:
        url = running.first["settings"]["balances.redis_url"]
        assert running.first["settings"] == {"balances.redis_url": url, "limits.redis_url": url}
        password = urlsplit(url).password
        assert password is not None
        with Redis.from_url(url) as roles:
            assert roles.ping()
        with Redis.from_url(f"redis://{running.first['addresses']['redis']}/0") as stranger:
            for command in ("PING", "KEYS *", "CONFIG GET requirepass"):
                with pytest.raises(AuthenticationError):
                    stranger.execute_command(*command.split())
        for pid in (running.process.pid, *support.descendants(running.process.pid)):
            assert password not in support.command_line(pid)
        for command in ("status", "doctor"):
            for form in ((), ("--json",)):
                assert password not in support.billfold(command, *form, "--data", str(data)).stdout
        # For their owner alone are its settings, and those by which commands find it.
        files = [file for folder in (data, data / "redis") for file in folder.iterdir() if file.is_file()]
        told = [file for file in files if password.encode() in file.read_bytes()]
        assert sorted(file.name for file in told) == ["redis.conf", "stack.json"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in told} == {0o600}
        assert password not in running.log


class Unlucky:
    """A server that never comes up."""

    name = "unlucky"
    url = address = "nowhere"

    async def start(self) -> children.Child:
        raise children.ChildFailed("unlucky ended with exit code 1")


async def test_a_server_that_does_not_start_is_left_out_and_its_copy_counts_as_behind(tmp_path: Path) -> None:
    for name in ("unlucky", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / FOLLOWED).touch()
    said: list[str] = []
    added = Added(
        tmp_path,
        keeper=lambda service: Keeper(service, say=said.append, changed=lambda: None),
        say=said.append,
        changed=lambda: None,
    )
    unlucky = Addition(
        name="unlucky",
        title="Unlucky 1.0",
        make=lambda *_: Unlucky(),
        settings=lambda url: {"balances.redis_url": url},
        without="nothing changes",
    )
    await added.start(Additions(servers=[unlucky]), log=lambda _: said.append)
    await added.kept()
    why = "it does not start: unlucky ended with exit code 1. Without it nothing changes"
    assert added.left_out == {"unlucky": why}
    assert said == ["starting Unlucky 1.0", f"unlucky is left out: {why}"]
    assert (added.settings, added.keepers) == ({}, {})
    assert list(tmp_path.glob(f"*/{FOLLOWED}")) == []


def test_ledgers_listen_on_sockets_or_where_the_path_is_too_long_on_ports_with_a_token(tmp_path: Path) -> None:
    short = additions.ledger_addresses(Path("/var/lib/billfold"), 2)
    assert short == {"ledger.address": "unix:/var/lib/billfold/ledger-1.sock,unix:/var/lib/billfold/ledger-2.sock"}
    long = additions.ledger_addresses(tmp_path / ("x" * 120), 2)
    first, second = addresses.parse_all(str(long["ledger.address"]))
    assert (first.host, second.host) == ("127.0.0.1", "127.0.0.1")
    assert len(str(long["ledger.token"])) >= 32


def test_a_lock_inside_a_folder_of_its_name_is_one_of_the_stacks(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    for lock in ("redis/redis.lock", "redis/other.lock", "api.lock", record.LOCK):
        (tmp_path / lock).touch()
    assert record.program_locks(tmp_path) == [tmp_path / "api.lock", tmp_path / "redis" / "redis.lock"]
