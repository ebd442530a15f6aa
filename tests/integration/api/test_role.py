"""The process that serves the API, from its start to its end."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from billfold.app.migrate import SETS
from tests import master_keys, servers
from tests.integration.api import support
from tests.integration.api.support import ApiServer

#: From the moment a server is back to the moment the pool has found it.
RECOVERY_TIMEOUT_S = 60.0


def spoken(server: ApiServer, request: bytes) -> bytes:
    """What the server answers to these very bytes, until it hangs up."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def test_it_is_alive_and_ready(api_server: ApiServer) -> None:
    assert httpx2.get(f"{api_server.url}/healthz").json() == {"status": "alive"}
    ready = httpx2.get(f"{api_server.url}/readyz")
    assert ready.json() == {"status": "ready", "dependencies": {"postgresql": {"state": "up"}}}


def test_it_does_not_say_what_it_is_made_of(api_server: ApiServer) -> None:
    for path in ("/healthz", "/nothing", "/api/v1/wallets", "/docs"):
        answer = httpx2.get(f"{api_server.url}{path}")
        assert "server" not in answer.headers
        assert "uvicorn" not in answer.text.lower() + str(answer.headers)
        assert "litestar" not in answer.text.lower()


def test_head_has_no_body(api_server: ApiServer) -> None:
    answer = spoken(api_server, b"HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"content-length: 18" in head
    assert body == b""


def test_what_is_no_http_is_answered_400(api_server: ApiServer) -> None:
    assert spoken(api_server, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_a_head_without_end_is_cut_off(api_server: ApiServer) -> None:
    answer = spoken(api_server, b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 40_000)
    assert answer.startswith(b"HTTP/1.1 431")


def test_a_long_path_is_answered(api_server: ApiServer) -> None:
    answer = httpx2.get(f"{api_server.url}/{'a' * 9000}")
    assert answer.json()["code"] == "route_not_found"


def test_a_body_in_chunks_is_read_up_to_its_limit(api_server: ApiServer, operator_key: str) -> None:
    def endless() -> object:
        for _ in range(100):
            yield b" " * 65536

    caller = api_server.caller(operator_key)
    answer = caller.client.post(
        "/transfers",
        content=endless(),  # type: ignore[arg-type]
        headers={
            "authorization": f"Bearer {operator_key}",
            "content-type": "application/json",
            "idempotency-key": "chunks",
        },
    )
    assert answer.json()["code"] == "body_too_large"


def test_metrics_are_on_a_port_of_their_own(api_server: ApiServer, operator_key: str) -> None:
    assert httpx2.get(f"{api_server.url}/metrics").status_code == 404
    api_server.caller(operator_key).get("/api-keys")
    shown = httpx2.get(f"{api_server.metrics_url}/metrics")
    assert shown.headers["content-type"].startswith("text/plain")
    assert 'billfold_http_request_seconds_count{method="GET",route="/api/v1/api-keys",status="200"}' in shown.text
    assert "process_resident_memory_bytes" in shown.text
    assert httpx2.get(f"{api_server.metrics_url}/").status_code == 404
    assert httpx2.post(f"{api_server.metrics_url}/metrics").status_code == 405


def test_pydantic_is_not_imported() -> None:
    code = "import sys; from tests.unit.platform.web.example import Client; Client(); print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("role", ["api", "worker"])
def test_a_start_imports_nothing_that_only_some_requests_need(role: str) -> None:
    modules = f"sys, billfold.app.roles.__main__, billfold.app.roles.{role}"
    code = f"import {modules}; print(*filter(sys.modules.get, sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    late = {"aiosmtplib", "httpx2", "jinja2", "joserfc", "phonenumbers", "redis", "rich", "webauthn"}
    assert late.isdisjoint(done.stdout.split())


def test_without_its_database_it_says_so_and_recovers(tmp_path: Path) -> None:
    thread = servers.LoopThread()
    with servers.running_postgres(tmp_path / "pg") as postgres:
        database = postgres.create_database(SETS)
        key = thread.run(support.bootstrapped(database))
        with support.running_api(database, tmp_path) as server:
            caller = server.caller(key)
            assert caller.post("/wallets", {"name": "before"}).status_code == 201
            postgres.kill()
            ready = httpx2.get(f"{server.url}/readyz")
            assert ready.status_code == 503
            assert ready.json()["dependencies"]["postgresql"]["state"] == "down"
            refused = caller.post("/wallets", {"name": "meanwhile"})
            assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
            assert refused.json()["retryable"] is True
            assert refused.headers["retry-after"] == "1"
            assert httpx2.get(f"{server.url}/healthz").status_code == 200
            postgres.start()
            deadline = time.monotonic() + RECOVERY_TIMEOUT_S
            while caller.post("/wallets", {"name": "after"}).status_code != 201:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert server.stop() == 0
    thread.close()


def test_a_request_that_is_being_served_is_answered_before_the_end(
    api_database: servers.TestDatabase, operator_key: str, tmp_path: Path
) -> None:
    with support.running_api(api_database, tmp_path) as server:
        caller = server.caller(operator_key)
        answers: list[int] = []
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                try:
                    answers.append(caller.post("/wallets", {"name": "busy"}).status_code)
                except httpx2.TransportError:
                    # A new request found nobody listening any more.
                    return

        worker = threading.Thread(target=work)
        worker.start()
        deadline = time.monotonic() + support.START_TIMEOUT_S
        while len(answers) < 10:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        code = server.stop()
        stop.set()
        worker.join(support.STOP_TIMEOUT_S)
        assert code == 0
        assert set(answers) <= {201, 503}
        assert "stopped" in server.log
        assert "Traceback" not in server.log


def test_it_ends_when_it_cannot_reach_its_database(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("BILLFOLD_")}
    done = subprocess.run(
        [sys.executable, "-m", "billfold.app.cli", "serve", "api"],
        env=env
        | {
            "BILLFOLD_POSTGRES__DSN": "postgresql://x:canary@127.0.0.1:9/x",
            "BILLFOLD_NATS__URL": "nats://x",
            "BILLFOLD_KEYS__FILE": str(master_keys.file_in(tmp_path)),
        },
        capture_output=True,
        text=True,
        timeout=support.START_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr.startswith("billfold: The database at 127.0.0.1:9 can't be reached: ")
    assert "idempotency key" not in done.stderr
    assert "Traceback" not in done.stderr
    assert "canary" not in done.stderr + done.stdout


@pytest.mark.parametrize("role", ["api", "worker"])
def test_it_does_not_start_without_master_keys_and_says_what_to_do(role: str, tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("BILLFOLD_")}
    env |= {"BILLFOLD_POSTGRES__DSN": "postgresql://x@127.0.0.1:9/x", "BILLFOLD_NATS__URL": "nats://x"}
    short = master_keys.file_in(tmp_path)
    short.write_bytes(short.read_bytes()[:-2])
    for more, said in (
        ({}, "billfold keys create-master FILE"),
        ({"BILLFOLD_KEYS__FILE": str(tmp_path / "none")}, f"{tmp_path}/none is not there"),
        ({"BILLFOLD_KEYS__FILE": str(short)}, f"Line 3 of {short} is not a whole master key"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "billfold.app.cli", "serve", role],
            env=env | more,
            capture_output=True,
            text=True,
            timeout=support.START_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 2, done
        assert done.stderr.startswith("billfold: keys.file ")
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("role", ["api", "worker"])
def test_a_port_for_metrics_that_is_taken_is_named_in_one_line(
    role: str, api_database: servers.TestDatabase, tmp_path: Path
) -> None:
    setting = f"BILLFOLD_{role.upper()}__METRICS_PORT"
    env = {name: value for name, value in os.environ.items() if not name.startswith("BILLFOLD_")}
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        env |= {
            "BILLFOLD_POSTGRES__DSN": api_database.app_dsn,
            "BILLFOLD_NATS__URL": "nats://x",
            "BILLFOLD_KEYS__FILE": str(master_keys.file_in(tmp_path)),
            setting: port,
        }
        done = subprocess.run(
            [sys.executable, "-m", "billfold.app.cli", "serve", role],
            env=env,
            capture_output=True,
            text=True,
            timeout=support.START_TIMEOUT_S,
            check=False,
        )
    assert done.returncode == 1, done
    assert done.stderr.startswith(f"billfold: Port {port} is taken by another program")
    assert done.stderr.endswith(f"with {setting}.\n")
    assert len(done.stderr.splitlines()) == 1


def test_nothing_secret_is_in_its_log(api_database: servers.TestDatabase, operator_key: str, tmp_path: Path) -> None:
    with support.running_api(api_database, tmp_path) as server:
        created = server.caller(operator_key).post("/api-keys", {"name": "seen once", "scopes": ["keys:read"]}).json()
        for key in (operator_key, created["key"], created["key"][:-1] + "x"):
            server.caller(key).get("/api-keys")
            server.caller(key).get(f"/api-keys/{key}")
            server.caller(None).get(f"/api-keys?key={key}")
        # As Ctrl-C does; the supervisor's SIGTERM is tried above.
        server.process.send_signal(signal.SIGINT)
        assert server.stop() == 0
        lines = server.log.splitlines()
    assert json.loads(lines[0])["event"] == "listening"
    for secret in (operator_key, created["key"], api_database.app_dsn):
        assert secret.rpartition("_")[2][:20] not in "".join(lines)


def test_the_library_for_tokens_of_other_issuers_is_loaded_by_those_who_have_some() -> None:
    code = "import sys; import billfold.app.roles.api; print('joserfc' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
