"""Who decides about what another person has asked for, and how often it then happens."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from billfold.identity import errors
from billfold.identity.contracts import Approval
from billfold.identity.service.approvals import Approvals
from billfold.kernel import ids
from billfold.kernel.principal import MissingScope, Principal, SessionNeeded
from billfold.ledger import errors as ledger_errors
from tests.integration.approvals.people import Bank, by_key, give_roles, person


class Later:
    """A clock that is ahead."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> datetime:
        return datetime.now(UTC) + self._by


@pytest.fixture
async def asked(bank: Bank, maker: Principal, hers: str) -> Approval:
    return await bank.asked(maker, "deposit", target=hers, amount="5.00", key=str(ids.new()))


async def told(bank: Bank, approval: Approval) -> list[dict[str, Any]]:
    async with bank.database.connection() as connection:
        rows = await connection.fetch("SELECT payload FROM messaging.outbox WHERE kind = 'event' ORDER BY seq")
    events = [json.loads(row["payload"]) for row in rows]
    return [event for event in events if event["subject"] == approval.id]


async def test_nobody_approves_what_they_have_asked_for_by_any_path(
    bank: Bank, maker: Principal, asked: Approval, hers: str
) -> None:
    other_session = msgspec.structs.replace(maker, credential_id=ids.new())
    await give_roles(bank.database, maker, "treasurer", "compliance")
    second_role = msgspec.structs.replace(other_session, scopes=maker.scopes | {"wallets:write"})
    for same in (maker, other_session, second_role):
        for decide in (bank.approvals.approve(by=same, approval_id=UUID(asked.id)), reject(bank, same, asked)):
            with pytest.raises(errors.OwnApproval):
                await decide
    with pytest.raises(SessionNeeded):
        await bank.approve(by_key(maker, "approvals:write"), asked)
    assert await bank.posted(hers) == "1000.00"


async def reject(bank: Bank, by: Principal, approval: Approval) -> Approval:
    return await bank.approvals.reject(by=by, approval_id=UUID(approval.id), reason="No.")


async def test_the_database_too_lets_nobody_be_both(bank: Bank, maker: Principal, asked: Approval) -> None:
    async with bank.database.connection() as connection:
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(
                "UPDATE identity.approvals SET status = 'approved', checker_id = $2, decided_at = now() WHERE id = $1",
                UUID(asked.id),
                maker.user_id,
            )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE identity.approvals SET content = '{}' WHERE id = $1", UUID(asked.id))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE identity.approvals SET maker_id = id")


async def test_no_key_approves_and_nobody_without_the_scope_by_now(
    bank: Bank, checker: Principal, asked: Approval, ada: Principal
) -> None:
    with pytest.raises(SessionNeeded):
        await bank.approve(by_key(checker, "approvals:write", "approvals:read"), asked)
    with pytest.raises(MissingScope):
        await bank.approve(ada, asked)
    await give_roles(bank.database, checker, "support")
    # What the session still carries counts no more than the roles of now.
    with pytest.raises(MissingScope, match="by now"):
        await bank.approve(checker, asked)
    assert (await bank.approvals.find(by=checker, approval_id=UUID(asked.id))).status == "pending"


async def test_whose_wallet_it_is_does_not_decide(bank: Bank, maker: Principal, checker: Principal) -> None:
    own = await bank.wallet(checker)
    for kind, sides in {"deposit": (None, own), "withdrawal": (own, None)}.items():
        asked = await bank.asked(maker, kind, source=sides[0], target=sides[1])  # type: ignore[arg-type]
        with pytest.raises(errors.ApprovalConcernsYou):
            await bank.approve(checker, asked)


async def test_who_has_lost_the_role_meanwhile_gets_nothing(
    bank: Bank, maker: Principal, checker: Principal, asked: Approval, hers: str
) -> None:
    await give_roles(bank.database, maker, "support")
    done = await bank.approve(checker, asked)
    assert (done.status, done.reason) == ("failed", "Whoever asked for it lacks deposits:write, operator by now.")
    await give_roles(bank.database, maker, "treasurer")
    assert (await bank.approve(checker, asked)).status == "failed"
    assert await bank.posted(hers) == "1000.00"


