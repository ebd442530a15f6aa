"""What the audit keeps of requests: refused ones, refused parts of others, and looks at other people's things."""

from __future__ import annotations

from collections.abc import Iterable

from billfold.kernel import facts, looks, origin
from billfold.kernel.clock import Clock
from billfold.kernel.errors import Denied, Refusal
from billfold.kernel.looks import Look
from billfold.kernel.principal import Principal
from billfold.platform.messaging import notary
from billfold.platform.messaging.notary import Notary, RefusedPart
from billfold.platform.postgres.database import Database
from billfold.platform.web.operations import Operation

SOURCE = "/billfold/api"
LOOKED = "data.looked_at.v1"
#: Methods that change nothing.
_READS = frozenset({"GET", "HEAD"})


class Witness:
    """Has facts written into the outbox of `database`."""

    def __init__(self, database: Database, *, watch: Clock | None = None) -> None:
        self._notary = Notary(database, source=SOURCE, key="api", watch=watch)

    async def refused(self, error: BaseException, *, method: str, route: str, path: str) -> None:
        """A known caller has been refused a command, or something they may not have."""
        if not isinstance(error, Refusal) or (method in _READS and not isinstance(error, Denied)):
            return
        await self.refused_parts([(error, {})], method=method, route=route, path=path)

    async def refused_parts(self, parts: Iterable[RefusedPart], *, method: str, route: str, path: str) -> None:
        """A known caller has been refused parts of what they asked for, and nothing else is told of it."""
        known = origin.current()
        if known is None or known.credential_id is None:
            return
        where = {"method": method, "route": route, "path": notary.shown(path)}
        await self._notary.write_refused(parts, of=known, subject=f"{method} {route}", where=where)

    def looking(self, principal: Principal, operation: Operation, *, method: str) -> Look | None:
        """Begin to watch what is shown to somebody who may see what is somebody else's; None for anybody else."""
        if operation.everybody is None or method not in _READS or origin.current() is None:
            return None
        if operation.everybody in principal.scopes or principal.sees_everybody:
            return looks.begin()
        return None

    async def looked(self, look: Look, operation: Operation, *, path: str, query: str) -> None:
        """Somebody is about to see what was found. Unless that is their own, it is written down before.

        Raises:
            DatabaseUnavailable: it can't be written down, so they must not see it.
        """
        known = origin.current()
        if look.is_own or known is None:
            return
        subject = notary.shown(path)
        data = {"operation": operation.summary, "path": subject, "query": notary.shown(query)}
        await self._notary.write([self._notary.fact(LOOKED, known, subject=subject, outcome=facts.DONE, data=data)])
