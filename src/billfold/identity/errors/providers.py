"""Refusals about logins at OpenID Connect providers, and about their tokens."""

from __future__ import annotations

from billfold.identity.errors.keys import CredentialsInvalid
from billfold.kernel import errors


class ProviderTokenInvalid(CredentialsInvalid):
    """The access token of the provider is not valid here."""

    code = "provider_token_invalid"


class ProviderUnavailable(errors.Unavailable):
    """The provider can't be asked now, so nobody knows whether this login or token of its is valid; try again later."""

    code = "provider_unavailable"


class ProviderUnknown(errors.NotFound):
    """There is no such provider to log in with."""

    code = "provider_unknown"


class ReturnToInvalid(errors.Invalid):
    """return_to must be a path of this server, such as /account."""

    code = "return_to_invalid"


class LoginStateInvalid(errors.Denied):
    """This login was not begun in this browser, has been used already, or took too long; begin again."""

    code = "login_state_invalid"


class LoginDeclined(errors.Denied):
    """The provider did not log you in; begin again, or choose another way to log in."""

    code = "login_declined"


class LoginAnswerInvalid(errors.Denied):
    """The provider's answer is not one to this login; begin again, and if that does not help tell whoever runs this."""

    code = "login_answer_invalid"


class AccountExists(errors.Conflict):
    """There is an account with your e-mail address: log in to it in another way, and link this provider there."""

    code = "account_exists"


class IdentityTaken(errors.Conflict):
    """This account of the provider belongs to somebody else here."""

    code = "identity_taken"


class IdentityUnknown(errors.NotFound):
    """There is no such linked account, or it is not yours."""

    code = "identity_unknown"


class LastWayToLogIn(errors.Conflict):
    """This is the only way you have to log in; set a password, add a passkey, or link another account first."""

    code = "last_way_to_log_in"
