"""Refusals about passwords."""

from __future__ import annotations

from billfold.kernel import errors


class PasswordTooShort(errors.Invalid):
    """The password has fewer than 12 characters; several words in a row make a good one."""

    code = "password_too_short"


class PasswordTooLong(errors.Invalid):
    """The password has more than 128 characters."""

    code = "password_too_long"


class PasswordTooCommon(errors.Invalid):
    """The password is one of those that are guessed first, or one of them with some digits; choose another."""

    code = "password_too_common"


class PasswordPersonal(errors.Invalid):
    """The password is your own address, number or name, which is guessed first; choose another."""

    code = "password_personal"


class PasswordsBusy(errors.Unavailable):
    """More passwords wait to be checked than there is time for; try again in a moment."""

    code = "passwords_busy"
