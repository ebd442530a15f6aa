"""How people come in: registering, logging in, and new passwords.

None of these says whether there is an account: answers and their times are the same for addresses that nobody has.
"""

from typing import Annotated

import msgspec
from litestar import Response, post
from msgspec import Meta

from billfold.identity import Identity, errors
from billfold.identity.contracts import (
    DEVICE_MAX,
    Awaited,
    Device,
    Password,
    Registration,
    SecondFactor,
    SessionTokens,
    Typed,
)
from billfold.identity.rest import logins
from billfold.identity.rest.confirming import PASSWORD
from billfold.kernel import forms, ids
from billfold.kernel.principal import Principal
from billfold.platform import web
from billfold.platform.mail.errors import PhonesUnreachable
from billfold.platform.web.cookies import Cookies

_TAG = "Logging in"
_ID = "019aa2c6-7a00-7000-8000-00000000f001"
_AWAITED = {"id": _ID, "expires_at": "2026-11-21T09:40:00Z"}
NEW_PASSWORD_ERRORS = (
    errors.PasswordTooShort,
    errors.PasswordTooLong,
    errors.PasswordTooCommon,
    errors.PasswordPersonal,
    errors.PasswordsBusy,
)

LoginText = Annotated[
    str,
    Meta(
        description="An e-mail address, a phone number, or a handle like @ada.",
        examples=["ada@example.com"],
        min_length=1,
        max_length=254,
        pattern=forms.NO_NUL,
    ),
]


