"""A process that is killed between the decision and its effect, or between the effect and its record."""

import asyncio
import signal
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from billfold.identity.contracts import Approval
from billfold.identity.service.approvals import Approvals
from billfold.kernel.principal import Principal
from tests.integration.approvals.people import Bank

TIMEOUT_S = 60.0
_SOON = timedelta(seconds=6)


class Soon:
    def now(self) -> datetime:
        return datetime.now(UTC) + _SOON


async def approve_and_die(dsn: str, approval: Approval, checker: Principal, when: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.approvals.dying",
        dsn,
        approval.id,
        str(checker.user_id),
        when,
    )
    assert await asyncio.wait_for(process.wait(), TIMEOUT_S) == -signal.SIGKILL


@pytest.mark.parametrize("finisher", ["the checker", "the worker", "the maker"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_what_was_approved_happens_once_whoever_finishes_it(
    bank: Bank, maker: Principal, checker: Principal, when: str, finisher: str
) -> None:
    hers = await bank.wallet(bank.machine, holding="1000.00")
    asked = await bank.asked(maker, "deposit", target=hers, amount="5.00", key=f"{when} {finisher}".replace(" ", "-"))
    await approve_and_die(bank.dsn, asked, checker, when)
    assert (await bank.approvals.find(by=checker, approval_id=UUID(asked.id))).status == "approved"
    assert await bank.posted(hers) == {"before": "1000.00", "after": "1005.00"}[when]
    worker = Approvals(database=bank.database, clock=Soon())
    worker.carried_out_by(bank.wallets.executors)
    if finisher == "the checker":
        await bank.approve(checker, asked)
    elif finisher == "the maker":
        # Their request, sent again, goes through now; the worker only writes down that it has.
        await bank.move(maker, "deposit", target=hers, amount="5.00", key=f"{when}-the-maker")
        assert await bank.posted(hers) == "1005.00"
    await worker.tend()
    assert (await bank.approvals.find(by=checker, approval_id=UUID(asked.id))).status == "executed"
    await bank.approve(checker, asked)
    await worker.tend()
    assert await bank.posted(hers) == "1005.00"
