"""A worker that is killed while it records: nothing is left out, nothing is there twice, and what is sealed fits."""

from __future__ import annotations

import asyncio
from pathlib import Path

from billfold.audit import Audit
from billfold.audit.contracts import Filter
from tests import master_keys, servers, workers
from tests.integration.api import support as api
from tests.integration.audit import support

KILLS = 4
#: Between two kills.
TRANSFERS = 40


async def test_a_worker_that_is_killed_leaves_nothing_out_and_records_nothing_twice(
    *,
    core: servers.TestDatabase,
    kept: servers.TestDatabase,
    server: api.ApiServer,
    recorded: Audit,
    nats_server: servers.NatsServer,
    tmp_path: Path,
) -> None:
    caller = server.caller(await api.bootstrapped(core))
    ada, bob = support.wallet(caller, "Ada"), support.wallet(caller, "Bob")
    caller.post(f"/wallets/{ada}/deposits", {"money": {"amount": "1000.00", "asset": "USD"}})
    more = {"BILLFOLD_AUDIT__DSN": kept.app_dsn, "BILLFOLD_AUDIT__SEAL_SECONDS": "1"}
    posted: list[str] = []
    for _ in range(KILLS):
        async with workers.running_worker(core, nats_server, keys=master_keys.shared(), more=more) as process:
            posted += await asyncio.to_thread(_paid, caller, ada, bob)
            # It records something by now, whatever it is about to do.
            await support.records(recorded, subject=posted[-TRANSFERS])
            process.kill()
            await process.wait()
    async with workers.running_worker(core, nats_server, keys=master_keys.shared(), more=more):
        await support.records(recorded, subject=posted[-1])
        for transfer in posted:
            await support.records(recorded, subject=transfer)
        await recorded.sealing.seal()
    checked = await support.checked(recorded)
    assert checked.faults == []
    page = await recorded.reading.page(by=support.AUDITOR, asked=Filter(), limit=1)
    assert checked.records == page.items[0].position + 1
    for transfer in posted:
        assert len(await support.records(recorded, subject=transfer)) == 1


def _paid(caller: api.Caller, source: str, target: str) -> list[str]:
    return [support.pay(caller, source, target, "1.00").json()["id"] for _ in range(TRANSFERS)]