async def test_twenty_who_approve_at_once_let_it_happen_once(
    bank: Bank, checker: Principal, asked: Approval, hers: str
) -> None:
    checkers = [checker] * 10 + [await person(bank.database, "compliance") for _ in range(10)]
    outcomes = await asyncio.gather(*(bank.approve(by, asked) for by in checkers), return_exceptions=True)
    decided = [one for one in outcomes if isinstance(one, Approval)]
    assert {one.checker_id for one in decided} == {decided[0].checker_id}
    assert all(isinstance(one, errors.ApprovalEnded) for one in outcomes if not isinstance(one, Approval))
    assert await bank.posted(hers) == "1005.00"
    kinds = [event["type"].removeprefix("billfold.") for event in await told(bank, asked)]
    assert kinds == ["approval.requested.v1", "approval.approved.v1", "approval.executed.v1"]


async def test_what_is_rejected_comes_to_nothing(bank: Bank, maker: Principal, checker: Principal, hers: str) -> None:
    asked = await bank.asked(maker, "deposit", target=hers, key="n-1")
    assert (await reject(bank, checker, asked)).reason == "No."
    assert (await reject(bank, checker, asked)).status == "rejected"
    with pytest.raises(errors.ApprovalEnded, match=r"has been rejected: No\."):
        await bank.approve(checker, asked)
    with pytest.raises(errors.ApprovalEnded, match="rejected"):
        await bank.move(maker, "deposit", target=hers, key="n-1")
    assert await bank.posted(hers) == "1000.00"
    assert [event["data"]["status"] for event in await told(bank, asked)] == ["pending", "rejected"]


async def test_makers_take_their_own_requests_back_and_nobody_elses(
    bank: Bank, maker: Principal, checker: Principal, asked: Approval
) -> None:
    with pytest.raises(errors.ApprovalUnknown):
        await bank.approvals.cancel(by=checker, approval_id=UUID(asked.id))
    for _ in range(2):
        assert (await bank.approvals.cancel(by=maker, approval_id=UUID(asked.id))).status == "cancelled"
    with pytest.raises(errors.ApprovalEnded, match="cancelled"):
        await bank.approve(checker, asked)


async def test_after_three_days_nobody_can_approve_it(
    bank: Bank, checker: Principal, asked: Approval, hers: str
) -> None:
    later = Approvals(database=bank.database, clock=Later(timedelta(hours=72)))
    with pytest.raises(errors.ApprovalEnded, match="expired"):
        await later.approve(by=checker, approval_id=UUID(asked.id))
    assert (await bank.approvals.find(by=checker, approval_id=UUID(asked.id))).status == "expired"
    assert await bank.posted(hers) == "1000.00"


async def test_the_worker_ends_what_is_overdue(bank: Bank, checker: Principal, asked: Approval) -> None:
    await Approvals(database=bank.database, clock=Later(timedelta(hours=73))).tend()
    assert (await bank.approvals.find(by=checker, approval_id=UUID(asked.id))).status == "expired"


async def test_who_sees_what_waits(bank: Bank, maker: Principal, checker: Principal, asked: Approval) -> None:
    support = await person(bank.database, "support")
    assert asked.id in {one.id for one in (await bank.approvals.list(by=checker)).items}
    assert [one.id for one in (await bank.approvals.list(by=by_key(maker, "deposits:write"))).items] == [asked.id]
    assert (await bank.approvals.list(by=support)).items == []
    with pytest.raises(errors.ApprovalUnknown):
        await bank.approvals.find(by=support, approval_id=UUID(asked.id))
    assert [one.id for one in (await bank.approvals.list(by=checker, status="pending", limit=1)).items] == [asked.id]


async def test_a_maker_has_a_hundred_requests_waiting_at_most(bank: Bank, maker: Principal, hers: str) -> None:
    for number in range(100):
        await bank.asked(maker, "deposit", target=hers, key=f"many-{number}")
    with pytest.raises(errors.TooManyApprovals):
        await bank.move(maker, "deposit", target=hers, key="many-100")


async def test_what_fails_for_a_moment_stays_approved_and_the_worker_finishes_it(
    bank: Bank, maker: Principal, checker: Principal, asked: Approval, hers: str
) -> None:
    async def busy(_approved: object) -> object:
        raise ledger_errors.Overloaded

    bank.approvals.carried_out_by({"movement": busy})
    assert (await bank.approve(checker, asked)).status == "approved"
    assert (await bank.approve(checker, asked)).status == "approved"
    bank.approvals.carried_out_by(bank.wallets.executors)
    soon = Approvals(database=bank.database, clock=Later(timedelta(seconds=6)))
    soon.carried_out_by(bank.wallets.executors)
    await soon.tend()
    assert (await bank.approvals.find(by=maker, approval_id=UUID(asked.id))).status == "executed"
    assert await bank.posted(hers) == "1005.00"
