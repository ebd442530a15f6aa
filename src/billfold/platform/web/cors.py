"""Which pages of other origins may call the API from a browser: none, unless the settings name them.

Callers show who they are by a header that their own code sets, never by a cookie, so no answer allows credentials.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from billfold.platform.web.problems import Headers

#: Browsers ask again after this time.
MAX_AGE_S = 600
_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_VARY = (b"vary", b"Origin")
_ASKED = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"Authorization, Cache-Control, Content-Type, Idempotency-Key, Prefer, X-Request-Id, Traceparent, Tracestate",
    ),
    (b"access-control-max-age", b"%d" % MAX_AGE_S),
)
_SHOWN = (
    b"access-control-expose-headers",
    b"Age, Idempotency-Replayed, Location, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id",
)


class Cors:
    """The origins that may, separated by commas."""

    def __init__(self, origins: str) -> None:
        """Raises: ValueError, which says what is no origin."""
        named = [one.strip() for one in origins.split(",") if one.strip()]
        for one in named:
            if not _ORIGIN.fullmatch(one):
                raise ValueError(
                    f"{one} is no origin such as https://app.example.com, in small letters, without a path"
                )
        self._origins = frozenset(one.encode() for one in named)

    def names(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether the page that sends these headers is of one of them."""
        return headers.get(b"origin") in self._origins

    def answer(self, headers: Mapping[bytes, bytes]) -> Headers:
        """What every answer to a request with these headers says."""
        origin = headers.get(b"origin")
        if origin is None or origin not in self._origins:
            return [_VARY]
        return [_VARY, (b"access-control-allow-origin", origin), _SHOWN]

    def preflight(self, method: str, headers: Mapping[bytes, bytes]) -> Headers | None:
        """What is answered when a browser asks whether it may send a request; None when that is not what this is."""
        asks = method == "OPTIONS" and b"access-control-request-method" in headers
        return [*_ASKED] if asks and headers.get(b"origin") in self._origins else None
