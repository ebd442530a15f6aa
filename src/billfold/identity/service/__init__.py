"""The facade of identity: people, their credentials, and whose credentials a request bears. One file for each topic."""

from __future__ import annotations

from uuid import UUID

from billfold.identity.domain import keys as domain
from billfold.identity.service.keys import Keys
from billfold.identity.service.sessions import Post, Sessions, Tokens
from billfold.identity.service.uses import Uses
from billfold.identity.service.verified import Verifier
from billfold.kernel.clock import Clock, SystemClock
from billfold.platform.postgres.database import Database


class Identity:
    """Everything about who somebody is, by topic."""

    def __init__(
        self, *, database: Database, clock: Clock | None = None, tokens: Tokens | None = None, mail: Post | None = None
    ) -> None:
        clock = clock or SystemClock()
        verifier = Verifier(database, clock)
        self.uses = Uses(database=database, verifier=verifier, clock=clock)
        self.keys = Keys(database=database, verifier=verifier, clock=clock)
        if tokens is not None and mail is not None:
            self.sessions = Sessions(database=database, clock=clock, tokens=tokens, mail=mail, forget=verifier.forget)
        #: Whose credentials a token is, if that was found out within the last second.
        self.remembered = verifier.remembered
        #: Whose credentials a token is. Raises CredentialsInvalid or DatabaseUnavailable.
        self.authenticate = verifier.authenticate

    @staticmethod
    def id_in_key(text: str) -> UUID | None:
        """The id of the key of this text; None if it is no text of a key."""
        return domain.id_in(text.encode())
