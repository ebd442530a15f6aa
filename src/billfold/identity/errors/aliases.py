"""Refusals about aliases."""

from __future__ import annotations

from billfold.kernel import errors


class AliasUnknown(errors.NotFound):
    """There is no such alias, or it is not shown to you."""

    code = "alias_unknown"


class AliasInvalid(errors.Invalid):
    """An alias is a handle (@ada), an e-mail address, a phone number (+66812345678) or name:value (customer:4711)."""

    code = "alias_invalid"


class HandleInvalid(AliasInvalid):
    """A handle is made of letters of one script, digits 0 to 9 and underscores, and not of underscores alone."""

    code = "handle_invalid"


class HandleMixed(AliasInvalid):
    """A handle has letters of one script alone, so that nobody takes it for another."""

    code = "handle_mixed"


class HandleReserved(errors.Invalid):
    """This handle can't be had, because whoever had it could be taken for somebody official."""

    code = "handle_reserved"


class AliasTaken(errors.Conflict):
    """Somebody has this alias or one that looks like it, or had it until lately; choose another one."""

    code = "alias_taken"


class AliasNotYours(errors.Denied):
    """Aliases of your own naming are for programs and operators; take a handle, an e-mail address or a phone number."""

    code = "alias_not_yours"


class TooManyAliases(errors.Conflict):
    """You have as many aliases as are allowed; release one first."""

    code = "too_many_aliases"


class AliasNotVerifiable(errors.Conflict):
    """Only an e-mail address or a phone number that is not verified yet can be verified."""

    code = "alias_not_verifiable"


class TooManyAliasRequests(errors.TooOften):
    """You have asked for too many aliases that are not there, or changed yours too often; try again later."""

    code = "too_many_alias_requests"
