"""How a login is answered: with tokens for programs, with cookies for browsers."""

from typing import Annotated

import msgspec
from litestar import Response
from msgspec import Meta

from billfold.identity.contracts import SessionTokens
from billfold.platform.web.cookies import Cookies, csrf_token

InCookies = Annotated[
    bool,
    Meta(
        description="For browsers: the tokens come as HttpOnly cookies instead of in the answer, which then has a "
        "`csrf_token` to send as X-CSRF-Token."
    ),
]
EXAMPLE = {
    "user_id": "019aa2c6-7a00-7000-8000-00000000d001",
    "session_id": "019aa2c6-7a00-7000-8000-00000000e001",
    "access_token": "eyJhbGciOiJFZERTQSIsImtpZCI6…",
    "expires_in": 600,
    "refresh_token": "bfr_…",
    "refresh_expires_in": 2592000,
}


def answered(tokens: SessionTokens, *, cookies: Cookies, in_cookies: bool) -> Response[SessionTokens]:
    """The answer to a login or a refresh."""
    if not in_cookies:
        return Response(tokens)
    assert tokens.access_token is not None, "they were just issued"
    assert tokens.refresh_token is not None, "they were just issued"
    body = msgspec.structs.replace(
        tokens, access_token=None, refresh_token=None, csrf_token=csrf_token(tokens.access_token.encode("ascii"))
    )
    given = cookies.given(
        access_token=tokens.access_token, refresh_token=tokens.refresh_token, max_age=tokens.refresh_expires_in
    )
    return Response(body, cookies=given)
