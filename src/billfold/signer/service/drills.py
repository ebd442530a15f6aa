"""When backups were tried, in the signer's log. It takes the signer's database and no key of it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from billfold.kernel.clock import Clock, SystemClock
from billfold.platform.postgres.database import Database
from billfold.signer.contracts import Drill
from billfold.signer.service.recording import Recorder
from billfold.signer.store import log, trees


class Drills:
    """Kept and asked."""

    def __init__(self, *, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._clock = clock or SystemClock()

    async def record(self, drill: Drill) -> None:
        """Write down that there was one.

        Raises:
            DatabaseUnavailable.
        """
        about = {name: value for name, value in msgspec.structs.asdict(drill).items() if value is not None}
        async with self._database.transaction() as connection:
            recorder = await Recorder.begin(connection, now=self._clock.now())
            recorder.add("drilled", about, code=drill.fault)
            await recorder.write()

    async def last_good(self) -> datetime | None:
        """When every address was derived from a backup for the last time.

        Raises:
            DatabaseUnavailable.
        """
        async with self._database.connection() as connection:
            return await log.last_good_drill(connection)

    async def wanted(self) -> bool:
        """Whether there are keys of anything but a sandbox, whose money is none.

        Raises:
            DatabaseUnavailable.
        """
        async with self._database.connection() as connection:
            return await trees.any_of_money(connection)
