"""Sessions: logins on devices, and the tokens that stand for them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

#: How somebody has proved who they are, by the words of RFC 8176 where it has one.
Method = Literal["pwd", "otp", "hwk", "user", "recovery", "fed", "mfa"]
METHODS: Mapping[Method, str] = {
    "pwd": "a password",
    "otp": "a one-time code of an authenticator app",
    "hwk": "a passkey",
    "user": "the passkey's own check of who holds it",
    "recovery": "a recovery code",
    "fed": "a login at another provider",
    "mfa": "a second factor that the other provider has checked",
}
DEVICE_MAX = 200
ADDRESS_MAX = 64


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A login on one device."""

    id: str
    user_id: str
    device: Annotated[str, Meta(description="What the device said of itself when it last logged in or refreshed.")]
    address: Annotated[str, Meta(description="Where it was last used from.")]
    methods: Annotated[list[str], Meta(description="How its user has proved who they are.")]
    created_at: datetime
    authenticated_at: datetime
    #: At most a minute late.
    last_used_at: datetime
    expires_at: Annotated[datetime, Meta(description="When it ends, unless it is used before.")]
    #: Whether it is the one that asks.
    current: bool = False


class SessionTokens(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a login gives. In a browser that asked for cookies the tokens are in those, and not here."""

    user_id: str
    session_id: str
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name.
    access_token: str | None = None
    expires_in: Annotated[int, Meta(description="Seconds for which the access token is good.")]
    refresh_token: Annotated[
        str | None, Meta(description="Gives the next tokens, once. Using it a second time ends the session.")
    ] = None
    refresh_expires_in: Annotated[int, Meta(description="Seconds for which the refresh token is good.")]
    csrf_token: Annotated[
        str | None, Meta(description="With cookies: what to send as X-CSRF-Token when something is to change.")
    ] = None
