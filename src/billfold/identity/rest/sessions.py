"""Sessions over HTTP: new tokens for old ones, which sessions there are, and their end."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, post
from msgspec import Meta

from billfold.identity import Identity, errors
from billfold.identity.contracts import Session, SessionTokens
from billfold.identity.rest import logins
from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.platform import web
from billfold.platform.web.cookies import LEAVING, Cookies
from billfold.platform.web.errors import CrossSite

_TAG = "Sessions"
_EXAMPLE = {
    "id": logins.EXAMPLE["session_id"],
    "user_id": logins.EXAMPLE["user_id"],
    "device": "Mozilla/5.0 (X11; Linux x86_64)",
    "address": "203.0.113.7",
    "methods": ["pwd", "otp"],
    "created_at": "2026-11-21T09:30:00.123456Z",
    "authenticated_at": "2026-11-21T09:30:00.123456Z",
    "last_used_at": "2026-11-21T10:00:00Z",
    "expires_at": "2026-12-21T09:30:00.123456Z",
    "current": True,
}


class Refresh(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A refresh token to use up. A browser with cookies leaves it out."""

    #: The one that came last.
    refresh_token: Annotated[str, Meta(max_length=100)] | None = None


class SessionList(msgspec.Struct, frozen=True, kw_only=True):
    """One's sessions."""

    items: list[Session]


@post(
    "/auth/refresh",
    status_code=200,
    opt=web.operation(
        summary="Get new tokens",
        tag=_TAG,
        scope=web.Access.ANYBODY,
        description="A refresh token is good once. One that comes a second time was copied, or its answer was lost: "
        "nobody can tell which, so the session ends, everywhere, and its user is told.",
        errors=(errors.RefreshTokenInvalid, errors.RefreshTokenReused, CrossSite),
        sends={"refresh_token": logins.EXAMPLE["refresh_token"]},
        answers=logins.EXAMPLE,
    ),
)
async def refresh(
    command: Refresh, client: web.Client, request: Request[Any, Any, Any], cookies: Cookies, identity: Identity
) -> Response[SessionTokens]:
    in_cookies = command.refresh_token is None
    token = cookies.refresh_in(dict(request.scope["headers"])) if in_cookies else command.refresh_token
    tokens = await identity.sessions.refresh(token=token or "", address=client.address)
    return logins.answered(tokens, cookies=cookies, in_cookies=in_cookies)


@post(
    "/auth/logout",
    status_code=204,
    opt=web.operation(
        summary="Log out",
        tag=_TAG,
        scope="account",
        description="Ends the session that asks: within a second no server takes its tokens. Cookies are taken back.",
        errors=(errors.SessionUnknown,),
    ),
)
async def log_out(principal: Principal, cookies: Cookies, identity: Identity) -> Response[None]:
    await identity.sessions.end(by=principal, session_id=principal.credential_id)
    return Response(None, status_code=204, cookies=cookies.taken(), headers=LEAVING)


@post(
    "/auth/logout-everywhere",
    status_code=204,
    opt=web.operation(
        summary="Log out everywhere",
        tag=_TAG,
        scope="account",
        description="Ends all of your sessions, this one too. API keys stay: revoke those that you don't trust.",
    ),
)
async def log_out_everywhere(principal: Principal, cookies: Cookies, identity: Identity) -> Response[None]:
    await identity.sessions.log_out_everywhere(by=principal)
    return Response(None, status_code=204, cookies=cookies.taken(), headers=LEAVING)


@get(
    "/sessions",
    opt=web.operation(
        summary="List your sessions",
        tag=_TAG,
        scope="account",
        description="Those that have not ended, the one used last first.",
        answers={"items": [_EXAMPLE]},
    ),
)
async def list_sessions(principal: Principal, identity: Identity) -> SessionList:
    return SessionList(items=await identity.sessions.list(by=principal))


@delete(
    "/sessions/{session_id:str}",
    status_code=204,
    opt=web.operation(
        summary="End a session",
        tag=_TAG,
        scope="account",
        description="Within a second no server takes its tokens. Ending it again changes nothing.",
        errors=(errors.SessionUnknown, ids.InvalidId),
    ),
)
async def end_session(session_id: str, principal: Principal, identity: Identity) -> Response[None]:
    await identity.sessions.end(by=principal, session_id=ids.parse(session_id))
    return Response(None, status_code=204)


handlers = [refresh, log_out, log_out_everywhere, list_sessions, end_session]
