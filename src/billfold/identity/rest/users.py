"""People's own accounts over HTTP."""

from uuid import UUID

import msgspec
from litestar import Response, get, patch, post

from billfold.identity import Identity, errors
from billfold.identity.contracts import Awaited, Email, Phone, Profile, ProfileChange, Typed
from billfold.identity.rest.confirming import CONFIRMING, PASSWORD, CurrentPassword
from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.platform import web
from billfold.platform.mail.errors import PhonesUnreachable
from billfold.platform.web.cookies import Cookies

_TAG = "Your account"
_CHANGE_ID = "019aa2c6-7a00-7000-8000-00000000f002"
_PROFILE = {
    "id": "019aa2c6-7a00-7000-8000-00000000d001",
    "email": "ada@example.com",
    "phone": None,
    "display_name": "Ada Lovelace",
    "initials": "AL",
    "locale": "en",
    "time_zone": "Europe/London",
    "roles": ["user"],
    "factors": ["totp"],
    "has_password": True,
    "created_at": "2026-11-21T09:30:00.123456Z",
}
_AWAITED = {"id": _CHANGE_ID, "expires_at": "2026-11-21T09:40:00Z"}


class NewEmail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An e-mail address that somebody wants to have."""

    email: Email
    password: CurrentPassword = None


class NewPhone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A phone number that somebody wants to have."""

    phone: Phone
    password: CurrentPassword = None


class Closing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who wants to leave."""

    password: CurrentPassword = None


@get(
    "/users/me",
    opt=web.operation(
        summary="Show your profile", tag=_TAG, scope="account", errors=(errors.UserUnknown,), answers=_PROFILE
    ),
)
async def show_me(principal: Principal, identity: Identity) -> Profile:
    return await identity.users.me(by=principal)


@patch(
    "/users/me",
    opt=web.operation(
        summary="Change your profile",
        tag=_TAG,
        scope="account",
        description="What is left out stays.",
        errors=(errors.InvalidDisplayName, errors.InvalidTimeZone, errors.UserUnknown),
        sends={"display_name": "Ada Lovelace", "time_zone": "Europe/London"},
        answers=_PROFILE,
    ),
)
async def change_me(command: ProfileChange, principal: Principal, identity: Identity) -> Profile:
    return await identity.users.change(by=principal, change=command)


@post(
    "/users/me/email",
    status_code=202,
    opt=web.operation(
        summary="Ask for another e-mail address",
        tag=_TAG,
        scope="account",
        description="Sends a code to the new address. The old one stays until the code comes back, and is told then.",
        errors=(errors.InvalidEmail, errors.StepUpRequired, *CONFIRMING),
        sends={"email": "ada@example.org", "password": PASSWORD},
        answers=_AWAITED,
    ),
)
async def want_email(command: NewEmail, step_up: UUID | None, principal: Principal, identity: Identity) -> Awaited:
    return await identity.users.want_address(
        by=principal, kind="email", address=command.email, password=command.password, proof=step_up
    )


@post(
    "/users/me/email/verify",
    status_code=200,
    opt=web.operation(
        summary="Confirm another e-mail address",
        tag=_TAG,
        scope="account",
        errors=(errors.CodeWrong, errors.AddressTaken, errors.UserUnknown, ids.InvalidId),
        sends={"id": _CHANGE_ID, "code": "48213705"},
        answers=_PROFILE,
    ),
)
async def verify_email(command: Typed, principal: Principal, identity: Identity) -> Profile:
    return await identity.users.verify_address(
        by=principal, kind="email", change_id=ids.parse(command.id, pointer="/id"), code=command.code
    )


@post(
    "/users/me/phone",
    status_code=202,
    opt=web.operation(
        summary="Ask for another phone number",
        tag=_TAG,
        scope="account",
        description="Sends a code to the new number. The old one stays until the code comes back, and is told then.",
        errors=(errors.InvalidPhone, PhonesUnreachable, errors.StepUpRequired, *CONFIRMING),
        sends={"phone": "+66812345678", "password": PASSWORD},
        answers=_AWAITED,
    ),
)
async def want_phone(command: NewPhone, step_up: UUID | None, principal: Principal, identity: Identity) -> Awaited:
    return await identity.users.want_address(
        by=principal, kind="phone", address=command.phone, password=command.password, proof=step_up
    )


@post(
    "/users/me/phone/verify",
    status_code=200,
    opt=web.operation(
        summary="Confirm another phone number",
        tag=_TAG,
        scope="account",
        errors=(errors.CodeWrong, errors.AddressTaken, errors.UserUnknown, ids.InvalidId),
        sends={"id": _CHANGE_ID, "code": "48213705"},
        answers=_PROFILE | {"phone": "+66812345678"},
    ),
)
async def verify_phone(command: Typed, principal: Principal, identity: Identity) -> Profile:
    return await identity.users.verify_address(
        by=principal, kind="phone", change_id=ids.parse(command.id, pointer="/id"), code=command.code
    )


@post(
    "/users/me/close",
    status_code=204,
    opt=web.operation(
        summary="Close your account",
        tag=_TAG,
        scope="account",
        description="For ever: wallets, sessions and API keys end with it, and your addresses are free again. It is "
        "refused while money is left, and says where. History stays, as the law wants it.",
        errors=(errors.MoneyLeft, *CONFIRMING),
        sends={"password": PASSWORD},
    ),
)
async def close(command: Closing, principal: Principal, cookies: Cookies, identity: Identity) -> Response[None]:
    await identity.users.close(by=principal, password=command.password)
    return Response(None, status_code=204, cookies=cookies.taken())


handlers = [show_me, change_me, want_email, verify_email, want_phone, verify_phone, close]
