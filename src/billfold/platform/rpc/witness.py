"""What the audit keeps of calls: commands that were refused, and callers who were not let in.

A call that another process of ours makes for somebody is told by that process, which knows the whole request. Here it
would be told twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from billfold.kernel import origin
from billfold.kernel.errors import Denied, Refusal
from billfold.kernel.origin import Origin
from billfold.platform.limiting.exceeded import Window
from billfold.platform.limiting.memory import Memory
from billfold.platform.messaging import notary
from billfold.platform.messaging.notary import Notary, RefusedPart
from billfold.platform.telemetry import logs

#: Of callers who are not let in so many are kept of one address: whoever may not call must not fill the disk either.
STRANGERS = Window(60, 60)
CHANNEL: Final = "grpc"


class Witness:
    """Tells by `notary`. `commands` are the methods that change something, each as /package.Service/Method."""

    def __init__(self, notary: Notary, *, commands: frozenset[str]) -> None:
        self._notary = notary
        self._commands = commands
        self._strangers = Memory()

    @property
    def is_first(self) -> bool:
        """Whether the call that is being served is its caller's own, and nobody else tells what becomes of it."""
        known = origin.current()
        return known is not None and known.channel == CHANNEL

    async def refused(self, error: Refusal, *, method: str, context: Any) -> None:
        """A call has been refused as a whole."""
        if method not in self._commands and not isinstance(error, Denied):
            return
        if origin.current() is None:
            # Nobody was let in yet, and what a stranger says of where the command comes from counts for nothing.
            address = context.peer().rpartition(":")[0]
            if await self._strangers.incr(address, STRANGERS.seconds) > STRANGERS.amount:
                return
            known = Origin(channel=CHANNEL, address=context.peer(), request_id=logs.request_id.get().decode())
            origin.begin(known)
        await self.refused_parts([(error, {})], method=method, context=context)

    async def refused_parts(self, parts: Iterable[RefusedPart], *, method: str, context: Any) -> None:
        """Parts of a call have been refused, and nothing else is told of it."""
        known = origin.current()
        if known is None or not self.is_first:
            return
        names = ", ".join(name.decode(errors="replace") for name in context.peer_identities() or ())
        where = {"method": method, "caller": notary.shown(names)} if names else {"method": method}
        await self._notary.write_refused(parts, of=known, subject=method[1:], where=where)
