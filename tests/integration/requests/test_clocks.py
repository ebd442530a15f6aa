"""Machines whose clocks are wrong: how long a request may wait is measured by the database's clock alone."""

from datetime import timedelta

import pytest

from billfold.kernel.principal import Principal
from billfold.wallets.contracts import RequestLimits
from tests import servers
from tests.integration.requests.support import Office, opened

HOURS = (timedelta(hours=-5), timedelta(hours=5))


@pytest.mark.parametrize("ahead", HOURS, ids=str)
async def test_an_api_whose_clock_is_wrong_grants_what_is_configured(
    office: Office, ada: Principal, hers: str, his: str, ahead: timedelta
) -> None:
    office.clock.ahead = ahead
    async with office.database.connection() as connection:
        before = await connection.fetchval("SELECT clock_timestamp()")
        request = await office.accept(ada, source=hers, target=his, key="k")
        after = await connection.fetchval("SELECT clock_timestamp()")
        row = await connection.fetchrow("SELECT accepted_at, expires_at FROM wallets.requests")
    assert row is not None
    assert before <= row["accepted_at"] <= after
    assert row["expires_at"] - row["accepted_at"] == RequestLimits().expire_after
    again = await office.accepted(ada, source=hers, target=his, key="k")
    assert (again.request, again.replayed) == (request, True)
    # Nobody has told the worker, whose clock is right.
    office.clock.ahead = timedelta()
    assert await office.sweep() == {"completed": 1}


@pytest.mark.parametrize("ahead", HOURS, ids=str)
async def test_its_clock_makes_no_request_outlive_its_time(
    office: Office, office_database: servers.TestDatabase, ada: Principal, hers: str, *, his: str, ahead: timedelta
) -> None:
    async with opened(office_database.app_dsn, limits=RequestLimits(expire_after=timedelta())) as wrong:
        wrong.clock.ahead = ahead
        request = await wrong.accept(ada, source=hers, target=his)
    assert await office.carry_out(request) == {"expired": 1}
