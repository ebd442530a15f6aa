"""Who gives roles to whom, and what becomes of it."""

import json
from itertools import chain, combinations
from typing import Any

import pytest
from asyncpg import CheckViolationError

from billfold.identity import errors
from billfold.identity.contracts import ROLES, Approval, Role
from billfold.identity.domain import roles as domain
from billfold.kernel.deferred import Deferred
from billfold.kernel.principal import MissingScope, Principal, SessionNeeded
from tests.integration.approvals.people import Bank, by_key, give_roles, person


@pytest.fixture
async def admin(bank: Bank) -> Principal:
    return await person(bank.database, "admin")


@pytest.fixture
async def other_admin(bank: Bank) -> Principal:
    return await person(bank.database, "admin")


async def asked(bank: Bank, by: Principal, whom: Principal, *roles: Role) -> Approval:
    assert whom.user_id is not None
    with pytest.raises(Deferred) as deferred:
        await bank.identity.staff.set_roles(by=by, user_id=whom.user_id, roles=roles)
    approval: Approval = deferred.value.waits_for
    return approval


async def roles_of(bank: Bank, somebody: Principal) -> list[str]:
    assert somebody.user_id is not None
    looking = await person(bank.database, "support")
    return (await bank.identity.staff.find(by=looking, user_id=somebody.user_id)).roles


async def told(bank: Bank, somebody: Principal) -> list[dict[str, Any]]:
    async with bank.database.connection() as connection:
        rows = await connection.fetch("SELECT payload FROM messaging.outbox WHERE kind = 'event' ORDER BY seq")
    events = [json.loads(row["payload"]) for row in rows]
    return [event["data"] for event in events if event["subject"] == str(somebody.user_id)]


@pytest.mark.parametrize("role", ["support", "compliance", "treasurer", "auditor", "admin", "service"])
async def test_what_reaches_beyond_ones_own_things_is_given_by_two(
    bank: Bank, admin: Principal, other_admin: Principal, ada: Principal, role: Role
) -> None:
    approval = await asked(bank, admin, ada, role)
    assert approval.content["roles"] == [role]
    assert await roles_of(bank, ada) == ["user"]
    assert (await bank.approve(other_admin, approval)).status == "executed"
    assert await roles_of(bank, ada) == [role]
    (event,) = await told(bank, ada)
    assert (event["roles"], event["before"]) == ([role], ["user"])


@pytest.mark.parametrize(
    "roles", [("user", "admin"), ("treasurer", "support", "user"), ("service", "compliance")], ids=str
)
async def test_rights_to_ones_own_things_are_not_given_beside_one_to_everybodys(
    bank: Bank, admin: Principal, ada: Principal, roles: tuple[Role, ...]
) -> None:
    assert ada.user_id is not None
    with pytest.raises(errors.RolesApart):
        await bank.identity.staff.set_roles(by=admin, user_id=ada.user_id, roles=roles)
    assert await roles_of(bank, ada) == ["user"]


async def test_the_database_has_the_same_rule(bank: Bank) -> None:
    somebody = await person(bank.database, "user")
    for some in chain.from_iterable(combinations(ROLES, number) for number in range(1, len(ROLES) + 1)):
        try:
            domain.check_together(some)
        except errors.RolesApart:
            with pytest.raises(CheckViolationError):
                await give_roles(bank.database, somebody, *some)
        else:
            await give_roles(bank.database, somebody, *some)


async def test_who_is_to_get_a_role_does_not_approve_it(bank: Bank, admin: Principal) -> None:
    checker = await person(bank.database, "compliance")
    approval = await asked(bank, admin, checker, "admin")
    with pytest.raises(errors.ApprovalConcernsYou):
        await bank.approve(checker, approval)
    with pytest.raises(errors.OwnApproval):
        await bank.approve(admin, approval)


async def test_roles_are_taken_at_once(bank: Bank, admin: Principal) -> None:
    support = await person(bank.database, "support", "user")
    assert support.user_id is not None
    user = await bank.identity.staff.set_roles(by=admin, user_id=support.user_id, roles=["user"])
    assert user.roles == ["user"]
    # Nothing to do is nothing to approve.
    again = await bank.identity.staff.set_roles(by=admin, user_id=support.user_id, roles=["user", "user"])
    assert again == user


async def test_nobody_changes_their_own_roles(bank: Bank, admin: Principal) -> None:
    assert admin.user_id is not None
    for roles in (["admin", "treasurer"], ["user"], ["admin"]):
        with pytest.raises(errors.OwnRoles):
            await bank.identity.staff.set_roles(by=admin, user_id=admin.user_id, roles=roles)  # type: ignore[arg-type]


