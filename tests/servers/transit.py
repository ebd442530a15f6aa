"""A stand-in for the Transit engine of a Vault: the calls that the provider makes, with what a real one answers.

It is no Vault: it keeps keys in memory, knows one token, and has no policies. Where VAULT_ADDR is set (with VAULT_TOKEN
and a Transit engine at `transit/`), the same tests run against the real one there instead.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN = secrets.token_hex(12)


class _RefusedError(Exception):
    def __init__(self, status: int, *reasons: str) -> None:
        super().__init__(*reasons)
        self.status = status


class _Engine:
    """Keys of type aes256-gcm96, each with its versions."""

    def __init__(self) -> None:
        self.keys: dict[str, list[bytes]] = {}
        self.min_decryption: dict[str, int] = {}
        self.sealed = False

    def answer(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        parts = path.removeprefix("/v1/transit/").split("/")
        match method, parts:
            case "POST" | "PUT", ["keys", name]:
                self.keys.setdefault(name, [secrets.token_bytes(32)])
                return None
            case "POST" | "PUT", ["keys", name, "rotate"]:
                self._key(name).append(secrets.token_bytes(32))
                return None
            case "POST" | "PUT", ["keys", name, "config"]:
                self.min_decryption[name] = int(body["min_decryption_version"])
                return None
            case "GET", ["keys", name]:
                versions = len(self._key(name, missing=404))
                return {"name": name, "type": "aes256-gcm96", "latest_version": versions, "min_decryption_version": 1}
            case "POST" | "PUT", ["encrypt", name]:
                return self._encrypt(name, body)
            case "POST" | "PUT", ["decrypt", name]:
                return {"plaintext": base64.b64encode(self._decrypt(name, body)).decode()}
        raise _RefusedError(404)

    def _key(self, name: str, *, missing: int = 400) -> list[bytes]:
        if name not in self.keys:
            raise _RefusedError(missing, *(["encryption key not found"] if missing == 400 else []))
        return self.keys[name]

    def _encrypt(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        # A real one makes a key that is missing, when the policy lets it.
        versions = self.keys.setdefault(name, [secrets.token_bytes(32)])
        nonce = secrets.token_bytes(12)
        plain, context = base64.b64decode(body["plaintext"]), base64.b64decode(body.get("associated_data", ""))
        text = nonce + AESGCM(versions[-1]).encrypt(nonce, plain, context)
        return {"ciphertext": f"vault:v{len(versions)}:{base64.b64encode(text).decode()}", "key_version": len(versions)}

    def _decrypt(self, name: str, body: dict[str, Any]) -> bytes:
        prefix, _, rest = body["ciphertext"].partition(":v")
        number, _, encoded = rest.partition(":")
        if prefix != "vault" or not number.isdigit():
            raise _RefusedError(400, "invalid ciphertext: no prefix")
        versions = self._key(name)
        if not 1 <= int(number) <= len(versions):
            raise _RefusedError(400, "invalid ciphertext: version is too new")
        if int(number) < self.min_decryption.get(name, 1):
            raise _RefusedError(400, "ciphertext or signature version is disallowed by policy (too old)")
        try:
            text = base64.b64decode(encoded, validate=True)
            context = base64.b64decode(body.get("associated_data", ""))
            return AESGCM(versions[int(number) - 1]).decrypt(text[:12], text[12:], context)
        except InvalidTag:
            raise _RefusedError(400, "cipher: message authentication failed") from None
        except ValueError:
            raise _RefusedError(400, "invalid ciphertext: could not decode base64") from None


class TransitServer:
    """The stand-in, and the means to seal it and to have it hang up."""

    def __init__(self, url: str, engine: _Engine) -> None:
        self.url = url
        self.token = TOKEN
        self.engine = engine


@contextmanager
def running_transit() -> Iterator[TransitServer]:
    engine = _Engine()

    class Handler(_Handler):
        answers = engine

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="transit", daemon=True)
        thread.start()
        try:
            yield TransitServer(f"http://127.0.0.1:{server.server_port}", engine)
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    answers: ClassVar[_Engine]

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _serve(self, method: str) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if self.answers.sealed:
                raise _RefusedError(503, "Vault is sealed")
            if self.headers.get("X-Vault-Token") != TOKEN:
                raise _RefusedError(403, "permission denied")
            data = self.answers.answer(method, self.path, json.loads(content or b"{}"))
            self._send(204 if data is None else 200, None if data is None else {"request_id": "x", "data": data})
        except _RefusedError as refused:
            self._send(refused.status, {"errors": list(refused.args)})

    def _send(self, status: int, body: dict[str, Any] | None) -> None:
        text = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
