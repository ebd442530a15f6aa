"""Factors as they are added, used and removed; who may do so, and what is told of it."""

from __future__ import annotations

import asyncio
import base64
from typing import Any
from uuid import UUID

import msgspec
import pyotp
import pytest

from billfold.identity import errors
from billfold.identity.contracts import PASSKEYS_MAX, NewCredential, Proof
from billfold.kernel.principal import Principal
from tests.authenticators import PRESENT, SecurityKey
from tests.integration.identity.people import PASSWORD, House


async def test_an_app_counts_once_it_has_shown_a_code(house: House) -> None:
    ada = await house.person()
    new = await house.factors.start_totp(by=ada, password=PASSWORD, proof=None)
    assert (await house.factors.show(by=ada)).totp is None
    assert new.uri.startswith("otpauth://totp/Billfold:")
    assert f"secret={new.secret}" in new.uri
    with pytest.raises(errors.SecondFactorWrong):
        await house.factors.confirm_totp(by=ada, code="000000")
    app = await house.app(ada)
    assert (await house.factors.show(by=ada)).totp is not None
    with pytest.raises(errors.TotpUnknown):
        await house.factors.confirm_totp(by=ada, code=house.code(app))


async def test_the_first_factor_comes_with_recovery_codes_and_a_mail(house: House) -> None:
    ada = await house.person()
    new = await house.factors.start_passkey(by=ada, password=PASSWORD, proof=None)
    credential = msgspec.convert(SecurityKey().create(new.options), NewCredential)
    added = await house.factors.finish_passkey(
        by=ada, challenge_id=UUID(new.challenge_id), name="Phone", credential=credential
    )
    assert added.recovery_codes is not None
    assert len(set(added.recovery_codes)) == 10
    assert [passkey.name for passkey in added.factors.passkeys] == ["Phone"]
    assert [(mail["template"], mail["factor"], mail["change"]) for mail in house.outside.mails] == [
        ("factor_changed", "passkey", "added")
    ]
    told = (await house.told(ada))[-1]
    assert (told["type"], told["data"]["factor"], told["data"]["by"]) == (
        "factor.added.v1",
        "passkey",
        str(ada.credential_id),
    )


async def test_whoever_has_a_phone_alone_is_told_of_a_new_factor_there(house: House) -> None:
    ada = await house.person()
    async with house.database.connection() as connection:
        await connection.execute(
            "UPDATE identity.users SET phone = '+66812345679', phone_verified_at = email_verified_at, email = NULL, "
            "email_verified_at = NULL WHERE id = $1",
            ada.owner_id,
        )
    await house.app(ada)
    assert [(mail["template"], mail["to"]) for mail in house.outside.mails] == [("factor_changed_sms", "+66812345679")]


@pytest.mark.parametrize("password", [None, "wrong"])
async def test_the_first_factor_needs_the_password(house: House, password: str | None) -> None:
    ada = await house.person()
    with pytest.raises(errors.PasswordWrong):
        await house.factors.start_totp(by=ada, password=password, proof=None)
    with pytest.raises(errors.PasswordWrong):
        await house.factors.start_passkey(by=ada, password=password, proof=None)


async def test_without_any_password_it_needs_a_login_of_these_minutes(house: House) -> None:
    ada = await house.person(password=False)
    assert (await house.factors.start_totp(by=ada, password=None, proof=None)).secret
    house.clock.go_on(minutes=10, seconds=1)
    with pytest.raises(errors.LoginTooOld):
        await house.factors.start_totp(by=ada, password=None, proof=None)


