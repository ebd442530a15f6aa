"""Refusals about people: their addresses, their profile, and how they log in."""

from __future__ import annotations

from billfold.kernel import errors


class InvalidEmail(errors.Invalid):
    """This is no e-mail address that mail can be sent to."""

    code = "invalid_email"


class InvalidPhone(errors.Invalid):
    """This is no phone number; write it with its country code, like +66 81 234 5678."""

    code = "invalid_phone"


class InvalidDisplayName(errors.Invalid):
    """A name has 1 to 100 characters, a letter or a number among them, and none that can't be seen."""

    code = "invalid_display_name"


class InvalidTimeZone(errors.Invalid):
    """There is no such time zone; name one of the IANA database, like Asia/Bangkok."""

    code = "invalid_time_zone"


class AddressNeeded(errors.Invalid):
    """Give an e-mail address or a phone number: one of them."""

    code = "address_needed"


class CodeWrong(errors.Invalid):
    """The code is wrong, was used already, or its time is over; after five wrong ones ask for a new one."""

    code = "code_wrong"


class AddressTaken(errors.Conflict):
    """Another account has this address by now; log in with it, or use another address."""

    code = "address_taken"


class ResetTokenInvalid(errors.Invalid):
    """The link to choose a new password is wrong, was used already, or its time is over; ask for a new one."""

    code = "reset_token_invalid"


class LoginFailed(errors.Unauthenticated):
    """Nobody logs in like this: the name or the password is wrong."""

    code = "login_failed"


class PasswordWrong(errors.Denied):
    """This is not your current password."""

    code = "password_wrong"


class PasswordNotSet(errors.Conflict):
    """Your account has no password; choose a first one by the link of a forgotten password."""

    code = "password_not_set"


class LoginTooOld(errors.Denied):
    """This needs a login of the last ten minutes; log in again."""

    code = "login_too_old"


class MoneyLeft(errors.Conflict):
    """Money is left in your wallets; move it out before you close your account."""

    code = "money_left"


class UserUnknown(errors.NotFound):
    """There is no such person."""

    code = "user_unknown"


class TooManyAttempts(errors.TooOften):
    """Too many attempts have failed; wait as long as Retry-After says, or try where you have logged in before."""

    code = "too_many_attempts"

    def __init__(self, wait_s: int = 1) -> None:
        super().__init__()
        self.wait_s = wait_s