async def test_it_takes_an_administrator_who_has_logged_in(bank: Bank, admin: Principal, ada: Principal) -> None:
    assert ada.user_id is not None
    treasurer = await person(bank.database, "treasurer")
    with pytest.raises(MissingScope):
        await bank.identity.staff.set_roles(by=treasurer, user_id=ada.user_id, roles=["support"])
    with pytest.raises(SessionNeeded):
        await bank.identity.staff.set_roles(by=by_key(admin, "users:write"), user_id=ada.user_id, roles=["support"])
    with pytest.raises(MissingScope):
        await bank.identity.staff.list(by=ada)
    with pytest.raises(MissingScope):
        await bank.identity.staff.find(by=ada, user_id=ada.user_id)


async def test_what_was_approved_counts_only_for_the_roles_that_were_there(
    bank: Bank, admin: Principal, other_admin: Principal, ada: Principal
) -> None:
    approval = await asked(bank, admin, ada, "support")
    await give_roles(bank.database, ada, "auditor")
    done = await bank.approve(other_admin, approval)
    assert (done.status, (done.reason or "").partition(":")[0]) == ("failed", "roles_changed")
    assert await roles_of(bank, ada) == ["auditor"]


async def test_an_administrator_who_is_one_no_more_gives_nothing(
    bank: Bank, admin: Principal, other_admin: Principal, ada: Principal
) -> None:
    approval = await asked(bank, admin, ada, "support")
    await give_roles(bank.database, admin, "user")
    assert (await bank.approve(other_admin, approval)).status == "failed"
    assert await roles_of(bank, ada) == ["user"]


async def test_people_are_found_by_address_and_handle(bank: Bank, ada: Principal) -> None:
    looking = await person(bank.database, "support")
    async with bank.database.connection() as connection:
        await connection.execute(
            "UPDATE identity.users SET email = 'ada@example.com', email_verified_at = now() WHERE id = $1", ada.user_id
        )
        await connection.execute(
            "INSERT INTO identity.aliases (id, owner_id, kind, shown, canonical, skeleton, visibility, created_at)"
            " VALUES (gen_random_uuid(), $1, 'handle', '@ada_x', 'ada_x', 'ada_x', 'hidden', now())",
            ada.user_id,
        )
    for email, handle in (("Ada@Example.com", None), (None, "@Ada_X"), (None, "ada_x")):
        found = await bank.identity.staff.list(by=looking, email=email, handle=handle)
        assert [user.id for user in found.items] == [str(ada.user_id)], (email, handle)
    assert (await bank.identity.staff.list(by=looking, email="ada@example.co")).items == []
    page = await bank.identity.staff.list(by=looking, limit=1)
    assert [user.id for user in page.items] == [str(looking.user_id)]
    rest = await bank.identity.staff.list(by=looking, cursor=page.next_cursor)
    assert str(ada.user_id) in {user.id for user in rest.items}


async def test_the_first_administrator_comes_about_at_the_machine(bank: Bank) -> None:
    first = await person(bank.database, "user")
    async with bank.database.connection() as connection:
        await connection.execute(
            "UPDATE identity.users SET email = 'first@example.com', email_verified_at = now() WHERE id = $1",
            first.user_id,
        )
    for _ in range(2):
        user = await bank.identity.staff.grant(email="First@example.com", role="admin")
        assert user.roles == ["admin"]
    (event,) = await told(bank, first)
    assert (event["by"], event["by_user"]) == (None, None)
    with pytest.raises(errors.RolesApart):
        await bank.identity.staff.grant(email="first@example.com", role="user")
    with pytest.raises(errors.UserUnknown):
        await bank.identity.staff.grant(email="nobody@example.com", role="admin")


async def test_two_who_ask_for_each_other_both_get_an_answer(bank: Bank, admin: Principal) -> None:
    other = await person(bank.database, "admin")
    third = await person(bank.database, "admin")
    mine = await asked(bank, admin, other, "admin", "auditor")
    theirs = await asked(bank, other, admin, "admin", "auditor")
    done = [await bank.approve(third, one) for one in (mine, theirs)]
    assert [one.status for one in done] == ["executed", "executed"]


async def test_signing_out_needs_an_administrator(bank: Bank, ada: Principal) -> None:
    assert ada.user_id is not None
    support = await person(bank.database, "support")
    for by, refused in ((support, MissingScope), (by_key(support, "users:write"), SessionNeeded)):
        with pytest.raises(refused):
            await bank.identity.staff.sign_out(by=by, user_id=ada.user_id)