class Verification(Typed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The code that a registration was sent."""

    device: Device | None = None
    cookies: logins.InCookies = False


class Login(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who shows who they are."""

    login: LoginText
    password: Annotated[str, Meta(examples=[PASSWORD])]
    device: Device | None = None
    cookies: logins.InCookies = False


class LoggedIn(SessionTokens, frozen=True, kw_only=True, omit_defaults=True):
    """The tokens of a new session; or only `second_factor`, what the login still needs."""

    user_id: str | None = None  # type: ignore[assignment]  # Not before it is known who it is.
    session_id: str | None = None  # type: ignore[assignment]
    token_type: str | None = None  # type: ignore[assignment]
    expires_in: int | None = None  # type: ignore[assignment]
    refresh_expires_in: int | None = None  # type: ignore[assignment]
    second_factor: SecondFactor | None = None


class Forgotten(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who has forgotten their password."""

    login: LoginText


class Reset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new password, by the token that was sent."""

    token: Annotated[str, Meta(description="From the mail.", min_length=1, max_length=100)]
    password: Password


class PasswordChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new password, by the current one."""

    current_password: str
    new_password: Password


@post(
    "/auth/register",
    status_code=202,
    opt=web.operation(
        summary="Register",
        tag=_TAG,
        scope=web.Access.ANYBODY,
        description="Sends a code to the address. The answer is the same if somebody has the address; then the mail "
        "says so. The id of the answer is yours alone: with the code it makes the account, without it the code is "
        "nothing.",
        errors=(
            errors.AddressNeeded,
            errors.InvalidEmail,
            errors.InvalidPhone,
            errors.InvalidDisplayName,
            errors.InvalidTimeZone,
            PhonesUnreachable,
            *NEW_PASSWORD_ERRORS,
            errors.TooManyAttempts,
        ),
        sends={"email": "ada@example.com", "password": PASSWORD, "display_name": "Ada Lovelace"},
        answers=_AWAITED,
    ),
)
async def register(command: Registration, client: web.Client, identity: Identity) -> Awaited:
    return await identity.registrations.register(new=command, address=client.address)


@post(
    "/auth/verify",
    status_code=200,
    opt=web.operation(
        summary="Confirm a registration",
        tag=_TAG,
        scope=web.Access.ANYBODY,
        description="Makes the account and logs in to it. A code is good once, for ten minutes and five attempts.",
        errors=(errors.CodeWrong, errors.AddressTaken, errors.TooManyAttempts, ids.InvalidId),
        sends={"id": _ID, "code": "48213705"},
        answers=logins.EXAMPLE,
    ),
)
async def verify(
    command: Verification, client: web.Client, cookies: Cookies, identity: Identity
) -> Response[SessionTokens]:
    tokens = await identity.registrations.verify(
        registration_id=ids.parse(command.id, pointer="/id"),
        code=command.code,
        device=_device(command.device, client),
        address=client.address,
    )
    return logins.answered(tokens, cookies=cookies, in_cookies=command.cookies)


@post(
    "/auth/login",
    status_code=200,
    opt=web.operation(
        summary="Log in",
        tag=_TAG,
        scope=web.Access.ANYBODY,
        description="Whoever has a second factor gets `second_factor` instead of tokens: go on at /auth/mfa. After "
        "some failed attempts there are growing waits, but for those who come from where they have logged in before.",
        errors=(errors.LoginFailed, errors.PasswordTooLong, errors.PasswordsBusy, errors.TooManyAttempts),
        sends={"login": "ada@example.com", "password": PASSWORD},
        answers=logins.EXAMPLE,
    ),
)
async def log_in(command: Login, client: web.Client, cookies: Cookies, identity: Identity) -> Response[LoggedIn]:
    answer = await identity.logins.login(
        login=command.login,
        password=command.password,
        device=_device(command.device, client),
        address=client.address,
    )
    if isinstance(answer, SecondFactor):
        return Response(LoggedIn(second_factor=answer))
    answered = logins.answered(answer, cookies=cookies, in_cookies=command.cookies)
    body = LoggedIn(**msgspec.structs.asdict(answered.content))
    return Response(body, cookies=answered.cookies)


@post(
    "/auth/password/forgot",
    status_code=204,
    opt=web.operation(
        summary="Ask for a new password",
        tag=_TAG,
        scope=web.Access.ANYBODY,
        description="Sends a token that is good once, for thirty minutes. The answer is the same if nobody logs in so.",
        errors=(PhonesUnreachable, errors.TooManyAttempts),
        sends={"login": "ada@example.com"},
    ),
)
async def forgot_password(command: Forgotten, client: web.Client, identity: Identity) -> Response[None]:
    await identity.password_changes.forgot(login=command.login, device=client.device, address=client.address)
    return Response(None, status_code=204)


@post(
    "/auth/password/reset",
    status_code=204,
    opt=web.operation(
        summary="Set a new password",
        tag=_TAG,
        scope=web.Access.ANYBODY,
        description="By the token that was sent. It ends all sessions; API keys stay.",
        errors=(errors.ResetTokenInvalid, *NEW_PASSWORD_ERRORS, errors.TooManyAttempts),
        sends={"token": "q0o5…", "password": PASSWORD},
    ),
)
async def reset_password(command: Reset, client: web.Client, identity: Identity) -> Response[None]:
    await identity.password_changes.reset(
        token=command.token, password=command.password, device=client.device, address=client.address
    )
    return Response(None, status_code=204)


@post(
    "/auth/password/change",
    status_code=204,
    opt=web.operation(
        summary="Change your password",
        tag=_TAG,
        scope="account",
        description="It ends all of your other sessions; API keys stay.",
        errors=(errors.PasswordWrong, errors.PasswordNotSet, *NEW_PASSWORD_ERRORS, errors.TooManyAttempts),
        sends={"current_password": PASSWORD, "new_password": "battery staple, correct horse"},
    ),
)
async def change_password(
    command: PasswordChange, client: web.Client, principal: Principal, identity: Identity
) -> Response[None]:
    await identity.password_changes.change(
        by=principal,
        current=command.current_password,
        new=command.new_password,
        device=client.device,
        address=client.address,
    )
    return Response(None, status_code=204)


handlers = [register, verify, log_in, forgot_password, reset_password, change_password]


def _device(named: str | None, client: web.Client) -> str:
    """What the list of sessions shows, without what could not be seen there."""
    text = named.strip() if named else ""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return shown[:DEVICE_MAX] or client.device
