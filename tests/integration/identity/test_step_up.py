"""Approvals: what they are bound to, and how long and how often they are good."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from uuid import UUID

import pytest

from billfold.identity import errors
from billfold.identity.contracts import Proof
from billfold.identity.service.step_up import WAITING_MAX
from billfold.kernel import idempotency, ids
from billfold.kernel.principal import Principal
from tests.authenticators import SecurityKey
from tests.integration.identity.people import House, assertion

CONTENT = {"wallet": "a", "to": "outside", "amount": "1500.00", "asset": "USD"}


def request_key(by: Principal, text: str = "order-1", content: bytes = b"1500") -> idempotency.Key:
    return idempotency.key(owner=by.owner_id, text=text, operation="withdrawal", content=content)


async def demand(
    house: House,
    by: Principal,
    proof: UUID | None,
    *,
    content: Mapping[str, str] = CONTENT,
    operation: str = "withdrawal",
    key: idempotency.Key | None = None,
) -> None:
    await house.step_up.demand(principal=by, operation=operation, content=content, key=key, proof=proof)


async def test_what_was_approved_may_be_done(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    waiting = await house.waiting(ada, CONTENT)
    shown = await house.step_up.show(by=ada, step_up_id=waiting)
    assert (shown.operation, shown.content, shown.methods) == ("withdrawal", CONTENT, ["totp", "recovery_code"])
    await house.approve(ada, waiting, app)
    await demand(house, ada, waiting, key=request_key(ada))
    approved = [event["data"] for event in await house.told(ada) if event["type"] == "step_up.approved.v1"]
    assert [(one["operation"], one["method"]) for one in approved] == [("withdrawal", "totp")]


@pytest.mark.parametrize(
    "other",
    [CONTENT | {"amount": "1500.01"}, CONTENT | {"asset": "EUR"}, CONTENT | {"to": "b"}, CONTENT | {"reference": ""}],
    ids=["amount", "asset", "destination", "more"],
)
async def test_an_approval_is_good_for_nothing_else(house: House, other: dict[str, str]) -> None:
    ada = await house.person()
    app = await house.app(ada)
    waiting = await house.waiting(ada, CONTENT)
    await house.approve(ada, waiting, app)
    with pytest.raises(errors.StepUpRequired, match="something else") as required:
        await demand(house, ada, waiting, content=other)
    assert required.value.extensions["step_up"]["content"] == other
    assert required.value.extensions["step_up"]["id"] != str(waiting)
    with pytest.raises(errors.StepUpRequired):
        await demand(house, ada, waiting, operation="api_key.create")
    await demand(house, ada, waiting)


async def test_an_approval_is_its_users_alone(house: House) -> None:
    ada, bob = await house.person(), await house.person()
    app, bobs = await house.app(ada), await house.app(bob)
    waiting = await house.waiting(ada, CONTENT)
    with pytest.raises(errors.StepUpUnknown):
        await house.step_up.show(by=bob, step_up_id=waiting)
    with pytest.raises(errors.StepUpUnknown):
        await house.approve(bob, waiting, bobs)
    await house.approve(ada, waiting, app)
    with pytest.raises(errors.StepUpRequired, match="names no approval of yours"):
        await demand(house, bob, waiting)


async def test_of_many_requests_with_one_approval_at_once_one_goes_on(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    waiting = await house.waiting(ada, CONTENT)
    await house.approve(ada, waiting, app)

    async def go(text: str) -> bool:
        try:
            await demand(house, ada, waiting, key=request_key(ada, text))
        except errors.StepUpRequired:
            return False
        return True

    assert sum(await asyncio.gather(*(go(f"order-{number}") for number in range(20)))) == 1


async def test_the_same_request_may_come_again_and_no_other(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    waiting = await house.waiting(ada, CONTENT)
    await house.approve(ada, waiting, app)
    await demand(house, ada, waiting, key=request_key(ada))
    house.clock.go_on(hours=1)
    await demand(house, ada, waiting, key=request_key(ada))
    await demand(house, ada, None, key=request_key(ada))
    for key in (request_key(ada, "order-2"), request_key(ada, content=b"1501"), None):
        with pytest.raises(errors.StepUpRequired, match="used for another request"):
            await demand(house, ada, waiting, key=key)


async def test_without_a_key_an_approval_is_good_for_one_request(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    waiting = await house.waiting(ada, CONTENT)
    await house.approve(ada, waiting, app)
    await demand(house, ada, waiting)
    with pytest.raises(errors.StepUpRequired):
        await demand(house, ada, waiting)


async def test_an_approval_is_fresh_for_five_minutes(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    late, later = await house.waiting(ada, CONTENT), await house.waiting(ada, CONTENT)
    await house.approve(ada, late, app)
    house.clock.go_on(minutes=5, seconds=1)
    with pytest.raises(errors.StepUpRequired, match="too long ago"):
        await demand(house, ada, late)
    with pytest.raises(errors.StepUpUnknown):
        await house.approve(ada, later, app)


async def test_what_is_not_approved_yet_waits_on(house: House) -> None:
    ada = await house.person()
    await house.app(ada)
    waiting = await house.waiting(ada, CONTENT)
    with pytest.raises(errors.StepUpRequired, match="not approved yet") as required:
        await demand(house, ada, waiting)
    assert required.value.extensions["step_up"]["id"] == str(waiting)


async def test_five_wrong_codes_end_it(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    waiting = await house.waiting(ada, CONTENT)
    for _ in range(5):
        with pytest.raises(errors.SecondFactorWrong):
            await house.step_up.approve(by=ada, step_up_id=waiting, proof=Proof(recovery_code="guess"))
    with pytest.raises(errors.StepUpUnknown):
        await house.approve(ada, waiting, app)
    refused = [event for event in await house.told(ada) if event["type"] == "second_factor.refused.v1"]
    assert [event["data"]["purpose"] for event in refused] == ["withdrawal"] * 5


async def test_a_code_approves_one_thing(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    one, other = await house.waiting(ada, CONTENT), await house.waiting(ada, CONTENT | {"amount": "9.00"})
    code = Proof(totp=house.code(app))
    await house.step_up.approve(by=ada, step_up_id=one, proof=code)
    with pytest.raises(errors.SecondFactorWrong):
        await house.step_up.approve(by=ada, step_up_id=other, proof=code)


async def test_a_passkey_signs_what_it_approves(house: House) -> None:
    ada = await house.person()
    key = await house.passkey(ada)
    one, other = await house.waiting(ada, CONTENT), await house.waiting(ada, CONTENT | {"amount": "9.00"})
    options = (await house.step_up.show(by=ada, step_up_id=one)).passkey_options
    assert options is not None
    signed = Proof(passkey=assertion(key.get(options)))
    with pytest.raises(errors.SecondFactorWrong):
        await house.step_up.approve(by=ada, step_up_id=other, proof=signed)
    assert (await house.step_up.approve(by=ada, step_up_id=one, proof=signed)).approved_at is not None
    await demand(house, ada, one)


async def test_anothers_passkey_approves_nothing(house: House) -> None:
    ada, bob = await house.person(), await house.person()
    await house.passkey(ada)
    bobs = await house.passkey(bob, SecurityKey())
    waiting = await house.waiting(ada, CONTENT)
    options = (await house.step_up.show(by=ada, step_up_id=waiting)).passkey_options
    assert options is not None
    with pytest.raises(errors.SecondFactorWrong):
        await house.step_up.approve(by=ada, step_up_id=waiting, proof=Proof(passkey=assertion(bobs.get(options))))


async def test_a_recovery_code_approves_too(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    renewal = await house.waiting(ada, {}, "recovery_codes.renew")
    await house.approve(ada, renewal, app)
    codes = (await house.factors.renew_recovery_codes(by=ada, proof=renewal)).recovery_codes
    waiting = await house.waiting(ada, CONTENT)
    await house.step_up.approve(by=ada, step_up_id=waiting, proof=Proof(recovery_code=codes[0]))
    await demand(house, ada, waiting)


async def test_it_is_one_factor(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    waiting = await house.waiting(ada, CONTENT)
    for proof in (Proof(), Proof(totp=house.code(app), recovery_code="x")):
        with pytest.raises(errors.OneFactorWanted):
            await house.step_up.approve(by=ada, step_up_id=waiting, proof=proof)


async def test_whoever_has_no_second_factor_is_told_to_add_one(house: House) -> None:
    with pytest.raises(errors.SecondFactorMissing, match="/account"):
        await demand(house, await house.person(), None)


async def test_a_program_without_a_person_always_goes_on(house: House) -> None:
    program = Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=frozenset())
    await demand(house, program, None)


async def test_a_key_of_a_person_is_asked_as_they_are(house: House) -> None:
    ada = await house.person()
    await house.app(ada)
    key = Principal(credential_id=ids.new(), owner_id=ada.owner_id, scopes=frozenset(), user_id=ada.user_id)
    with pytest.raises(errors.StepUpRequired):
        await demand(house, key, None)


async def test_only_the_latest_of_what_waits_is_kept(house: House) -> None:
    ada = await house.person()
    await house.app(ada)
    first, *others = [await house.waiting(ada, CONTENT) for _ in range(WAITING_MAX + 1)]
    with pytest.raises(errors.StepUpUnknown):
        await house.step_up.show(by=ada, step_up_id=first)
    for kept in others:
        await house.step_up.show(by=ada, step_up_id=kept)
