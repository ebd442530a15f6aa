"""What callers send to show again that it is them, and what they may be told."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from billfold.identity import errors

#: What stands in examples.
PASSWORD = "correct horse battery staple"  # noqa: S105 - it opens nothing.

CurrentPassword = Annotated[
    str | None,
    Meta(description="Your password, if you have one; otherwise a login of the last ten minutes.", examples=[PASSWORD]),
]

CONFIRMING = (
    errors.PasswordWrong,
    errors.LoginTooOld,
    errors.PasswordTooLong,
    errors.PasswordsBusy,
    errors.TooManyAttempts,
    errors.UserUnknown,
)


class Again(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One's password again, unless there is a factor, which has to approve it then."""

    password: CurrentPassword = None
