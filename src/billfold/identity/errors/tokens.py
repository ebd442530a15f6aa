"""Refusals about access tokens."""

from __future__ import annotations

from billfold.identity.errors.keys import CredentialsInvalid


class TokenInvalid(CredentialsInvalid):
    """The access token is none of ours, has expired, or its session has ended."""

    code = "token_invalid"
