"""Sessions of browsers: tokens in cookies that no script can read and no other site's request carries.

Since a browser sends cookies by itself, whoever changes something has to show besides that they can read our answers:
by a header with the CSRF token, which is a hash of the access token. Nothing is kept for it, and it is as secret as the
token that it is made of.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256

from litestar.datastructures import Cookie

from billfold.platform.web import errors
from billfold.platform.web.operations import PREFIX

#: Methods that change nothing.
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
#: Refresh tokens go to these paths only.
REFRESH_PATH = f"{PREFIX}/auth"
_CSRF_HEADER = b"x-csrf-token"
#: For answers that end a login: what a browser has kept of our answers and our pages goes with it. It has no cookies in
#: it, for a browser would forget those of the whole domain.
LEAVING = {"Clear-Site-Data": '"cache", "storage"'}
#: What a browser says of a request that one of our own pages has made, or its user by hand (Fetch Metadata).
_OWN_SITES = (b"same-origin", b"none")


class Cookies:
    """The cookies of an API that is reached by https, or not."""

    def __init__(self, *, https: bool) -> None:
        self.https = https
        # A browser takes these prefixes from https alone, and lets no other host of the domain set them.
        self.access_name = "__Host-billfold" if https else "billfold"
        self.refresh_name = "__Secure-billfold-refresh" if https else "billfold-refresh"
        self.pending_name = "__Secure-billfold-pending" if https else "billfold-pending"
        self._access = self.access_name.encode() + b"="
        self._refresh = self.refresh_name.encode() + b"="

    def access_in(self, headers: Mapping[bytes, bytes]) -> bytes | None:
        """The access token that a browser has sent."""
        return _value(headers, self._access)

    def refresh_in(self, headers: Mapping[bytes, bytes]) -> str | None:
        """The refresh token that a browser has sent.

        Raises:
            CrossSite: a page of another site has made it send this request.
        """
        found = _value(headers, self._refresh)
        if found is None:
            return None
        check_own_page(headers)
        return found.decode("ascii", errors="replace")

    def given(self, *, access_token: str, refresh_token: str, max_age: int) -> list[Cookie]:
        """The cookies of a login. Both stay as long as the refresh token is good."""
        return [
            self._cookie(self.access_name, access_token, path="/", max_age=max_age),
            self._cookie(self.refresh_name, refresh_token, path=REFRESH_PATH, max_age=max_age),
        ]

    def pending(self, token: str, *, max_age: int) -> Cookie:
        """The cookie of a login that is not complete. It goes to the same paths as refresh tokens; 0 takes it away."""
        return self._cookie(self.pending_name, token, path=REFRESH_PATH, max_age=max_age)

    def taken(self) -> list[Cookie]:
        """What makes a browser forget both."""
        return [
            self._cookie(self.access_name, "", path="/", max_age=0),
            self._cookie(self.refresh_name, "", path=REFRESH_PATH, max_age=0),
        ]

    def _cookie(self, name: str, value: str, *, path: str, max_age: int) -> Cookie:
        return Cookie(
            key=name, value=value, path=path, max_age=max_age, httponly=True, secure=self.https, samesite="strict"
        )


def csrf_token(access_token: bytes) -> str:
    """What a page has to send with whatever it changes."""
    return urlsafe_b64encode(sha256(b"csrf:" + access_token).digest()).rstrip(b"=").decode("ascii")


def check_own_page(headers: Mapping[bytes, bytes]) -> None:
    """Go on only if no page of another origin has made a browser send this, as far as the browser says.

    All browsers since 2023 do; older ones name at least the page's origin. Whoever says neither is no browser.

    Raises:
        CrossSite.
    """
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is not None:
        own = site in _OWN_SITES
    else:
        own = origin is None or origin.partition(b"://")[2] == headers.get(b"host")
    if not own:
        raise errors.CrossSite


def check_csrf(method: str, headers: Mapping[bytes, bytes], access_token: bytes) -> None:
    """Go on only if nothing is to change, or a page that could read the login's answer wants it.

    Raises:
        CrossSite, CsrfTokenWrong.
    """
    if method in SAFE:
        return
    check_own_page(headers)
    if not hmac.compare_digest(headers.get(_CSRF_HEADER, b""), csrf_token(access_token).encode("ascii")):
        raise errors.CsrfTokenWrong


def _value(headers: Mapping[bytes, bytes], wanted: bytes) -> bytes | None:
    # A browser sends the cookie of the longest path first, and repeated headers were put together with commas.
    for cookie in headers.get(b"cookie", b"").replace(b", ", b"; ").split(b"; "):
        if cookie.startswith(wanted):
            return cookie[len(wanted) :]
    return None
