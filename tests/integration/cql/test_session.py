"""The session with a CQL server: nothing blocks the loop, TLS is checked, and what is refused is told as that."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cassandra.cluster
import msgspec
import pytest
import structlog.testing

from billfold.platform import cql, extras, host
from billfold.platform.cql.session import PROBE_INTERVAL_S
from tests import certificates, servers

PATIENCE_S = 120.0


@contextlib.asynccontextmanager
async def tls_in_front_of(port: int, own: certificates.Certificate) -> AsyncIterator[int]:
    """The port at which a server answers by TLS that does not speak it itself."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own.certificate, own.key)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await reader.read(65_536):
                writer.write(part)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, behind_writer), carry(behind_reader, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


async def test_a_server_is_spoken_to_by_tls_if_its_certificate_is_good(
    cassandra_server: servers.CassandraServer, tmp_path: Path
) -> None:
    own, other = certificates.make(tmp_path, "own"), certificates.make(tmp_path, "other")
    async with tls_in_front_of(cassandra_server.port, own) as port:
        here = msgspec.structs.replace(servers.cql_of(cassandra_server), contact_points=[("127.0.0.1", port)], tls=True)
        at = msgspec.structs.replace(here, tls_ca=own.certificate)
        async with cql.opened(at) as session:
            await session.wait_until_up(PATIENCE_S)
            assert await session.execute("SELECT release_version FROM system.local") == [(cassandra_server.version,)]
        untrusted = msgspec.structs.replace(here, tls_ca=other.certificate)
        async with cql.opened(untrusted) as session:
            with pytest.raises(cql.CqlUnavailable, match="certificate verify failed"):
                await session.wait_until_up(3)


async def test_what_the_server_refuses_is_told_and_does_not_count_as_lost(
    cassandra_server: servers.CassandraServer,
) -> None:
    async with cql.opened(servers.cql_of(cassandra_server)) as session:
        await session.wait_until_up(PATIENCE_S)
        with pytest.raises(cql.CqlUnavailable, match="billfold migrate"):
            await session.execute("SELECT nothing FROM nowhere.at_all")
        assert session.up


@pytest.mark.parametrize(
    ("user", "password", "why"),
    [
        (None, None, "requires authentication"),
        ("billfold", "guessed", "incorrect"),
        ("cassandra", "cassandra", "incorrect"),
    ],
    ids=["nobody", "a guess", "whom everybody knows"],
)
async def test_whom_the_server_does_not_know_it_tells_nothing(
    cassandra_server: servers.CassandraServer, user: str | None, password: str | None, why: str
) -> None:
    stranger = msgspec.structs.replace(servers.cql_of(cassandra_server), user=user, password=password)
    said = ""
    async with cql.opened(stranger) as session, asyncio.timeout(PATIENCE_S):
        while why not in said:
            with pytest.raises(cql.CqlUnavailable) as refused:
                await session.wait_until_up(0.1)
            said = refused.value.detail


async def test_nothing_that_blocks_runs_on_the_loop(
    cassandra_server: servers.CassandraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connecting, preparing and closing wait for the network: each does so in a thread of its own."""
    loop_thread, seen = threading.get_ident(), set()

    def watch(kind: type, name: str) -> None:
        original = getattr(kind, name)

        def watched(*args: Any, **more: Any) -> Any:
            assert threading.get_ident() != loop_thread, name
            seen.add(name)
            return original(*args, **more)

        monkeypatch.setattr(kind, name, watched)

    watch(cassandra.cluster.Cluster, "connect")
    watch(cassandra.cluster.Cluster, "shutdown")
    watch(cassandra.cluster.Session, "prepare")
    watch(cassandra.cluster.ResponseFuture, "result")
    async with cql.opened(servers.cql_of(cassandra_server)) as session:
        await session.wait_until_up(PATIENCE_S)
        await asyncio.gather(*(session.execute("SELECT cluster_name FROM system.local") for _ in range(500)))
    assert {"connect", "shutdown", "prepare"} <= seen


async def test_a_server_that_is_away_is_told_of_once_and_in_our_words_alone(caplog: pytest.LogCaptureFixture) -> None:
    nowhere = cql.Server(contact_points=[("127.0.0.1", host.free_port())])
    with structlog.testing.capture_logs() as told:
        async with cql.opened(nowhere) as session:
            with pytest.raises(cql.CqlUnavailable):
                # Long enough for several attempts.
                await session.wait_until_up(4 * PROBE_INTERVAL_S)
    assert [(line["event"], line["log_level"]) for line in told] == [("the CQL server does not answer", "warning")]
    assert [record for record in caplog.records if record.name.startswith("cassandra")] == []


async def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cassandra", None)
    with pytest.raises(extras.ExtraNotInstalled, match=r"billfold\[cassandra\]"):
        async with cql.opened(cql.Server(contact_points=[("127.0.0.1", 1)])):
            pass
