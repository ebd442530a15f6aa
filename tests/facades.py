"""The facade of identity, for tests in which nobody reads mails, and the key for secrets is known to all."""

from collections.abc import Mapping
from typing import Any

from billfold.identity import Identity
from billfold.platform.keys import Envelope
from billfold.platform.keys.local import LocalProvider
from billfold.platform.postgres.database import Connection, Database

ENVELOPE = Envelope(LocalProvider({b"key-id-0": bytes(32)}))


class Silent:
    """Loses mails."""

    async def append(
        self, _connection: Connection, *, template: str, to: str, locale: str, values: Mapping[str, str]
    ) -> None:
        """Lose it."""


def identity(database: Database, **more: Any) -> Identity:
    """`more` is as the facade takes it."""
    return Identity(**{"database": database, "envelope": ENVELOPE, "mail": Silent(), **more})
