"""Refusals about owners and API keys."""

from __future__ import annotations

from billfold.kernel import errors


class CredentialsInvalid(errors.Unauthenticated):
    """The credentials are not known, have expired, or have been revoked."""

    code = "credentials_invalid"


class ApiKeyInvalid(CredentialsInvalid):
    """The API key is not known, has expired, or has been revoked."""

    code = "api_key_invalid"


class ScopeNotYours(errors.Denied):
    """A key can give away only the scopes that it has itself."""

    code = "scope_not_yours"


class OwnerNotYours(errors.Denied):
    """Only an operator's key can create one for another program, and a person's keys are created by them alone."""

    code = "owner_not_yours"


class ExpiryNotYours(errors.Denied):
    """A key can't create one that is good for longer than itself; name an expiry that is no later than its own."""

    code = "expiry_not_yours"


class ApiKeyUnknown(errors.NotFound):
    """There is no such API key, or it is not yours."""

    code = "api_key_unknown"


class OwnerUnknown(errors.NotFound):
    """There is no such owner."""

    code = "owner_unknown"


class OwnerExists(errors.Conflict):
    """There is an owner with this name."""

    code = "owner_exists"


class TooManyApiKeys(errors.Conflict):
    """The owner has as many API keys as are allowed; revoke some that are not used."""

    code = "too_many_api_keys"


class ApiKeyExpiryInPast(errors.Invalid):
    """The expiry is not in the future."""

    code = "api_key_expiry_in_past"
