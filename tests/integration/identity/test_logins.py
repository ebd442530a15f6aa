"""Logging in, and what those learn who can't."""

from uuid import UUID

import pytest

from billfold.identity import errors
from billfold.identity.contracts import NewAlias, Proof, SecondFactor
from billfold.identity.service.passwords import Passwords, Verdict
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database
from tests.integration.identity.town import (
    CHEAP,
    ELSEWHERE,
    HOME,
    OTHER_PASSWORD,
    PASSWORD,
    Town,
    a_new_address,
    principal,
    refused,
)


async def test_a_login_is_a_session(town: Town) -> None:
    email, ada = await town.person()
    tokens = await town.log_in(email, address=ELSEWHERE)
    assert tokens.session_id in await town.sessions(ada)
    assert principal(tokens).owner_id == ada.owner_id


async def test_every_reason_is_the_same(town: Town) -> None:
    email, ada = await town.person()
    closed, bob = await town.person()
    await town.identity.users.close(by=bob, password=PASSWORD)
    said = {
        str(await refused(town, login))
        for login in (email, closed, a_new_address(), "+66812345999", "@nobody", "nonsense", "\u202e", "a@b@c")
    }
    assert len(said) == 1
    assert type(await refused(town, email, PASSWORD + "!")) is errors.LoginFailed
    assert await town.sessions(ada) != []


async def test_a_handle_logs_its_owner_in(town: Town) -> None:
    _, ada = await town.person()
    handle = f"@ada_{ada.owner_id.hex[-12:]}"
    await town.identity.aliases.add(by=ada, new=NewAlias(alias=handle))
    assert (await town.log_in(handle.upper())).user_id == str(ada.owner_id)
    await town.identity.aliases.release(by=ada, alias=handle)
    assert type(await refused(town, handle, PASSWORD)) is errors.LoginFailed


async def test_a_failure_is_told_with_nothing_that_helps(town: Town) -> None:
    email, ada = await town.person()
    await refused(town, email)
    event = (await town.told(user=ada))[-1]
    assert event["type"] == "user.login_failed.v1"
    assert event["data"]["address"] == ELSEWHERE
    unknown = f"zoë.{ada.owner_id.hex}@example.com"
    await refused(town, unknown)
    (event,) = await town.told(login="z***@e***.com")
    assert (event["data"]["user_id"], event["subject"]) == (None, "nobody")
    assert unknown not in str(event)
    assert OTHER_PASSWORD not in str(event)


async def test_a_login_from_a_new_place_is_told_by_mail(town: Town) -> None:
    email, _ = await town.person()
    await town.log_in(email)
    assert "new_login" not in await town.templates(email)
    await town.log_in(email, address=ELSEWHERE)
    mail = (await town.mails(email))[-1]
    assert (mail.template, mail.values["address"]) == ("new_login", ELSEWHERE)
    await town.log_in(email, address=ELSEWHERE)
    assert (await town.templates(email)).count("new_login") == 1


async def begin(town: Town, by: Principal, *, address: str, **more: bool) -> None:
    async with town.database.transaction() as connection:
        await town.identity.sessions.start(
            connection, user_id=by.owner_id, methods=["fed"], device="x", address=address, **more
        )


async def test_a_login_with_a_second_factor_tells_once_and_when_it_is_complete(town: Town) -> None:
    email, ada = await town.person()
    app = await town.app(ada)
    login = await town.identity.logins.login(login=email, password=PASSWORD, device="x", address=ELSEWHERE)
    assert isinstance(login, SecondFactor)
    assert "new_login" not in await town.templates(email)
    proof = Proof(totp=town.shown(app))
    await town.identity.second_factors.complete(token=login.token, proof=proof, device="x", address=ELSEWHERE)
    (mail,) = [mail for mail in await town.mails(email) if mail.template == "new_login"]
    assert (mail.values["address"], mail.values["device"]) == (ELSEWHERE, "x")


async def test_whichever_way_somebody_logs_in_from_a_new_place_they_are_told_once(town: Town) -> None:
    email, ada = await town.person()
    await begin(town, ada, address=HOME)
    assert "new_login" not in await town.templates(email)
    for _ in range(2):
        await begin(town, ada, address=ELSEWHERE)
        assert (await town.templates(email)).count("new_login") == 1
    town.clock.go_on(days=31)
    await begin(town, ada, address=HOME)
    assert (await town.templates(email)).count("new_login") == 2


async def test_whoever_has_a_phone_alone_logs_in_where_no_phone_can_be_reached_any_more(town: Town) -> None:
    _, ada = await town.person()
    async with town.database.connection() as connection:
        await connection.execute(
            "UPDATE identity.users SET email = NULL, email_verified_at = NULL, phone = $2, phone_verified_at = now()"
            " WHERE id = $1",
            ada.owner_id,
            f"+668{ada.owner_id.int % 10**8:08}",
        )
    await begin(town, ada, address=ELSEWHERE)
    assert len(await town.sessions(ada)) == 2


async def test_whoever_has_just_made_an_account_is_told_nothing_of_a_login(town: Town) -> None:
    email, ada = await town.person()
    await begin(town, ada, address=ELSEWHERE, new_account=True)
    assert "new_login" not in await town.templates(email)


async def test_a_hash_of_cheaper_times_is_replaced_at_the_next_login(town: Town, database: Database) -> None:
    email, ada = await town.person()
    dear = Passwords(pepper=town.identity.passwords._pepper, hashing=type(CHEAP)(passes=3, memory_mib=20, threads=1))
    town.identity.logins._passwords = dear
    await town.log_in(email)
    dear.close()
    async with database.connection() as connection:
        kept = await connection.fetchval("SELECT password_hash FROM identity.users WHERE id = $1", ada.owner_id)
    assert kept.startswith("$argon2id$v=19$m=20480,t=3,p=1$")


async def test_whoever_has_a_second_factor_gets_no_session_without_it(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    email, ada = await town.person()
    asked = SecondFactor(token="t", methods=["totp"], expires_at=town.clock.now(), passkey_options=None)

    class Factors:
        async def needed(self, _connection: object, *, user_id: UUID, methods: list[str]) -> SecondFactor:
            assert (user_id, methods) == (ada.owner_id, ["pwd"])
            return asked

    monkeypatch.setattr(town.identity.logins, "_second_factors", Factors())
    before = await town.sessions(ada)
    answer = await town.identity.logins.login(login=email, password=PASSWORD, device="x", address=HOME)
    assert answer == asked
    assert await town.sessions(ada) == before
    assert type(await refused(town, email)) is errors.LoginFailed


async def test_an_oversized_password_is_refused_before_anybody_is_looked_for(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(Database, "connection", never)
    with pytest.raises(errors.PasswordTooLong):
        await town.log_in("ada@example.com", "x" * 100_000)


async def test_a_password_that_is_changed_meanwhile_logs_nobody_in(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    email, _ = await town.person()
    verify = town.identity.passwords.verify

    async def slowly(password: str, kept: str | None) -> Verdict:
        verdict = await verify(password, kept)
        monkeypatch.undo()
        await town.forgot(email)
        await town.reset(await town.token(email))
        return verdict

    monkeypatch.setattr(town.identity.passwords, "verify", slowly)
    with pytest.raises(errors.LoginFailed):
        await town.log_in(email)
