"""Who is let in to the role `ledger`, and what it says of itself."""

import asyncio
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
import structlog.testing
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from billfold.app import doors, remote, sandbox, settings
from billfold.ledger.rpc import RemoteLedger
from billfold.ledger.rpc.v1 import ledger_pb2 as pb
from billfold.ledger.rpc.v1 import ledger_pb2_grpc as pb_grpc
from billfold.platform import host, tls
from billfold.platform.postgres.database import Database
from billfold.platform.rpc import replicas, statuses
from billfold.platform.rpc.errors import ServiceUnavailable
from tests import ledgers, servers
from tests.certificates import Authority, Certificate
from tests.integration.ledger.support import MIGRATIONS, PATIENCE_S, eventually
from tests.ledgers import LedgerServer

TOKEN = "a token that nobody guesses"


@pytest.fixture
async def database(shared_database: servers.TestDatabase) -> Any:
    database = await Database.connect(shared_database.app_dsn, name="test")
    yield database
    await database.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def secured(shared_database: servers.TestDatabase, tmp_path: Path, authority: Authority) -> Iterator[LedgerServer]:
    """A server that speaks TLS with whom the authority knows, and lets in the API."""
    shown = authority.signed("server")
    with ledgers.serving(
        shared_database.app_dsn,
        tmp_path,
        ledger__listen=f"127.0.0.1:{host.free_port()}",
        ledger__tls_certificate=str(shown.certificate),
        ledger__tls_key=str(shown.key),
        ledger__tls_authority=str(authority.certificate),
        ledger__allowed_clients="worker.internal, api.internal, old-client, spiffe://example.com/bank",
    ) as server:
        yield server


def mutual(shown: Certificate, authority: Authority) -> tls.Mutual:
    return tls.mutual(shown.certificate, shown.key, authority.certificate)


def refusal(server: LedgerServer) -> str:
    """What a server says that does not start."""
    assert server.spawn().wait(PATIENCE_S) != 0
    return server.output.read_text()


async def test_both_sides_show_certificates_that_the_authority_has_signed(
    database: Database, secured: LedgerServer, authority: Authority
) -> None:
    ours = mutual(authority.signed("api", host="api.internal"), authority)
    async with ledgers.calling(database, [secured], tls=ours) as ledger:
        await ledger.check()
        assert await ledger.now()


async def test_a_certificate_of_the_authority_is_let_in_under_the_names_of_the_list_alone(
    secured: LedgerServer, authority: Authority
) -> None:
    answered = {
        "its host is on the list": authority.signed("1", host="worker.internal"),
        "its URI is on the list": authority.signed("2", host="spiffe://example.com/bank"),
        "it has no other name than its common one": authority.signed("old-client", host=None),
    }
    refused = {
        "nobody knows it": authority.signed("3", host="reports.internal"),
        "a name within": authority.signed("4", host="x.api.internal"),
        "a wildcard": authority.signed("5", host="*.internal"),
        "the common name, beside others": authority.signed("api.internal", host="reports.internal"),
        "no other name than its common one": authority.signed("new-client", host=None),
    }
    assert {why: await _answer(secured, authority, shown) for why, shown in (answered | refused).items()} == {
        **dict.fromkeys(answered, "answered"),
        **dict.fromkeys(refused, "PERMISSION_DENIED caller_not_allowed, healthy"),
    }
    assert "reports.internal" in secured.output.read_text()


async def _answer(server: LedgerServer, authority: Authority, shown: Certificate) -> str:
    """What the server says to a caller with this certificate."""
    async with grpc.aio.secure_channel(server.address, _credentials(mutual(shown, authority))) as channel:
        stub = pb_grpc.LedgerServiceStub(channel)  # type: ignore[no-untyped-call]
        try:
            await stub.GetTime(pb.GetTimeRequest())
        except grpc.aio.AioRpcError as failed:
            error = statuses.said(failed)
            assert error is not None
            with pytest.raises(grpc.aio.AioRpcError, match=re.escape(error.detail)):
                [one async for one in stub.PostStream(iter([]))]
            assert error.detail in await _refusal_of_services(channel)
            health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            return f"{failed.code().name} {error.code}, {'healthy' if health.status == 1 else 'ill'}"
        return "answered"


def _credentials(shown: tls.Mutual) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=shown.authority, private_key=shown.key, certificate_chain=shown.certificate
    )


async def test_an_api_that_is_not_let_in_says_so_and_does_not_try_on(
    database: Database, secured: LedgerServer, authority: Authority
) -> None:
    async with ledgers.calling(database, [secured], tls=mutual(authority.signed("x"), authority)) as ledger:
        with structlog.testing.capture_logs() as logs, pytest.raises(ServiceUnavailable):
            await ledger.now()
        assert [line["event"] for line in logs] == ["a server does not let us in: it does not name our certificate"]


