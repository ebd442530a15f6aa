"""Refusals about sessions and their tokens."""

from __future__ import annotations

from billfold.identity.errors.keys import CredentialsInvalid
from billfold.kernel import errors


class RefreshTokenInvalid(CredentialsInvalid):
    """The refresh token is not known, has expired, or its session has ended; log in again."""

    code = "refresh_token_invalid"


class RefreshTokenReused(CredentialsInvalid):
    """This refresh token was used before, so its session has been ended everywhere; log in again."""

    code = "refresh_token_reused"


class SessionUnknown(errors.NotFound):
    """There is no such session, or it is not yours."""

    code = "session_unknown"
