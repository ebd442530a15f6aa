"""What sealing the audit costs: so many records that are there and not sealed yet."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.stack import Running
from billfold.audit import Audit
from billfold.kernel import clock, ids
from billfold.kernel.facts import Fact
from billfold.kernel.origin import Origin
from billfold.platform.keys import Envelope, local
from billfold.platform.postgres.database import Database

#: The worker seals every few seconds, too. When it was faster once, another lot is recorded.
_TRIES = 5


class Sealed(msgspec.Struct, frozen=True):
    """So many records, and how long they took to record and then to seal."""

    records: int
    recording_s: float
    sealing_s: float


class NotSealed(Exception):
    """The worker has been faster each time."""


async def measure(running: Running, *, records: int) -> Sealed:
    """Record so many facts in one transaction, and seal them.

    Raises: NotSealed.
    """
    database = await Database.connect(running.dsn(running.record.audit_dsn), size=1, name="billfold bench")
    try:
        audit = Audit(database=database, envelope=Envelope(local.load(Path(running.record.keys_file))))
        for _ in range(_TRIES):
            facts = _facts(records)
            began = time.perf_counter()
            await audit.recording.add(facts)
            recorded = time.perf_counter()
            if await audit.sealing.seal() is not None:
                return Sealed(records, recorded - began, time.perf_counter() - recorded)
    finally:
        await database.close()
    raise NotSealed


def _facts(count: int) -> list[Fact]:
    origin = Origin(channel="api", address="192.0.2.1", request_id="a-request-of-a-client", owner_id=ids.new())
    now = clock.format(datetime.now(UTC))
    return [
        Fact(
            type="transfer.posted.v1",
            source="/billfold/bench",
            id=str(id_),
            subject=str(id_),
            time=now,
            origin=origin,
            data={
                "id": str(id_),
                "kind": "transfer",
                "money": {"amount": "12.34", "asset": "USD"},
                "reference": "bench",
            },
        )
        for id_ in ids.many(count)
    ]
