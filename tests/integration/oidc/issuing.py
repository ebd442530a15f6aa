"""An issuer whose every document and token is ours to make, right or wrong, over HTTP on this machine."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from billfold.identity.contracts import Provider
from tests.integration.fetching import hostile

DISCOVERY, KEYS = "/.well-known/openid-configuration", "/keys"
AnyKey = RSAKey | ECKey | OKPKey | OctKey


class Issuing:
    """The issuer, and what it has been asked."""

    def __init__(self, server: hostile.Hostile) -> None:
        self.server = server
        self.issuer = server.url("").rstrip("/")
        self.provider = Provider(
            name="test",
            title="Test",
            issuer=self.issuer,
            client_id="web",
            client_secret="secret: word",
            audience="billfold",
            roles_claim=("roles",),
            roles={"auditor": "auditor"},
            services=frozenset({"shop"}),
            accept_tokens=True,
            login=True,
            introspect=True,
        )
        self.key = RSAKey.generate_key(2048, {"kid": "one"})
        self.publish(self.key)
        self.say()

    def say(self, **more: Any) -> None:
        """What it says of itself."""
        said = {
            "issuer": self.issuer,
            "jwks_uri": self.server.url(KEYS),
            "authorization_endpoint": self.server.url("/login"),
            "token_endpoint": self.server.url("/token"),
            "introspection_endpoint": self.server.url("/introspect"),
        }
        self.server.answers[DISCOVERY] = hostile.answer(json.dumps(said | more).encode())

    def publish(self, *keys: AnyKey, max_age_s: int | None = 600, **more: Any) -> None:
        """Its keys, with more fields in each."""
        published = [dict(key.as_dict(private=isinstance(key, OctKey)), **({"use": "sig"} | more)) for key in keys]
        age = f"cache-control: max-age={max_age_s}\r\n" if max_age_s is not None else ""
        self.server.answers[KEYS] = hostile.answer(json.dumps({"keys": published}).encode(), more=age)

    def claims(self, **more: Any) -> dict[str, Any]:
        now = time.time()
        claims = {"iss": self.issuer, "aud": "billfold", "sub": "s1", "iat": now, "exp": now + 300, "typ": "Bearer"}
        return {name: value for name, value in (claims | more).items() if value is not None}

    def token(self, key: AnyKey | None = None, *, alg: str = "RS256", header: Any = None, **claims: Any) -> str:
        key = key or self.key
        protected = {"alg": alg, "kid": key.kid, "typ": "JWT"} | (header or {})
        payload = json.dumps(self.claims(**claims)).encode()
        return str(jws.serialize_compact(protected, payload, key, algorithms=[alg]))

    def unsigned(self, **header: Any) -> str:
        parts = ({"alg": "none", "typ": "JWT", "kid": "one"} | header, self.claims())
        return ".".join([*(encoded(json.dumps(part).encode()) for part in parts), ""])

    def asked_for(self, path: str) -> int:
        """How often it was asked for that."""
        return sum(f" {path} ".encode() in head for head in self.server.asked)


def encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@asynccontextmanager
async def running() -> AsyncIterator[Issuing]:
    async with hostile.running() as server:
        yield Issuing(server)
