"""The example of a gateway, run for real: what it lets through, what it refuses, and when a replica dies."""

from __future__ import annotations

import hmac
import itertools
import json
import socket
import ssl
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx2
import pytest
from websockets.asyncio.client import connect

from billfold.kernel import ids
from billfold.platform.keys import Envelope, local
from billfold.platform.postgres.database import Database
from tests import facades
from tests.integration.gateway import support
from tests.integration.gateway.conftest import Site
from tests.integration.gateway.support import Gateway, Signer

#: Addresses of this machine that no other test here has used.
_addresses = (f"127.0.1.{number}" for number in itertools.count(1))


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def served_by_billfold(answer: httpx2.Response) -> bool:
    """The headers of the API's own answers are on no answer of the gateway's."""
    return "permissions-policy" in answer.headers


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + support.START_TIMEOUT_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def symmetric(signer: Signer) -> str:
    """A token whose signature is a hash with the public key, which everybody knows."""
    head, body, _ = signer.token(algorithm="HS256").split(".")
    signature = hmac.digest(signer.jwks, f"{head}.{body}".encode(), sha256)
    return f"{head}.{body}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"


FORGED: dict[str, Callable[[Signer], str]] = {
    "signed by somebody else": lambda ours: Signer(kid=ours.kid).token(),
    "signed by an unknown key": lambda _: Signer(kid="two").token(),
    "not signed": lambda ours: ours.token(algorithm="none"),
    "hashed with the public key": symmetric,
    "expired": lambda ours: ours.token(exp=int(time.time()) - 120),
    "not good yet": lambda ours: ours.token(nbf=int(time.time()) + 120),
    "for another audience": lambda ours: ours.token(aud="https://elsewhere.example"),
    "of another issuer": lambda ours: ours.token(iss="https://elsewhere.example"),
    "no token at all": lambda _: "nonsense",
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_token_that_is_not_right_comes_no_further(site: Site, gateway_server: Gateway, kind: str) -> None:
    with gateway_server.client() as client:
        answer = client.get("/api/v1/wallets", headers=bearer(FORGED[kind](site.signer)) | {"x-request-id": "r-1"})
    assert answer.status_code == 401
    assert not served_by_billfold(answer)
    assert answer.headers["content-type"] == "application/problem+json"
    assert {name: answer.json()[name] for name in ("code", "status", "instance", "request_id", "retryable")} == {
        "code": "unauthorized",
        "status": 401,
        "instance": "/api/v1/wallets",
        "request_id": "r-1",
        "retryable": False,
    }


def test_a_token_that_is_right_goes_on_to_the_api(site: Site, gateway_server: Gateway) -> None:
    with gateway_server.client() as client:
        assert served_by_billfold(client.get("/api/v1/wallets", headers=bearer(site.signer.token())))


async def test_a_token_that_billfold_has_signed_is_known_by_its_own_keys(site: Site, tmp_path: Path) -> None:
    token = await access_token(site)
    with (
        support.running(tmp_path, certificate=site.certificate, replicas=site.ports) as gateway,
        gateway.client() as client,
    ):
        assert client.get("/api/v1/wallets", headers=bearer(token)).json() == {"items": [], "next": None}
        head, body, signature = token.split(".")
        forged = client.get("/api/v1/wallets", headers=bearer(f"{head}.{body}.{signature[::-1]}"))
        assert forged.status_code == 401
        assert not served_by_billfold(forged)


async def access_token(site: Site) -> str:
    """That of somebody who has just logged in."""
    database = await Database.connect(site.database.app_dsn, name="test")
    owner = await asyncpg.connect(site.database.owner_dsn)
    facade = facades.identity(database, envelope=Envelope(local.load(site.keys)), issuer=support.PUBLIC_URL)
    try:
        user = UUID((await facade.keys.create_owner(name=f"Ada {ids.new()}")).id)
        await owner.execute(
            "INSERT INTO identity.users (id, display_name, locale, time_zone, created_at) "
            "VALUES ($1, 'Ada', 'en', 'UTC', now())",
            user,
        )
        async with database.transaction() as connection:
            tokens = await facade.sessions.start(
                connection, user_id=user, methods=["pwd"], device="test", address="127.0.0.1"
            )
    finally:
        facade.close()
        await owner.close()
        await database.close()
    assert tokens.access_token is not None
    return tokens.access_token


@pytest.mark.parametrize(
    "path", ["/api/v1/auth/../wallets", "/api/v1/auth/./../wallets", "/api//v1/wallets", "//api/v1/wallets"]
)
def test_no_spelling_of_a_path_goes_round_the_check(site: Site, gateway_server: Gateway, path: str) -> None:
    token = Signer(kid=site.signer.kid).token()
    assert raw(gateway_server, f"GET {path}", f"Authorization: Bearer {token}").startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("path", ["/api%2fv1/wallets", "/api/v1/auth%2F..%2Fwallets", "/api/v1/auth%5c..%5cwallets"])
def test_a_slash_in_disguise_is_refused(gateway_server: Gateway, path: str) -> None:
    assert raw(gateway_server, f"GET {path}").startswith(b"HTTP/1.1 400")


def raw(gateway: Gateway, line: str, *headers: str) -> bytes:
    """What is answered to a request that no client library would write."""
    context = ssl.create_default_context(cafile=gateway.certificate.certificate)
    request = "\r\n".join([f"{line} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""])
    with (
        socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.sendall(request.encode())
        return secured.recv(65536)


#: What is asked for, and what of it is written down.
LOGGED = {
    "/api/v1/aliases/ada.c4n4ry@example.com": "/api/v1/aliases/-",
    "/api/v1/aliases/ada.c4n4ry%40example.com": "/api/v1/aliases/-",
    "/api/v1/aliases/c4n4ry/verify": "/api/v1/aliases/-",
    "/api/v1/al%69ases/ada.c4n4ry@example.com": "/api/v1/aliases/-",
    "/api/v1/Aliases/c4n4ry": "/api/v1/aliases/-",
    "/api/v1/users/ada.c4n4ry@example.com": "-",
    "/api/v1/users?email=ada.c4n4ry@example.com": "/api/v1/users",
    "/api/v1/aliases?kind=c4n4ry": "/api/v1/aliases",
    "/api/v1/wallets/019aa2c6-7a00-7000-8000-00000000d001/statement": None,
}


def test_no_log_says_whom_somebody_has_looked_for(gateway_server: Gateway, site: Site) -> None:
    token, asked = site.signer.token(), {str(ids.new()): path for path in LOGGED}
    for request, path in asked.items():
        raw(gateway_server, f"GET {path}", f"X-Request-Id: {request}", f"Authorization: Bearer {token}")
    # Envoy writes its log now and then.
    until(lambda: all(request in gateway_server.output.read_text() for request in asked))
    text = gateway_server.output.read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    logged = {asked[line["request_id"]]: line["path"] for line in lines if line["request_id"] in asked}
    assert logged == {path: shown or path for path, shown in LOGGED.items()}
    for log in (text, *(replica.log for replica in site.replicas)):
        assert "c4n4ry" not in log


def test_an_api_key_is_for_billfold_to_judge(gateway_server: Gateway, operator_key: str) -> None:
    with gateway_server.client() as client:
        assert client.get("/api/v1/api-keys", headers=bearer(operator_key)).status_code == 200
        wrong = client.get("/api/v1/api-keys", headers=bearer("bf_test_" + "x" * 50))
        assert wrong.status_code == 401
        assert served_by_billfold(wrong)


def test_no_credentials_are_for_billfold_to_judge_too(gateway_server: Gateway) -> None:
    with gateway_server.client() as client:
        assert client.get("/docs").status_code == 200
        nobody = client.get("/api/v1/wallets")
        assert nobody.status_code == 401
        assert served_by_billfold(nobody)


def test_a_login_may_bring_a_token_that_has_expired(site: Site, gateway_server: Gateway) -> None:
    expired = site.signer.token(exp=int(time.time()) - 3600)
    with gateway_server.client() as client:
        assert served_by_billfold(client.post("/api/v1/auth/refresh", headers=bearer(expired), json={}))


def test_tls_1_2_and_http_2_are_spoken_and_nothing_older(gateway_server: Gateway) -> None:
    context = ssl.create_default_context(cafile=gateway_server.certificate.certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", gateway_server.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        assert (secured.version(), secured.selected_alpn_protocol()) == ("TLSv1.3", "h2")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", gateway_server.port), timeout=10) as plain, pytest.raises(ssl.SSLError):
        old.wrap_socket(plain)


def test_a_request_keeps_its_id_or_gets_one(gateway_server: Gateway) -> None:
    with gateway_server.client() as client:
        assert client.get("/healthz", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
        given = client.get("/healthz").headers["x-request-id"]
    assert UUID(given)


def test_a_body_too_large_comes_no_further_and_a_bulk_does(gateway_server: Gateway, operator_key: str) -> None:
    headers = bearer(operator_key) | {"idempotency-key": "large", "content-type": "application/json"}
    with gateway_server.client() as client:
        refused = client.post("/api/v1/transfers", headers=headers, content=b"{" + b" " * 200_000 + b"}")
        assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
        assert not served_by_billfold(refused)
        bulk = client.post("/api/v1/transfers/bulk", headers=headers, content=b"{" + b" " * 1_000_000 + b"}")
        assert bulk.json()["code"] == "missing_field"
        too_large = client.post("/api/v1/transfers/bulk", headers=headers, content=b"{" + b" " * 3_000_000 + b"}")
        assert too_large.status_code == 413


def test_the_address_of_a_client_reaches_the_limits_of_billfold(gateway_server: Gateway) -> None:
    def asked(address: str, headers: dict[str, str] | None = None) -> int:
        with gateway_server.client(address=address) as client:
            return client.get("/docs", headers=headers).status_code

    one, other = next(_addresses), next(_addresses)
    # Either replica counts up to twenty for itself.
    answers = [asked(one) for _ in range(60)]
    assert 200 in answers
    assert answers[-1] == 429
    # Whatever a client writes itself stands left of what the gateway has seen.
    forged = {"x-forwarded-for": "203.0.113.9"}
    assert [asked(one, forged) for _ in range(3)] == [429] * 3
    assert asked(other) == 200


def test_an_address_that_comes_too_often_is_told_when_to_come_back(site: Site, tmp_path: Path) -> None:
    many = "max_tokens: 2000, tokens_per_fill: 1000, fill_interval: 1s"
    few = {many: "max_tokens: 5, tokens_per_fill: 5, fill_interval: 60s"}
    with support.running(
        tmp_path, certificate=site.certificate, replicas=site.ports, jwks_port=site.jwks_port, changes=few
    ) as gateway:
        with gateway.client(address=next(_addresses)) as client:
            answers = [client.get("/healthz") for _ in range(7)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
        assert answers[-1].json()["code"] == "too_many_requests"
        assert answers[-1].headers["retry-after"] == "1"
        with gateway.client(address=next(_addresses)) as client:
            assert client.get("/healthz").status_code == 200


def test_both_replicas_serve(site: Site, gateway_server: Gateway, operator_key: str) -> None:
    def served() -> list[float]:
        found = []
        for running in site.replicas:
            text = httpx2.get(f"{running.metrics_url}/metrics").text
            lines = [line for line in text.splitlines() if 'route="/api/v1/api-keys"' in line and "_count{" in line]
            found.append(sum(float(line.rpartition(" ")[2]) for line in lines))
        return found

    before = served()
    with gateway_server.client() as client:
        for _ in range(40):
            assert client.get("/api/v1/api-keys", headers=bearer(operator_key)).status_code == 200
    assert all(now > then for now, then in zip(served(), before, strict=True))


def test_when_a_replica_is_killed_requests_go_on_and_none_is_done_twice(
    site: Site, operator_key: str, tmp_path: Path
) -> None:
    (tmp_path / "api").mkdir()
    with (
        site.replica(tmp_path / "api") as doomed,
        support.running(
            tmp_path,
            certificate=site.certificate,
            replicas=(int(doomed.url.rpartition(":")[2]), site.ports[0]),
            jwks_port=site.jwks_port,
        ) as gateway,
        gateway.client() as client,
    ):
        headers = bearer(operator_key)
        till = client.post(
            "/api/v1/wallets", headers=headers | {"idempotency-key": str(ids.new())}, json={"name": "Till"}
        )
        path = f"/api/v1/wallets/{till.json()['id']}"
        money = {"money": {"amount": "1.00", "asset": "USD"}}
        numbers = itertools.count()
        statuses: list[int] = []
        over = threading.Event()

        def deposits(worker: int) -> None:
            while not over.is_set():
                key = f"{path}-{worker}-{next(numbers)}"
                answer = client.post(f"{path}/deposits", headers=headers | {"idempotency-key": key}, json=money)
                statuses.append(answer.status_code)

        def more(count: int) -> None:
            enough = len(statuses) + count
            until(lambda: len(statuses) >= enough)

        with ThreadPoolExecutor(8) as pool:
            working = [pool.submit(deposits, worker) for worker in range(8)]
            try:
                more(50)
                doomed.process.kill()
                more(200)
            finally:
                over.set()
            for work in working:
                work.result()
        assert set(statuses) == {201}
        balance = client.get(f"{path}/balance", headers=headers, params={"asset": "USD"}).json()
        assert f"{len(statuses)}.00" in json.dumps(balance)
        until(lambda: gateway.statistic("cluster.billfold_api.membership_healthy") == 1)
        assert client.get(path, headers=headers).status_code == 200


def test_when_all_replicas_are_gone_the_answer_is_unavailable(site: Site, operator_key: str, tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    with site.replica(tmp_path / "api") as doomed:
        port = int(doomed.url.rpartition(":")[2])
        with (
            support.running(
                tmp_path, certificate=site.certificate, replicas=(port, port), jwks_port=site.jwks_port
            ) as gateway,
            gateway.client() as client,
        ):
            doomed.process.kill()
            assert client.get("/api/v1/wallets", headers=bearer(operator_key)).status_code == 503


def test_no_secret_is_in_the_gateways_log(site: Site, gateway_server: Gateway, operator_key: str) -> None:
    with gateway_server.client() as client:
        client.get("/api/v1/wallets?cursor=hush", headers=bearer(operator_key) | {"x-request-id": "logged-1"})
    until(lambda: "logged-1" in gateway_server.output.read_text())
    log = gateway_server.output.read_text()
    assert operator_key not in log
    assert "hush" not in log


async def test_streams_and_websockets_go_through(gateway_server: Gateway, operator_key: str) -> None:
    trust = ssl.create_default_context(cafile=gateway_server.certificate.certificate)
    with (
        gateway_server.client(address=next(_addresses)) as client,
        client.stream("GET", "/api/v1/stream", headers=bearer(operator_key)) as answer,
    ):
        assert answer.status_code == 200
        assert next(answer.iter_lines()) == "retry: 2000"
    url = gateway_server.url.replace("https", "wss", 1) + "/api/v1/ws"
    async with connect(url, ssl=trust, proxy=None) as connection:
        await connection.send(json.dumps({"type": "authenticate", "token": operator_key}))
        assert json.loads(await connection.recv())["type"] == "ready"
