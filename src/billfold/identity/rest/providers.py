"""Logging in at OpenID Connect providers, over HTTP.

The start and the callback are visited by browsers, so what goes wrong there is told on a page. Cookies of sessions are
`SameSite=Strict`: a browser that comes from the provider's site does not send them along, not even after a redirect. So
the callback answers with a small page of ours, which sets them and goes on by itself: from there they are sent.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from hashlib import sha256
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from msgspec import Meta

from billfold.identity import Identity, errors
from billfold.identity.contracts import (
    WAITS,
    ExternalIdentity,
    LoginProvider,
    LoginReturn,
    LoginStart,
    SecondFactor,
    SessionTokens,
)
from billfold.identity.rest.confirming import CONFIRMING, PASSWORD, Again, CurrentPassword
from billfold.kernel import ids
from billfold.kernel.errors import BillfoldError
from billfold.kernel.principal import Principal
from billfold.platform import web
from billfold.platform.web.cookies import Cookies
from billfold.platform.web.problems import status_of

_TAG = "Other providers"
_ID = "019aa2c6-7a00-7000-8000-00000000f001"
_IDENTITY = {
    "id": _ID,
    "provider": "keycloak",
    "subject": "011064b9-b06f-482d-9c7b-fd1d6fe27a7c",
    "name": "ada",
    "created_at": "2026-11-21T09:30:00.123456Z",
    "last_login_at": "2026-11-21T09:30:00.123456Z",
}
_URL = "https://id.example.com/authorize?response_type=code&client_id=billfold&…"
#: Where a browser is sent when nobody said where.
_HOME = "/account"
#: Small pages that run nothing.
_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
#: As the page of one's account looks.
_LOOKS = (
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<link rel="stylesheet" href="/docs/docs.css"><link rel="stylesheet" href="/account/account.css">'
)
#: As long as a login may take.
_COOKIE_S = 600
_RETURN_TO_MAX = 500
_CONFIRMING = (errors.StepUpRequired, *CONFIRMING)


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """Where to go afterwards."""

    return_to: Annotated[
        str,
        Meta(description="A path of this server.", max_length=_RETURN_TO_MAX, examples=["/account"]),
    ] = _HOME
    moved: Annotated[
        bool, Meta(description="Whether the browser was sent here from another name of this server: it is no more.")
    ] = False


class Link(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to go afterwards, and one's password again, unless one has a factor."""

    password: CurrentPassword = None
    return_to: Annotated[
        str,
        Meta(description="A path of this server.", max_length=_RETURN_TO_MAX, examples=["/account"]),
    ] = _HOME


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider sends a browser back with. Whatever else it sends is passed over (RFC 6749, 4.1.2)."""

    state: str | None = None
    code: str | None = None
    error: str | None = None
    iss: str | None = None


class ProviderList(msgspec.Struct, frozen=True, kw_only=True):
    """Where else one can log in."""

    items: list[LoginProvider]


class IdentityList(msgspec.Struct, frozen=True, kw_only=True):
    """Accounts elsewhere."""

    items: list[ExternalIdentity]


@get(
    "/auth/oidc",
    opt=web.operation(
        summary="List the providers to log in with",
        tag=_TAG,
        scope=web.Access.ANYBODY,
        answers={
            "items": [{"name": "keycloak", "title": "Example Ltd", "start_url": "/api/v1/auth/oidc/keycloak/start"}]
        },
    ),
)
async def list_providers(identity: Identity) -> ProviderList:
    return ProviderList(items=identity.providers.available())


@get(
    "/auth/oidc/{provider:str}/start",
    status_code=HTTPStatus.SEE_OTHER,
    opt=web.operation(
        summary="Log in with a provider",
        tag=_TAG,
        scope=web.Access.ANYBODY,
        description="For browsers: sends them to the provider, which sends them back to the callback. The login is "
        "bound to this browser by a cookie, and good for ten minutes. Whoever comes by another name of this server is "
        "sent to the one of `api.public_url` first: the provider sends them back to that, and cookies stay at a name.",
        errors=(errors.ProviderUnknown, errors.ProviderUnavailable, errors.ReturnToInvalid),
        headers={"Location": "The provider's page to log in, or this operation at the server's own name."},
        media_types=("text/html",),
    ),
)
async def start(
    provider: str, parameters: Start, request: Request[Any, Any, Any], cookies: Cookies, identity: Identity
) -> Response[bytes]:
    try:
        home = (
            None if parameters.moved else identity.providers.home(name=provider, host=request.headers.get("host", ""))
        )
        if home is not None:
            return _moved(home, parameters.return_to)
        begun = await identity.providers.begin(name=provider, return_to=parameters.return_to)
    except BillfoldError as error:
        return _told(error, request)
    return Response(
        b"",
        status_code=HTTPStatus.SEE_OTHER,
        media_type="text/html",
        headers={"location": begun.url},
        cookies=[_bound(cookies, begun.state, begun.browser)],
    )


@get(
    "/auth/oidc/{provider:str}/callback",
    opt=web.operation(
        summary="Come back from a provider",
        tag=_TAG,
        scope=web.Access.ANYBODY,
        description="For browsers that the provider sends back: logs them in by cookies, and takes them to where they "
        "wanted. An account that is seen for the first time becomes a new user, unless somebody here has its e-mail "
        "address: whoever that is logs in and links the account. Whoever has a second factor is taken to /account "
        "first, to show it, unless the provider says that it has checked one.",
        errors=(
            errors.ProviderUnknown,
            errors.ProviderUnavailable,
            errors.LoginStateInvalid,
            errors.LoginDeclined,
            errors.LoginAnswerInvalid,
            errors.AccountExists,
            errors.IdentityTaken,
        ),
        media_types=("text/html",),
        open_query=True,
    ),
)
async def callback(
    *,
    provider: str,
    parameters: Callback,
    client: web.Client,
    request: Request[Any, Any, Any],
    cookies: Cookies,
    identity: Identity,
) -> Response[bytes]:
    state = parameters.state or ""
    try:
        done = await identity.providers.finish(
            name=provider,
            returned=LoginReturn(
                state=parameters.state, code=parameters.code, error=parameters.error, issuer=parameters.iss
            ),
            browser=request.cookies.get(_cookie_name(cookies, state)),
            device=client.device,
            address=client.address,
        )
    except BillfoldError as error:
        return _told(error, request)
    answer = _onward(done.outcome, done.return_to, cookies)
    answer.set_cookie(_bound(cookies, state, "", max_age=0))
    return answer


@post(
    "/users/me/identities/{provider:str}/start",
    status_code=200,
    opt=web.operation(
        summary="Begin to link a provider",
        tag=_TAG,
        scope="account",
        description="Send the browser to the address of the answer. What it logs in with there becomes yours, unless "
        "it is somebody else's already. As it logs you in from then on, it takes the approval of a factor of yours; "
        "without any, your password again, or without a password a login of the last ten minutes.",
        errors=(errors.ProviderUnknown, errors.ProviderUnavailable, errors.ReturnToInvalid, *_CONFIRMING),
        sends={"return_to": "/account", "password": PASSWORD},
        answers={"url": _URL},
    ),
)
async def start_link(
    *, provider: str, command: Link, step_up: UUID | None, principal: Principal, cookies: Cookies, identity: Identity
) -> Response[LoginStart]:
    begun = await identity.providers.begin_link(
        by=principal, name=provider, return_to=command.return_to, password=command.password, proof=step_up
    )
    return Response(LoginStart(url=begun.url), cookies=[_bound(cookies, begun.state, begun.browser)])


@get(
    "/users/me/identities",
    opt=web.operation(
        summary="List your accounts elsewhere",
        tag=_TAG,
        scope="account",
        description="Those that you log in with.",
        answers={"items": [_IDENTITY]},
    ),
)
async def list_identities(principal: Principal, identity: Identity) -> IdentityList:
    return IdentityList(items=await identity.identities.list(by=principal))


@post(
    "/users/me/identities/{identity_id:str}/unlink",
    status_code=204,
    opt=web.operation(
        summary="Unlink an account elsewhere",
        tag=_TAG,
        scope="account",
        description="Whoever comes with that account afterwards is somebody new. It takes what linking takes.",
        errors=(errors.IdentityUnknown, errors.LastWayToLogIn, ids.InvalidId, *_CONFIRMING),
        sends={"password": PASSWORD},
    ),
)
async def unlink(
    identity_id: str, command: Again, step_up: UUID | None, principal: Principal, identity: Identity
) -> Response[None]:
    await identity.identities.unlink(
        by=principal, identity_id=ids.parse(identity_id), password=command.password, proof=step_up
    )
    return Response(None, status_code=204)


handlers = [list_providers, start, callback, start_link, list_identities, unlink]


def _onward(outcome: SessionTokens | SecondFactor | None, return_to: str, cookies: Cookies) -> Response[bytes]:
    """A page that goes on by itself: to where its visitor wanted, or to where they show their second factor.

    The token of a login that needs one is in a cookie: addresses are written down in too many places.
    """
    title, given, path = "Your account is linked.", [], return_to
    if isinstance(outcome, SecondFactor):
        title, path = "Show that it is you.", f"{_HOME}#second-factor={quote(return_to, safe='')}"
        given = [cookies.pending(outcome.token, max_age=int(WAITS.total_seconds()))]
    elif outcome is not None:
        assert outcome.access_token is not None and outcome.refresh_token is not None, "they were just issued"
        title = "You are logged in."
        given = cookies.given(
            access_token=outcome.access_token,
            refresh_token=outcome.refresh_token,
            max_age=outcome.refresh_expires_in,
        )
    path = html.escape(path)
    return _page(
        title,
        f'<p><a href="{path}">Go on</a></p>',
        head=f'<meta http-equiv="refresh" content="0; url={path}">',
        cookies=given,
    )


def _moved(home: str, return_to: str) -> Response[bytes]:
    """On to our own name, once: behind a proxy that hides the name that was asked for, a second time would not end."""
    location = f"{home}?{urlencode({'return_to': return_to, 'moved': 'true'})}"
    return Response(b"", status_code=HTTPStatus.SEE_OTHER, media_type="text/html", headers={"location": location})


def _bound(cookies: Cookies, state: str, browser: str, *, max_age: int = _COOKIE_S) -> Cookie:
    """What binds a login to its browser. Lax, because the browser comes back from another site with it."""
    return Cookie(
        key=_cookie_name(cookies, state),
        value=browser,
        path="/",
        max_age=max_age,
        httponly=True,
        secure=cookies.https,
        samesite="lax",
    )


def _cookie_name(cookies: Cookies, state: str) -> str:
    """One for each login, so that two windows don't take each other's."""
    return f"{cookies.access_name}-oidc-{sha256(state.encode()).hexdigest()[:16]}"


def _told(error: BillfoldError, request: Request[Any, Any, Any]) -> Response[bytes]:
    """A page for whoever looks at one.

    Raises:
        `error`: whoever asks is a program.
    """
    if "text/html" not in request.headers.get("accept", ""):
        raise error
    return _page(
        "This has not worked.",
        f'<p>{html.escape(error.detail)}</p><p><a href="{_HOME}">Back to your account</a></p>'
        f'<p class="hint"><small>For whoever helps you: {error.code}</small></p>',
        status_code=status_of(type(error)),
    )


def _page(
    title: str, body: str, *, head: str = "", status_code: int = HTTPStatus.OK, cookies: Sequence[Cookie] = ()
) -> Response[bytes]:
    title = html.escape(title)
    content = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title} · Billfold</title>{_LOOKS}{head}'
        f'<header><a class="brand" href="{_HOME}">Billfold</a></header><main><h1>{title}</h1>{body}</main></html>'
    ).encode()
    return Response(
        content,
        status_code=status_code,
        media_type="text/html",
        headers={"content-security-policy": _POLICY},
        cookies=list(cookies),
    )
