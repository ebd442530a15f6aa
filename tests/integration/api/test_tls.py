"""TLS in the process of the API: a real handshake, what is refused, and files that can't be served with."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from billfold.app.supervisor import roles
from billfold.platform import tls
from billfold.platform.web import server
from tests import certificates, servers
from tests.certificates import Certificate
from tests.integration.api import support
from tests.integration.api.support import ApiServer
from tests.integration.api.test_server import Server
from tests.unit.platform.web.example import Client


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tls_server(
    api_database: servers.TestDatabase, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiServer]:
    files = {"api__tls_certificate": str(certificate.certificate), "api__tls_key": str(certificate.key)}
    with support.running_api(api_database, tmp_path_factory.mktemp("api"), **files) as running:
        yield running


def address(running: ApiServer) -> tuple[str, int]:
    return "127.0.0.1", httpx2.URL(running.url).port or 0


def handshake(running: ApiServer, context: ssl.SSLContext) -> str | None:
    """The version that both sides agree on."""
    with (
        socket.create_connection(address(running), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="api.example.com") as secured,
    ):
        return secured.version()


def test_the_api_speaks_tls_and_the_money_path_too(tls_server: ApiServer, operator_key: str) -> None:
    caller = tls_server.caller(operator_key)
    assert tls_server.url.startswith("https://")
    wallet = caller.post("/wallets", {"name": "Till"})
    assert wallet.status_code == 201
    deposit = caller.post(f"/wallets/{wallet.json()['id']}/deposits", {"money": {"amount": "5.00", "asset": "USD"}})
    assert deposit.status_code == 201


def test_a_client_that_knows_the_signer_trusts_it_by_its_name(tls_server: ApiServer, certificate: Certificate) -> None:
    trusting = ssl.create_default_context(cafile=certificate.certificate)
    assert handshake(tls_server, trusting) == "TLSv1.3"


def test_tls_1_2_is_spoken_and_nothing_older(tls_server: ApiServer) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert handshake(tls_server, old) == "TLSv1.2"
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        handshake(tls_server, old)


def test_plain_http_is_not_answered_there(tls_server: ApiServer) -> None:
    with pytest.raises(httpx2.TransportError):
        httpx2.get(tls_server.url.replace("https:", "http:") + "/healthz")


def test_without_a_public_address_no_browser_is_bound_to_https(tls_server: ApiServer) -> None:
    answer = tls_server.client.get(f"{tls_server.url}/healthz")
    assert answer.status_code == 200
    assert "strict-transport-security" not in answer.headers


async def test_a_probe_knows_the_certificate_and_no_other(
    tls_server: ApiServer, certificate: Certificate, tmp_path: Path
) -> None:
    ready = f"{tls_server.url}/readyz"
    assert await roles.answers(ready, certificate.certificate)
    other = certificates.make(tmp_path)
    assert not await roles.answers(ready, other.certificate)
    # The key goes to nobody who can't show it.
    assert not await roles.refuses_key(tls_server.url, "bf_test_wrong", other.certificate)
    assert await roles.refuses_key(tls_server.url, "bf_test_wrong", certificate.certificate)


async def test_whoever_does_not_finish_the_handshake_is_cut_off(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_TIMEOUT_S", 0.2)
    server.hurry_handshakes(asyncio.get_running_loop())
    context = tls.server_context(certificate.certificate, certificate.key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = Server(server.config(Client().app, host="127.0.0.1", port=0, tls=context))
        serving = asyncio.create_task(running.serve([listening]))
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        async with asyncio.timeout(10):
            writer.write(b"\x16\x03")
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        running.should_exit = True
        await serving


def broken(folder: Path, kind: str) -> Certificate:
    """A pair of files of which something is wrong."""
    good = certificates.make(folder, "good", password=b"hush" if kind == "locked" else None)
    other = certificates.make(folder, "other")
    garbled = folder / "garbled"
    garbled.write_text("-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n")
    pairs = {
        "missing": (folder / "nowhere", good.key),
        "missing key": (good.certificate, folder / "nowhere"),
        "garbled": (garbled, good.key),
        "garbled key": (good.certificate, garbled),
        "swapped": (good.key, good.certificate),
        "mismatched": (good.certificate, other.key),
        "locked": (good.certificate, good.key),
        "folder": (folder, good.key),
    }
    return Certificate(*pairs[kind])


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "nowhere can't be read: No such file or directory"),
        ("missing key", "nowhere can't be read: No such file or directory"),
        ("garbled", "garbled holds no certificate in PEM form"),
        ("garbled key", "garbled holds no private key in PEM form"),
        ("swapped", "good.key holds no certificate in PEM form"),
        ("mismatched", r"the key in .*other.key is not that of the certificate in .*good.crt"),
        ("locked", "good.key is locked by a password"),
        ("folder", "can't be read: Is a directory"),
    ],
)
def test_files_that_will_not_do_are_told_apart(tmp_path: Path, kind: str, said: str) -> None:
    pair = broken(tmp_path, kind)
    with pytest.raises(tls.CertificateUnusable, match=said):
        tls.server_context(pair.certificate, pair.key)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("api__tls_certificate", "api.tls_key is missing: api.tls_certificate alone is not enough for TLS."),
        ("api__tls_key", "api.tls_certificate is missing: api.tls_key alone is not enough for TLS."),
    ],
)
def test_one_file_alone_stops_the_start(
    api_database: servers.TestDatabase, certificate: Certificate, tmp_path: Path, setting: str, said: str
) -> None:
    with (
        pytest.raises(AssertionError, match="it ended instead of serving"),
        support.running_api(api_database, tmp_path, **{setting: str(getattr(certificate, setting.rpartition("_")[2]))}),
    ):
        pass
    log = " ".join((tmp_path / "api.log").read_text().split())
    assert said in log
    assert "Traceback" not in log


def test_so_do_files_that_do_not_belong_together(api_database: servers.TestDatabase, tmp_path: Path) -> None:
    pair = broken(tmp_path, "mismatched")
    files = {"api__tls_certificate": str(pair.certificate), "api__tls_key": str(pair.key)}
    with (
        pytest.raises(AssertionError, match="it ended instead of serving"),
        support.running_api(api_database, tmp_path, **files),
    ):
        pass
    log = " ".join((tmp_path / "api.log").read_text().split())
    assert "api.tls_certificate or api.tls_key is wrong: the key in" in log
    assert "Traceback" not in log


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl, the Debian package, is not installed")
def test_curl_takes_it_with_the_certificate_as_its_authority(tls_server: ApiServer, certificate: Certificate) -> None:
    said = subprocess.run(
        ["curl", "-sS", "--cacert", certificate.certificate, f"{tls_server.url}/healthz"],
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert b"alive" in said.stdout