async def test_nobody_is_let_in_without_a_certificate_of_the_authority(
    database: Database, secured: LedgerServer, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "OPEN_AFTER_S", 0.2)
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    strangers = {
        "no certificate": None,
        "one that another has signed": mutual(other.signed("api"), authority),
        "a server that another has signed": mutual(authority.signed("api"), other),
    }
    for stranger, shown in strangers.items():
        async with ledgers.calling(database, [secured], tls=shown) as ledger:
            with pytest.raises(ServiceUnavailable):
                await ledger.now()
            with pytest.raises(ServiceUnavailable):
                await ledger.check()
        assert stranger


async def test_other_machines_are_not_listened_to_without_tls(
    shared_database: servers.TestDatabase, tmp_path: Path
) -> None:
    server = LedgerServer(shared_database.app_dsn, tmp_path, {"ledger__listen": f"0.0.0.0:{host.free_port()}"})
    assert "is not listened on without TLS on both sides" in refusal(server)


async def test_other_machines_are_not_called_without_tls(database: Database) -> None:
    with pytest.raises(settings.SettingInvalid, match="another machine, which is spoken to by TLS alone"):
        async with remote.ledger(settings.Ledger(address="10.0.0.7:8090"), database):
            pass


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (settings.Ledger(address="ledger"), "ledger.address is wrong: 'ledger' is neither unix:/path nor host:port"),
        (settings.Ledger(address="127.0.0.1:1", tls_key=Path("/x")), "ledger.tls_certificate is missing"),
        (
            settings.Ledger(
                address="127.0.0.1:1", tls_certificate=Path("/x"), tls_key=Path("/x"), tls_authority=Path("/x")
            ),
            "/x can't be read",
        ),
    ],
)
async def test_a_setting_that_cannot_be_used_is_named(database: Database, tree: settings.Ledger, text: str) -> None:
    with pytest.raises(settings.SettingInvalid, match=text):
        async with remote.ledger(tree, database):
            pass


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (None, "ledger.allowed_clients is missing"),
        ("", "names separated by commas"),
        ("api.internal,", "names separated by commas"),
        ("*.internal", "compared as a whole"),
    ],
)
def test_with_tls_those_who_may_call_have_to_be_named(
    authority: Authority, tmp_path: Path, names: str | None, text: str
) -> None:
    shown = authority.signed("server")
    tree = settings.Ledger(
        listen="0.0.0.0:8090",
        tls_certificate=shown.certificate,
        tls_key=shown.key,
        tls_authority=authority.certificate,
        allowed_clients=names,
    )
    with pytest.raises(settings.SettingInvalid, match=text):
        doors.door("ledger", tree)
    assert doors.door("ledger", msgspec.structs.replace(tree, allowed_clients="*")).clients is None
    on_a_socket = msgspec.structs.replace(tree, listen=f"unix:{tmp_path}/ledger.sock", allowed_clients=None)
    assert doors.door("ledger", on_a_socket).tls is None


def test_callers_without_certificates_can_not_be_told_apart_by_name() -> None:
    with pytest.raises(settings.SettingInvalid, match="without TLS nobody shows a certificate"):
        doors.door("ledger", settings.Ledger(allowed_clients="api.internal"))


async def test_a_socket_is_this_users_alone_and_is_not_taken_from_who_listens_on_it(
    shared_database: servers.TestDatabase, tmp_path: Path
) -> None:
    (tmp_path / "second").mkdir()
    with ledgers.serving(shared_database.app_dsn, tmp_path) as server:
        path = tmp_path / "ledger.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        second = LedgerServer(shared_database.app_dsn, tmp_path / "second", {"ledger__listen": server.address})
        assert f"Another program listens on {path}" in refusal(second)
        # What a server has left behind that was killed is in nobody's way.
        server.kill()
        assert path.exists()
        server.start()


