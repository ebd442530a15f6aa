"""Who is calling: the credentials of a request, checked by whoever knows credentials.

What credentials are, and how they are kept, is the identity context's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from billfold.kernel.principal import Principal
from billfold.platform.web import errors
from billfold.platform.web.cookies import Cookies, check_csrf

_SCHEME = b"bearer "
#: Longer than any credentials that we give out; tokens of other issuers name every role of their bearer.
_TOKEN_BYTES_MAX = 8_192


class Authenticator(Protocol):
    """Knows credentials."""

    def remembered(self, token: bytes) -> Principal | None:
        """Whose token this is, if that was found out within the last second. Takes no time of note."""
        ...

    async def authenticate(self, token: bytes) -> Principal:
        """Whose token this is.

        Raises:
            BillfoldError: it is not valid (any more), or that can't be found out now.
        """
        ...


async def principal_of(
    headers: Mapping[bytes, bytes], authenticator: Authenticator, cookies: Cookies, *, method: str
) -> Principal:
    """Whoever the request's Authorization header names, or without one its cookie.

    Raises:
        Unauthorized: there is neither, or no valid token in it.
        CrossSite, CsrfTokenWrong: a browser has sent the cookie, and something is to change.
    """
    value = headers.get(b"authorization")
    if value is None:
        return await _of_browser(headers, authenticator, cookies, method)
    if value[: len(_SCHEME)].lower() != _SCHEME or len(value) > _TOKEN_BYTES_MAX:
        raise errors.Unauthorized
    token = value[len(_SCHEME) :].strip()
    return authenticator.remembered(token) or await authenticator.authenticate(token)


async def _of_browser(
    headers: Mapping[bytes, bytes], authenticator: Authenticator, cookies: Cookies, method: str
) -> Principal:
    token = cookies.access_in(headers)
    if token is None or len(token) > _TOKEN_BYTES_MAX:
        raise errors.Unauthorized
    principal = authenticator.remembered(token) or await authenticator.authenticate(token)
    if not principal.is_session:
        raise errors.Unauthorized("A cookie carries a login, not an API key.")
    check_csrf(method, headers, token)
    return principal
