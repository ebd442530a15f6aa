"""What credentials let their bearer do by now, though nobody presents them: for what is done later in their name."""

from __future__ import annotations

from collections.abc import Sequence

from billfold.identity.contracts import KEY_SCOPES, scopes_of
from billfold.identity.store import bearers as store
from billfold.identity.store.bearers import Standing as Stored
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database


class Standing:
    """Looks again at principals who were authenticated some time ago."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, principals: Sequence[Principal]) -> list[frozenset[str] | None]:
        """The scopes of each by now; None for one whose key was revoked, whose session or whose account has ended.

        That a key or a token has expired since takes nothing back.
        """
        async with self._database.connection() as connection:
            found = await store.standing(
                connection, [(principal.credential_id, principal.user_id) for principal in principals]
            )
        return [_scopes(principal, stored) for principal, stored in zip(principals, found, strict=True)]


def _scopes(principal: Principal, stored: Stored) -> frozenset[str] | None:
    if stored.withdrawn or (stored.person is not None and stored.person.closed):
        return None
    if principal.user_id is None:
        return KEY_SCOPES & principal.scopes
    # Who is no user any more may do nothing.
    return scopes_of(stored.person.roles) if stored.person is not None else frozenset()
