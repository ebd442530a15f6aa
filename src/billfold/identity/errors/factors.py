"""Refusals about second factors."""

from __future__ import annotations

from billfold.kernel import errors


class SecondFactorWrong(errors.Denied):
    """The code or passkey is not right, or was used before."""

    code = "second_factor_wrong"


class PasskeyCloned(SecondFactorWrong):
    """This passkey was used elsewhere since, so there may be a copy of it; remove it and add a new one."""

    code = "passkey_cloned"


class SecondFactorMissing(errors.Denied):
    """This needs a second factor; add a passkey or an authenticator app at /account first."""

    code = "second_factor_missing"


class LoginNotPending(errors.Unauthenticated):
    """This login is over: it took too long, there were too many wrong factors, or it was completed; log in again."""

    code = "login_not_pending"


class OneFactorWanted(errors.Invalid):
    """Send one factor: `totp`, `recovery_code` or `passkey`."""

    code = "one_factor_wanted"


class TotpExists(errors.Conflict):
    """There is an authenticator app; remove it before you add another one."""

    code = "totp_exists"


class TotpUnknown(errors.NotFound):
    """There is no authenticator app, or none that waits for its first code."""

    code = "totp_unknown"


class PasskeyUnknown(errors.NotFound):
    """There is no such passkey, or it is not yours."""

    code = "passkey_unknown"


class PasskeyExists(errors.Conflict):
    """This passkey was added before."""

    code = "passkey_exists"


class TooManyPasskeys(errors.Conflict):
    """You have as many passkeys as are allowed; remove one that you don't use."""

    code = "too_many_passkeys"


class PasskeyInvalid(errors.Invalid):
    """This is no passkey that was made for the challenge, by this page, with its owner recognised."""

    code = "passkey_invalid"


class ChallengeUnknown(errors.NotFound):
    """There is no such challenge any more: each is good once, for five minutes; start again."""

    code = "challenge_unknown"


class FactorsChanged(errors.Conflict):
    """Your factors have changed since you began to add this one; look at them, and start again."""

    code = "factors_changed"
