"""AWS Signature Version 4 of one request to an object store: what every server that speaks the S3 protocol asks for.

A chain of HMACs over the request, so that the key itself is never sent. Everything that is sent is signed, the body by
its hash. It is written out here since clients that bring it can't put an object only where none is, or bring a hundred
megabytes beside it; AWS's own example is among the tests.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256

import msgspec

_ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(msgspec.Struct, frozen=True):
    """Who we are there, and for which region. Its text form shows no secret."""

    access_key: str
    secret_key: str
    region: str

    def __repr__(self) -> str:
        return f"Credentials(region={self.region!r})"


def signed(
    credentials: Credentials, *, method: str, path: str, headers: Mapping[str, str], body: bytes, at: datetime
) -> dict[str, str]:
    """The headers with those that show who sends the request.

    `headers` have names in lower case and `host` among them; `path` needs no escapes, and there is no query.
    """
    instant = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    digest = sha256(body).hexdigest()
    sent = {**headers, "x-amz-content-sha256": digest, "x-amz-date": instant}
    names = ";".join(sorted(sent))
    lines = "".join(f"{name}:{sent[name].strip()}\n" for name in sorted(sent))
    canonical = f"{method}\n{path}\n\n{lines}\n{names}\n{digest}"
    scope = f"{instant[:8]}/{credentials.region}/s3/aws4_request"
    text = f"{_ALGORITHM}\n{instant}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    shown = f"{credentials.access_key}/{scope}"
    signature = _hmac(key, text).hex()
    sent["authorization"] = f"{_ALGORITHM} Credential={shown}, SignedHeaders={names}, Signature={signature}"
    return sent


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
