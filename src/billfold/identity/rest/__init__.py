"""Identity over HTTP, one file for each topic; and how the edge asks whose credentials a request bears."""

from billfold.identity import Identity, errors
from billfold.identity.rest import (
    account,
    aliases,
    approvals,
    auth,
    factors,
    keys,
    providers,
    second_factors,
    sessions,
    staff,
    step_up,
    users,
    well_known,
)
from billfold.kernel.principal import Principal
from billfold.platform import web
from billfold.platform.web.errors import Unauthorized


def part(identity: Identity) -> web.Part:
    """What identity adds to the API."""
    return web.Part(
        handlers=[
            *auth.handlers,
            *users.handlers,
            *keys.handlers,
            *aliases.handlers,
            *providers.handlers,
            *sessions.handlers,
            *approvals.handlers,
            *factors.handlers,
            *second_factors.handlers,
            *step_up.handlers,
            *staff.handlers,
        ],
        at_root=[*well_known.handlers(identity), *account.handlers()],
        dependencies={"identity": identity},
    )


class Bearer:
    """Checks the bearer credentials of requests, in the words of HTTP."""

    def __init__(self, identity: Identity) -> None:
        self.remembered = identity.remembered
        self._identity = identity

    async def authenticate(self, token: bytes) -> Principal:
        """Whose credentials the token is.

        Raises:
            Unauthorized: nobody's.
        """
        try:
            return await self._identity.authenticate(token)
        except errors.CredentialsInvalid as error:
            raise Unauthorized(error.detail) from error
