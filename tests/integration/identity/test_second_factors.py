"""Logins with a second factor, and by passkey alone."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from billfold.identity import errors
from billfold.identity.contracts import Proof, SecondFactor, SessionTokens
from billfold.kernel.principal import Principal
from tests.authenticators import PRESENT, SecurityKey
from tests.integration.identity.people import House, assertion


async def begun(house: House, by: Principal) -> SecondFactor:
    """A login of somebody who has sent the right password."""
    async with house.database.transaction() as connection:
        needed = await house.logins.needed(connection, user_id=by.owner_id, methods=["pwd"])
    assert needed is not None
    return needed


async def complete(house: House, login: SecondFactor, proof: Proof) -> SessionTokens:
    return await house.logins.complete(token=login.token, proof=proof, device="a test", address="203.0.113.7")


async def by_passkey(house: House, key: SecurityKey) -> SessionTokens:
    start = await house.logins.start_passkey()
    return await house.logins.finish_passkey(
        challenge_id=UUID(start.challenge_id),
        assertion=assertion(key.get(start.options)),
        device="a test",
        address="203.0.113.7",
    )


async def methods_of(house: House, tokens: SessionTokens) -> list[str]:
    async with house.database.connection() as connection:
        methods: list[str] = await connection.fetchval(
            "SELECT methods FROM identity.sessions WHERE id = $1", UUID(tokens.session_id)
        )
    return methods


async def test_whoever_has_no_second_factor_needs_none(house: House) -> None:
    ada = await house.person()
    async with house.database.transaction() as connection:
        assert await house.logins.needed(connection, user_id=ada.owner_id, methods=["pwd"]) is None


async def test_a_code_completes_a_login_once(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    login = await begun(house, ada)
    assert (login.methods, login.passkey_options) == (["totp", "recovery_code"], None)
    tokens = await complete(house, login, Proof(totp=house.code(app)))
    assert (tokens.user_id, await methods_of(house, tokens)) == (str(ada.owner_id), ["pwd", "otp"])
    house.clock.go_on(seconds=30)
    with pytest.raises(errors.LoginNotPending):
        await complete(house, login, Proof(totp=house.code(app)))


async def test_of_many_completions_at_once_one_has_a_session(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    login = await begun(house, ada)
    proofs = [Proof(totp=house.code(app, steps=step)) for step in (0, 1, 0, 1)]
    outcomes = await asyncio.gather(*(complete(house, login, proof) for proof in proofs), return_exceptions=True)
    assert sum(isinstance(outcome, SessionTokens) for outcome in outcomes) == 1
    assert all(
        isinstance(outcome, SessionTokens | errors.SecondFactorWrong | errors.LoginNotPending) for outcome in outcomes
    )


async def test_a_login_takes_five_attempts_and_five_minutes(house: House) -> None:
    ada = await house.person()
    app = await house.app(ada)
    login, late = await begun(house, ada), await begun(house, ada)
    for _ in range(5):
        with pytest.raises(errors.SecondFactorWrong):
            await complete(house, login, Proof(recovery_code="guess"))
    with pytest.raises(errors.LoginNotPending):
        await complete(house, login, Proof(totp=house.code(app)))
    house.clock.go_on(minutes=5, seconds=1)
    with pytest.raises(errors.LoginNotPending):
        await complete(house, late, Proof(totp=house.code(app)))
    with pytest.raises(errors.LoginNotPending):
        await house.logins.complete(token="guess", proof=Proof(totp="000000"), device="", address="")


async def test_the_code_of_one_person_is_no_good_for_another(house: House) -> None:
    ada, bob = await house.person(), await house.person()
    await house.app(ada)
    bobs = await house.app(bob)
    with pytest.raises(errors.SecondFactorWrong):
        await complete(house, await begun(house, ada), Proof(totp=house.code(bobs)))


async def test_a_passkey_completes_a_login(house: House) -> None:
    ada = await house.person()
    key = await house.passkey(ada)
    login = await begun(house, ada)
    assert login.passkey_options is not None
    assert [known["id"] for known in login.passkey_options["allowCredentials"]] == [
        key.get(login.passkey_options)["id"]
    ]
    tokens = await complete(house, login, Proof(passkey=assertion(key.get(login.passkey_options))))
    assert await methods_of(house, tokens) == ["pwd", "hwk", "user"]


async def test_a_passkey_logs_in_without_a_name(house: House) -> None:
    ada = await house.person()
    key = await house.passkey(ada)
    tokens = await by_passkey(house, key)
    assert (tokens.user_id, await methods_of(house, tokens)) == (str(ada.owner_id), ["hwk", "user"])


async def test_a_challenge_is_signed_once(house: House) -> None:
    ada = await house.person()
    key = await house.passkey(ada)
    start = await house.logins.start_passkey()
    for expected in (None, errors.ChallengeUnknown):
        login = house.logins.finish_passkey(
            challenge_id=UUID(start.challenge_id), assertion=assertion(key.get(start.options)), device="", address=""
        )
        if expected is None:
            await login
        else:
            with pytest.raises(expected):
                await login


async def test_the_challenge_of_a_registration_is_none_for_a_login(house: House) -> None:
    ada = await house.person()
    key = await house.passkey(ada)
    app = await begun(house, ada)
    new = await house.logins.start_passkey()
    assert app.passkey_options is not None
    with pytest.raises(errors.SecondFactorWrong):
        await house.logins.finish_passkey(
            challenge_id=UUID(new.challenge_id),
            assertion=assertion(key.get(app.passkey_options)),
            device="",
            address="",
        )


async def test_a_copy_of_a_passkey_is_found_out(house: House) -> None:
    ada = await house.person()
    key = await house.passkey(ada)
    await by_passkey(house, key)
    await by_passkey(house, key)
    key.sign_count = 0
    with pytest.raises(errors.PasskeyCloned):
        await by_passkey(house, key)
    assert [event["type"] for event in await house.told(ada)][-1] == "passkey.cloned.v1"


async def test_a_passkey_that_does_not_count_stays_good(house: House) -> None:
    ada = await house.person()
    key = await house.passkey(ada)
    for _ in range(2):
        key.sign_count = -1
        await by_passkey(house, key)


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "http://evil.example"},
        {"rp_id": "evil.example"},
        {"flags": PRESENT},
        {"user_handle": None},
        {"user_handle": bytes(16)},
        {"credential_id": b"another"},
        {"key": SecurityKey().key},
    ],
    ids=["another site", "made for another", "owner not recognised", "nobody", "somebody else", "unknown", "forged"],
)
async def test_a_wrong_signature_is_nobodys(house: House, changes: dict[str, object]) -> None:
    key = await house.passkey(await house.person())
    for name, value in changes.items():
        setattr(key, name, value)
    with pytest.raises(errors.SecondFactorWrong):
        await by_passkey(house, key)


async def test_whose_account_is_closed_does_not_log_in(house: House) -> None:
    ada = await house.person()
    key = await house.passkey(ada)
    app_less = await begun(house, ada)
    async with house.database.transaction() as connection:
        await connection.execute(
            "UPDATE identity.users SET closed_at = now(), email = NULL, email_verified_at = NULL, password_hash = NULL "
            "WHERE id = $1",
            ada.owner_id,
        )
    assert app_less.passkey_options is not None
    with pytest.raises(errors.CredentialsInvalid):
        await by_passkey(house, key)
    with pytest.raises(errors.CredentialsInvalid):
        await complete(house, app_less, Proof(passkey=assertion(key.get(app_less.passkey_options))))