async def test_a_port_is_not_shared_with_a_second_server(shared_database: servers.TestDatabase, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    with ledgers.serving(shared_database.app_dsn, tmp_path, ledger__listen=f"127.0.0.1:{host.free_port()}") as server:
        second = LedgerServer(shared_database.app_dsn, tmp_path / "second", {"ledger__listen": server.address})
        assert "can't be listened on: is it taken?" in refusal(second)


async def test_a_port_for_metrics_that_is_taken_is_named_in_one_line(
    shared_database: servers.TestDatabase, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = LedgerServer(shared_database.app_dsn, tmp_path)
        server.metrics_port = other.getsockname()[1]
        said = refusal(server)
    assert said.startswith(f"billfold: Port {server.metrics_port} is taken by another program")
    assert said.endswith("with BILLFOLD_LEDGER__METRICS_PORT.\n")
    assert len(said.splitlines()) == 1


async def test_whoever_does_not_know_the_token_is_told_nothing_but_that_it_works(
    shared_database: servers.TestDatabase, database: Database, tmp_path: Path
) -> None:
    with ledgers.serving(shared_database.app_dsn, tmp_path, ledger__token=TOKEN) as server:
        for token in (None, "another token of some length"):
            async with ledgers.calling(database, [server], token=token) as ledger:
                await ledger.check()
                with structlog.testing.capture_logs() as logs, pytest.raises(ServiceUnavailable):
                    await ledger.now()
                assert "a server does not know us: its token is another one" in [line["event"] for line in logs]
        async with ledgers.calling(database, [server], token=TOKEN) as ledger:
            assert await ledger.now()
        async with grpc.aio.insecure_channel(server.address) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await _services(channel)
            assert failed.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert TOKEN not in server.output.read_text()


async def test_health_and_reflection_say_what_there_is(role_server: LedgerServer) -> None:
    async with grpc.aio.insecure_channel(role_server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "billfold.ledger.v1.LedgerService"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert "billfold.ledger.v1.LedgerService" in await _services(channel)


async def test_health_tells_while_the_database_cannot_be_reached(tmp_path: Path) -> None:
    with servers.running_postgres(tmp_path / "pg") as postgres:
        own = postgres.create_database(MIGRATIONS)
        database = await Database.connect(own.app_dsn, name="test")
        with ledgers.serving(own.app_dsn, tmp_path) as server:
            async with ledgers.calling(database, [server]) as ledger:
                await ledger.check()
                postgres.kill()
                await eventually(lambda: _says(ledger, "answers that it does not serve: it can't reach its database"))
                postgres.start()
                await eventually(lambda: _says(ledger, ""))
        await database.close()


async def _says(ledger: RemoteLedger, wanted: str) -> bool:
    """Whether that is why it can't be used now; an empty text is that it can."""
    try:
        await ledger.check()
    except ServiceUnavailable as error:
        return bool(wanted) and wanted in error.detail
    return not wanted


async def test_a_stack_does_not_start_on_a_ledger_that_does_not_serve(
    shared_database: servers.TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "LEDGER_PATIENCE_S", 0.0)
    tree = settings.replaced(
        settings.Settings(),
        {"postgres.dsn": shared_database.app_dsn, "ledger.address": f"unix:{tmp_path}/nobody.sock"},
    )
    with pytest.raises(
        sandbox.LedgerNotServing, match=r"nobody.sock does not answer\. .*BILLFOLD_POSTGRES__PORT is set"
    ):
        await sandbox.prepare(tree)


async def test_a_stack_that_a_ledger_does_not_let_in_is_told_why(
    shared_database: servers.TestDatabase, tmp_path: Path
) -> None:
    with ledgers.serving(shared_database.app_dsn, tmp_path, ledger__token=TOKEN) as server:
        tree = settings.replaced(
            settings.Settings(),
            {"postgres.dsn": shared_database.app_dsn, "ledger.address": server.address, "data_dir": tmp_path},
        )
        with pytest.raises(sandbox.LedgerNotServing, match=r"can't be used: .*send its token"):
            await sandbox.prepare(tree)


async def _services(channel: grpc.aio.Channel) -> list[str]:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    return [
        service.name
        async for answer in stub.ServerReflectionInfo(iter([asked]))
        for service in answer.list_services_response.service
    ]


async def _refusal_of_services(channel: grpc.aio.Channel) -> str:
    """What the server says. A client that is still sending when it is refused knows no more than that it can't."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await _services(channel)
            if refused.value.code() is not grpc.StatusCode.INTERNAL:
                return str(refused.value.details())


async def test_calls_and_streams_are_told_by_method_and_how_they_ended(role_server: LedgerServer) -> None:
    async with grpc.aio.insecure_channel(role_server.address) as channel:
        stub = pb_grpc.LedgerServiceStub(channel)  # type: ignore[no-untyped-call]
        await stub.GetTime(pb.GetTimeRequest())
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stub.GetHold(pb.GetHoldRequest())
        assert statuses.said(failed.value) is not None
        assert [one async for one in stub.PostStream(iter([]))] == []
    told = role_server.metrics()
    assert 'billfold_rpc_server_seconds_count{code="OK",method="GetTime"}' in told
    assert 'billfold_rpc_server_seconds_count{code="INVALID_ARGUMENT",method="GetHold"}' in told
    assert 'billfold_rpc_server_streams_total{code="OK",method="PostStream"}' in told
    assert "billfold_rpc_server_in_flight 0.0" in told
