"""The second half of logins over HTTP, and logins by passkey alone."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from msgspec import Meta

from billfold.identity import Identity, errors
from billfold.identity.contracts import Assertion, Device, PasskeyChallenge, Proof, SecondFactor, SessionTokens
from billfold.identity.rest import logins
from billfold.identity.rest.factors import OPTIONS
from billfold.identity.rest.logins import InCookies
from billfold.kernel import ids
from billfold.platform import web
from billfold.platform.web.cookies import Cookies

_TAG = "Logging in"
_ID = "019aa2c6-7a00-7000-8000-00000000f002"
ASSERTION = {
    "id": "WYs…",
    "rawId": "WYs…",
    "type": "public-key",
    "response": {
        "clientDataJSON": "eyJ0eXBlIjoi…",
        "authenticatorData": "SZYN5YgO…",
        "signature": "MEUCIQ…",
        "userHandle": "AZqixnoA…",
    },
}


class LoginProof(Proof, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The token of a login that needs a second factor, and that factor: `totp`, `recovery_code` or `passkey`."""

    token: Annotated[str, Meta(max_length=100)]
    device: Device | None = None
    cookies: InCookies = False


class PasskeyLogin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a passkey has signed."""

    challenge_id: str
    credential: Assertion
    device: Device | None = None
    cookies: InCookies = False


@get(
    "/auth/mfa",
    opt=web.operation(
        summary="Show the login that waits for your second factor",
        tag=_TAG,
        scope=web.Access.ANYBODY,
        description="For browsers that come back from a provider: the login is bound to this one by a cookie.",
        errors=(errors.LoginNotPending,),
        answers={
            "token": "q3Vt…",
            "methods": ["passkey"],
            "expires_at": "2026-11-21T09:35:00.123456Z",
            "passkey_options": OPTIONS,
        },
    ),
)
async def show_pending(request: Request[Any, Any, Any], cookies: Cookies, identity: Identity) -> SecondFactor:
    return await identity.second_factors.show(token=request.cookies.get(cookies.pending_name, ""))


@post(
    "/auth/mfa",
    status_code=200,
    opt=web.operation(
        summary="Complete a login with a second factor",
        tag=_TAG,
        scope=web.Access.ANYBODY,
        description="After a login that was answered with `second_factor`: its token, and one factor. It takes five "
        "attempts within five minutes.",
        errors=(
            errors.LoginNotPending,
            errors.OneFactorWanted,
            errors.SecondFactorWrong,
            errors.PasskeyCloned,
            errors.TooManyAttempts,
            errors.CredentialsInvalid,
        ),
        sends={"token": "q3Vt…", "totp": "492039"},
        answers=logins.EXAMPLE,
    ),
)
async def complete(
    command: LoginProof, client: web.Client, cookies: Cookies, identity: Identity
) -> Response[SessionTokens]:
    tokens = await identity.second_factors.complete(
        token=command.token, proof=command, device=command.device or client.device, address=client.address
    )
    answer = logins.answered(tokens, cookies=cookies, in_cookies=command.cookies)
    if command.cookies:
        answer.set_cookie(cookies.pending("", max_age=0))
    return answer


@post(
    "/auth/passkeys/start",
    status_code=200,
    opt=web.operation(
        summary="Start a login by passkey",
        tag=_TAG,
        scope=web.Access.ANYBODY,
        description="Gives what `navigator.credentials.get()` takes. Nobody needs to say who they are: the passkey "
        "does. What it gives goes to `/auth/passkeys/finish` within five minutes.",
        answers={"challenge_id": _ID, "expires_at": "2026-11-21T09:35:00.123456Z", "options": OPTIONS},
    ),
)
async def start_passkey(identity: Identity) -> PasskeyChallenge:
    return await identity.second_factors.start_passkey()


@post(
    "/auth/passkeys/finish",
    status_code=200,
    opt=web.operation(
        summary="Log in by passkey",
        tag=_TAG,
        scope=web.Access.ANYBODY,
        description="A passkey that has recognised its owner is two factors, so nothing else is asked. A challenge is "
        "good for one attempt.",
        errors=(
            ids.InvalidId,
            errors.ChallengeUnknown,
            errors.SecondFactorWrong,
            errors.PasskeyCloned,
            errors.CredentialsInvalid,
        ),
        sends={"challenge_id": _ID, "credential": ASSERTION},
        answers=logins.EXAMPLE,
    ),
)
async def finish_passkey(
    command: PasskeyLogin, client: web.Client, cookies: Cookies, identity: Identity
) -> Response[SessionTokens]:
    tokens = await identity.second_factors.finish_passkey(
        challenge_id=ids.parse(command.challenge_id, pointer="/challenge_id"),
        assertion=command.credential,
        device=command.device or client.device,
        address=client.address,
    )
    return logins.answered(tokens, cookies=cookies, in_cookies=command.cookies)


handlers = [show_pending, complete, start_passkey, finish_passkey]
