"""Who is calling: the bearer credentials of a request, checked by whoever knows credentials.

What credentials are, and how they are kept, is the identity context's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from billfold.kernel.principal import Principal
from billfold.platform.web import errors

_SCHEME = b"bearer "
#: Longer than any credentials that we give out.
_TOKEN_BYTES_MAX = 512


class Authenticator(Protocol):
    """Knows credentials."""

    def remembered(self, token: bytes) -> Principal | None:
        """Whose token this is, if that was found out within the last second. Takes no time of note."""
        ...

    async def authenticate(self, token: bytes) -> Principal:
        """Whose token this is.

        Raises:
            BillfoldError: it is not valid (any more), or that can't be found out now.
        """
        ...


async def principal_of(headers: Mapping[bytes, bytes], authenticator: Authenticator) -> Principal:
    """Whoever the request's Authorization header names.

    Raises:
        Unauthorized: there is no such header, or no valid token in it.
    """
    value = headers.get(b"authorization")
    if value is None:
        raise errors.Unauthorized
    if value[: len(_SCHEME)].lower() != _SCHEME or len(value) > _TOKEN_BYTES_MAX:
        raise errors.Unauthorized
    token = value[len(_SCHEME) :].strip()
    return authenticator.remembered(token) or await authenticator.authenticate(token)