async def test_every_further_change_needs_a_factor_and_not_the_password(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    passkey = await house.factors.show(by=ada)
    assert passkey.passkeys == []
    with pytest.raises(errors.StepUpRequired) as required:
        await house.factors.start_passkey(by=ada, password=PASSWORD, proof=None)
    proof = UUID(required.value.extensions["step_up"]["id"])
    await house.approve(ada, proof, app)
    await house.passkey(ada, proof=proof)
    for change in (
        house.factors.remove_totp(by=ada, proof=proof),
        house.factors.renew_recovery_codes(by=ada, proof=proof),
        house.factors.start_passkey(by=ada, password=PASSWORD, proof=proof),
    ):
        with pytest.raises(errors.StepUpRequired):
            await change


async def test_a_passkey_that_was_begun_without_factors_is_not_added_beside_one(house: House) -> None:
    """A thief with a stolen session and the password begins one, and waits until the owner has a factor."""
    ada = await house.person()
    stolen = await house.factors.start_passkey(by=ada, password=PASSWORD, proof=None)
    await house.app(ada)
    credential = msgspec.convert(SecurityKey().create(stolen.options), NewCredential)
    with pytest.raises(errors.FactorsChanged):
        await house.factors.finish_passkey(
            by=ada, challenge_id=UUID(stolen.challenge_id), name="Thief", credential=credential
        )
    assert (await house.factors.show(by=ada)).passkeys == []


async def test_an_app_that_was_begun_without_factors_is_not_added_beside_one(house: House) -> None:
    ada = await house.person()
    stolen = await house.factors.start_totp(by=ada, password=PASSWORD, proof=None)
    await house.passkey(ada)
    with pytest.raises(errors.FactorsChanged):
        await house.factors.confirm_totp(by=ada, code=pyotp.TOTP(stolen.secret).at(house.clock.now()))
    assert (await house.factors.show(by=ada)).totp is None


async def test_of_two_first_passkeys_at_once_one_is_added(house: House) -> None:
    ada = await house.person()
    begun = [await house.factors.start_passkey(by=ada, password=PASSWORD, proof=None) for _ in range(4)]
    done = await asyncio.gather(
        *(
            house.factors.finish_passkey(
                by=ada,
                challenge_id=UUID(one.challenge_id),
                name="Phone",
                credential=msgspec.convert(SecurityKey().create(one.options), NewCredential),
            )
            for one in begun
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(one, errors.FactorsChanged) for one in done) == 3
    assert len((await house.factors.show(by=ada)).passkeys) == 1


async def test_a_code_confirms_the_app_that_has_shown_it_and_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the code and its use another session begins an app of its own."""
    ada = await house.person()
    own = await house.factors.start_totp(by=ada, password=PASSWORD, proof=None)
    look = house.proofs.step

    async def looked(*said: Any, **how: Any) -> int:
        step = await look(*said, **how)
        await house.factors.start_totp(by=ada, password=PASSWORD, proof=None)
        return step

    monkeypatch.setattr(house.proofs, "step", looked)
    with pytest.raises(errors.TotpUnknown):
        await house.factors.confirm_totp(by=ada, code=pyotp.TOTP(own.secret).at(house.clock.now()))
    assert (await house.factors.show(by=ada)).totp is None


async def test_a_removed_app_shows_codes_for_nothing(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    proof = await _allowed(house, ada, {"factor": "totp"})
    await house.approve(ada, proof, app)
    left = await house.factors.remove_totp(by=ada, proof=proof)
    assert (left.totp, left.recovery_codes) == (None, 0)
    assert house.outside.mails[-1]["change"] == "removed"
    with pytest.raises(errors.SecondFactorMissing):
        await house.waiting(ada, {"amount": "1"})
    with pytest.raises(errors.TotpUnknown):
        await house.factors.remove_totp(by=ada, proof=proof)


async def test_a_passkey_is_removed_by_its_owner_alone(house: House) -> None:
    ada, bob = await house.person(), await house.person()
    app = await house.app(ada)
    await house.passkey(ada, proof=await _approved(house, ada, app, "factor.add", {"factor": "passkey"}))
    (passkey,) = (await house.factors.show(by=ada)).passkeys
    with pytest.raises(errors.PasskeyUnknown):
        await house.factors.remove_passkey(by=bob, passkey_id=UUID(passkey.id), proof=None)
    content = {"factor": "passkey", "passkey_id": passkey.id, "name": passkey.name}
    proof = await _approved(house, ada, app, "factor.remove", content)
    assert (await house.factors.remove_passkey(by=ada, passkey_id=UUID(passkey.id), proof=proof)).passkeys == []


async def test_a_step_is_accepted_once_and_never_an_older_one(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    code, earlier = house.code(app), house.code(app, steps=-1)
    claim = await house.proofs.examine(ada.owner_id, Proof(totp=code), challenge=b"")
    async with house.database.transaction() as connection:
        await house.proofs.use(connection, claim)
    for again in (code, earlier):
        with pytest.raises(errors.SecondFactorWrong):
            await house.proofs.examine(ada.owner_id, Proof(totp=again), challenge=b"")


async def test_of_many_requests_with_one_code_at_once_one_has_it_accepted(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    code = house.code(app)

    async def use() -> bool:
        try:
            claim = await house.proofs.examine(ada.owner_id, Proof(totp=code), challenge=b"")
            async with house.database.transaction() as connection:
                await house.proofs.use(connection, claim)
        except (errors.SecondFactorWrong, errors.TooManyAttempts):
            return False
        return True

    assert sum(await asyncio.gather(*(use() for _ in range(20)))) == 1


@pytest.mark.parametrize(("steps", "right"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
async def test_clocks_may_differ_by_one_step(house: House, *, steps: int, right: bool) -> None:
    ada = await house.person()
    app = await house.app(ada)
    house.clock.go_on(seconds=300)
    proof = Proof(totp=house.code(app, steps=steps))
    if right:
        await house.proofs.examine(ada.owner_id, proof, challenge=b"")
    else:
        with pytest.raises(errors.SecondFactorWrong):
            await house.proofs.examine(ada.owner_id, proof, challenge=b"")


async def test_whoever_guesses_codes_waits_longer_and_longer(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    guesses = await asyncio.gather(
        *(house.proofs.step(ada.owner_id, "000000") for _ in range(50)), return_exceptions=True
    )
    assert sum(isinstance(guess, errors.SecondFactorWrong) for guess in guesses) <= 5
    with pytest.raises(errors.TooManyAttempts):
        await house.proofs.step(ada.owner_id, house.code(app))
    house.clock.go_on(seconds=31)
    with pytest.raises(errors.SecondFactorWrong):
        await house.proofs.step(ada.owner_id, "000000")
    house.clock.go_on(seconds=31)
    with pytest.raises(errors.TooManyAttempts):
        await house.proofs.step(ada.owner_id, house.code(app))
    house.clock.go_on(seconds=31)
    assert await house.proofs.step(ada.owner_id, house.code(app))


async def test_a_right_code_makes_up_for_wrong_ones(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    for _ in range(3):
        for _ in range(3):
            with pytest.raises(errors.SecondFactorWrong):
                await house.proofs.step(ada.owner_id, "000000")
        claim = await house.proofs.examine(ada.owner_id, Proof(totp=house.code(app)), challenge=b"")
        async with house.database.transaction() as connection:
            await house.proofs.use(connection, claim)
        house.clock.go_on(seconds=30)


async def test_a_recovery_code_is_good_once_however_it_is_written(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    proof = await _approved(house, ada, app, "recovery_codes.renew", {})
    code, *others = (await house.factors.renew_recovery_codes(by=ada, proof=proof)).recovery_codes
    written = f" {code.upper().replace('-', ' ')} "

    async def use(text: str) -> bool:
        try:
            claim = await house.proofs.examine(ada.owner_id, Proof(recovery_code=text), challenge=b"")
            async with house.database.transaction() as connection:
                await house.proofs.use(connection, claim)
        except errors.SecondFactorWrong:
            return False
        return True

    assert sum(await asyncio.gather(*(use(written) for _ in range(10)))) == 1
    assert (await house.factors.show(by=ada)).recovery_codes == 9
    assert [event["data"]["left"] for event in await house.told(ada) if event["type"] == "recovery_code.used.v1"] == [9]
    proof = await _approved(house, ada, app, "recovery_codes.renew", {})
    await house.factors.renew_recovery_codes(by=ada, proof=proof)
    assert not await use(others[0])


async def test_a_challenge_is_for_one_session_once_for_five_minutes(house: House) -> None:
    ada, bob = await house.person(), await house.person()
    new = await house.factors.start_passkey(by=ada, password=PASSWORD, proof=None)
    credential = msgspec.convert(SecurityKey().create(new.options), NewCredential)

    async def finish(by: Principal, challenge_id: str) -> None:
        await house.factors.finish_passkey(by=by, challenge_id=UUID(challenge_id), name="Phone", credential=credential)

    with pytest.raises(errors.ChallengeUnknown):
        await finish(bob, new.challenge_id)
    late = await house.factors.start_passkey(by=bob, password=PASSWORD, proof=None)
    await finish(ada, new.challenge_id)
    with pytest.raises(errors.ChallengeUnknown):
        await finish(ada, new.challenge_id)
    house.clock.go_on(minutes=5, seconds=1)
    with pytest.raises(errors.ChallengeUnknown):
        await finish(bob, late.challenge_id)


@pytest.mark.parametrize(
    "key",
    [
        SecurityKey(origin="http://evil.example"),
        SecurityKey(origin="http://localhost:8081"),
        SecurityKey(rp_id="evil.example"),
        SecurityKey(flags=PRESENT),
        SecurityKey(flags=0),
    ],
    ids=["another site", "another port", "made for another", "owner not recognised", "nobody there"],
)
async def test_a_passkey_is_made_on_our_page_by_somebody_who_is_recognised(house: House, key: SecurityKey) -> None:
    ada = await house.person()
    with pytest.raises(errors.PasskeyInvalid):
        await house.passkey(ada, key)
    assert (await house.factors.show(by=ada)).passkeys == []


async def test_a_passkey_is_somebodys_and_nobody_elses(house: House) -> None:
    ada, bob = await house.person(), await house.person()
    key = await house.passkey(ada)
    with pytest.raises(errors.PasskeyExists):
        await house.passkey(bob, key)


async def test_there_are_so_many_passkeys_and_no_more(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    for _ in range(PASSKEYS_MAX):
        await house.passkey(ada, proof=await _approved(house, ada, app, "factor.add", {"factor": "passkey"}))
    with pytest.raises(errors.TooManyPasskeys):
        await house.passkey(ada, proof=await _approved(house, ada, app, "factor.add", {"factor": "passkey"}))


async def test_the_database_has_no_secret_of_a_factor(house: House) -> None:
    ada = await house.person()
    new = await house.factors.start_totp(by=ada, password=PASSWORD, proof=None)
    async with house.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT row_to_json(totp)::text FROM identity.totp WHERE user_id = $1", ada.owner_id
        )
        sealed = await connection.fetchval("SELECT sealed FROM identity.totp WHERE user_id = $1", ada.owner_id)
    secret = base64.b32decode(new.secret)
    assert secret.hex() not in rows[0][0]
    assert secret not in sealed
    assert new.secret not in str(await house.told(ada))


async def _allowed(house: House, by: Principal, content: dict[str, str]) -> UUID:
    return await house.waiting(by, content, "factor.remove")


async def _approved(house: House, by: Principal, app: pyotp.TOTP, operation: str, content: dict[str, str]) -> UUID:
    waiting = await house.waiting(by, content, operation)
    await house.approve(by, waiting, app)
    return waiting
