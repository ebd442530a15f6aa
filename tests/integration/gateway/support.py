"""Envoy with the configuration of deploy/gateway, and tokens that it has to judge."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from billfold.platform import host
from tests.certificates import Certificate
from tests.integration.api.support import REQUEST_TIMEOUT_S, STOP_TIMEOUT_S

CONFIGURATION = Path(__file__).parents[3] / "deploy" / "gateway" / "envoy.yaml"
#: The issuer that the configuration names.
PUBLIC_URL = "https://wallets.example.com"
START_TIMEOUT_S = 180.0
_LOCAL = Path(sys.prefix) / "gateway" / "envoy" / "_bin" / "envoy"
#: `make envoy` puts it there; one of the machine's own does as well.
ENVOY = str(_LOCAL) if _LOCAL.exists() else shutil.which("envoy")


@dataclass
class Gateway:
    """A running one."""

    process: subprocess.Popen[bytes]
    port: int
    admin_port: int
    output: Path
    certificate: Certificate

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @contextmanager
    def client(self, *, address: str = "127.0.0.1") -> Iterator[httpx2.Client]:
        """One that comes from this address and trusts the gateway by its name."""
        trust = ssl.create_default_context(cafile=self.certificate.certificate)
        transport = httpx2.HTTPTransport(verify=trust, local_address=address)
        with httpx2.Client(
            base_url=self.url, transport=transport, timeout=REQUEST_TIMEOUT_S, trust_env=False
        ) as client:
            yield client

    def statistic(self, name: str) -> int:
        """A number that Envoy counts; 0 before there is one."""
        text = httpx2.get(f"http://127.0.0.1:{self.admin_port}/stats", params={"filter": f"^{name}$"}).text
        return int(text.rpartition(":")[2]) if text.strip() else 0


@contextmanager
def running(
    folder: Path,
    *,
    certificate: Certificate,
    replicas: tuple[int, int],
    jwks_port: int | None = None,
    changes: Mapping[str, str] | None = None,
) -> Iterator[Gateway]:
    """The gateway of deploy/gateway on free ports; `changes` are texts of its configuration and what replaces them.

    It asks the replicas for the keys of tokens, or what listens at `jwks_port`.
    """
    assert ENVOY is not None
    port, admin_port = host.free_port(), host.free_port()
    file = folder / "envoy.yaml"
    file.write_text(
        _changed(
            {
                "port_value: 8443": f"port_value: {port}",
                "port_value: 9901": f"port_value: {admin_port}",
                "/etc/billfold/tls.crt": str(certificate.certificate),
                "/etc/billfold/tls.key": str(certificate.key),
                "port_value: 8080": f"port_value: {replicas[0]}",
                "port_value: 8081": f"port_value: {replicas[1]}",
                **(_keys_from(jwks_port) if jwks_port is not None else {}),
                **(changes or {}),
            }
        )
    )
    output = folder / "envoy.log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [ENVOY, "--disable-hot-restart", "--concurrency", "2", "--log-level", "warn", "-c", str(file)],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    gateway = Gateway(process, port, admin_port, output, certificate)
    try:
        _wait_ready(gateway)
        yield gateway
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_S)


def _changed(changes: Mapping[str, str]) -> str:
    text = CONFIGURATION.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {CONFIGURATION}"
        text = text.replace(old, new)
    return text


def _keys_from(port: int) -> Mapping[str, str]:
    """The changes by which a server of the key set alone is asked for it."""
    cluster = f"""
    - name: keys
      type: STATIC
      load_assignment:
        cluster_name: keys
        endpoints:
          - lb_endpoints:
              - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }} }}
"""
    return {
        "cluster: billfold_api, timeout: 5s": "cluster: keys, timeout: 5s",
        "\noverload_manager:": f"{cluster}\noverload_manager:",
    }


def _wait_ready(gateway: Gateway) -> None:
    """Wait until it listens and has found both replicas well."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert gateway.process.poll() is None, gateway.output.read_text()
        try:
            healthy = gateway.statistic("cluster.billfold_api.membership_healthy")
            if healthy == 2 and gateway.statistic("listener_manager.total_listeners_active") == 1:
                socket.create_connection(("127.0.0.1", gateway.port), timeout=5).close()
                return
        except (OSError, httpx2.TransportError):
            pass  # It does not listen yet.
        time.sleep(0.05)
    raise AssertionError(f"the gateway was not ready in time: {gateway.output.read_text()}")


class Signer:
    """Signs tokens like the API's, and serves the set of its public key."""

    def __init__(self, *, kid: str = "one") -> None:
        self.kid = kid
        self._key = Ed25519PrivateKey.generate()

    @property
    def jwks(self) -> bytes:
        x = _base64(self._key.public_key().public_bytes_raw())
        return json.dumps(
            {"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.kid, "x": x}]}
        ).encode()

    def token(self, *, algorithm: str = "EdDSA", **claims: Any) -> str:
        now = int(time.time())
        body = {
            "iss": PUBLIC_URL,
            "aud": "billfold",
            "sub": "019aa2c6-7a00-7000-8000-00000000d001",
            "iat": now,
            "exp": now + 600,
        } | claims
        head = {"alg": algorithm, "typ": "at+jwt", "kid": self.kid}
        signed = f"{_base64(json.dumps(head).encode())}.{_base64(json.dumps(body).encode())}"
        signature = b"" if algorithm == "none" else self._key.sign(signed.encode())
        return f"{signed}.{_base64(signature)}"

    @contextmanager
    def serving(self) -> Iterator[int]:
        """The port of a server of the key set, until the block ends."""
        jwks = self.jwks

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(jwks)))
                self.end_headers()
                self.wfile.write(jwks)

            def log_message(self, *_: object) -> None:
                """Nothing is said of requests."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield server.server_port
            server.shutdown()
            thread.join()


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
