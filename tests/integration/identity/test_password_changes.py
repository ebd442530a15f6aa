"""New passwords, for those who know the old one and for those who don't."""

import asyncio

import pytest

from billfold.identity import errors
from billfold.kernel.principal import Principal
from billfold.platform.mail.errors import PhonesUnreachable
from billfold.platform.postgres.database import Database
from tests.integration.identity.town import ELSEWHERE, HOME, OTHER_PASSWORD, PASSWORD, Town, a_new_address, principal


async def change(town: Town, by: Principal, current: str = PASSWORD, new: str = OTHER_PASSWORD) -> None:
    await town.identity.password_changes.change(by=by, current=current, new=new, device="x", address=HOME)


async def test_a_token_sets_a_new_password_and_ends_all_sessions(town: Town) -> None:
    email, ada = await town.person()
    await town.forgot(email)
    mail = (await town.mails(email))[-1]
    assert (mail.template, set(mail.values)) == ("password_reset", {"token", "minutes", "time"})
    await town.reset(mail.values["token"])
    assert await town.sessions(ada) == []
    assert (await town.mails(email))[-1].template == "password_changed"
    kinds = [event["type"] for event in await town.told(user=ada)]
    assert kinds[-3:] == ["user.reset_requested.v1", "session.ended.v1", "user.password_reset.v1"]
    await town.log_in(email, OTHER_PASSWORD)
    with pytest.raises(errors.LoginFailed):
        await town.log_in(email, PASSWORD)


async def test_a_token_is_good_once(town: Town) -> None:
    email, _ = await town.person()
    await town.forgot(email)
    token = await town.token(email)
    found = await asyncio.gather(*(town.reset(token) for _ in range(5)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["NoneType"] + ["ResetTokenInvalid"] * 4
    with pytest.raises(errors.ResetTokenInvalid):
        await town.reset(token)


async def test_a_new_password_ends_every_other_token(town: Town) -> None:
    email, ada = await town.person()
    await town.forgot(email)
    first = await town.token(email)
    await town.forgot(email)
    await change(town, ada)
    for token in (first, await town.token(email), "nonsense", "x" * 100_000):
        with pytest.raises(errors.ResetTokenInvalid):
            await town.reset(token)
    await town.log_in(email, OTHER_PASSWORD)


async def test_a_token_ends(town: Town) -> None:
    (early, _), (late, _) = await town.person(), await town.person()
    for email in (early, late):
        await town.forgot(email)
        assert (await town.mails(email))[-1].values["minutes"] == "30"
    town.clock.go_on(minutes=29)
    await town.reset(await town.token(early))
    town.clock.go_on(minutes=1)
    with pytest.raises(errors.ResetTokenInvalid):
        await town.reset(await town.token(late))


async def test_a_password_that_is_refused_leaves_the_token_good(town: Town) -> None:
    email, _ = await town.person()
    await town.forgot(email)
    token = await town.token(email)
    for wrong in ("too short", "password1234", email):
        with pytest.raises((errors.PasswordTooShort, errors.PasswordTooCommon, errors.PasswordPersonal)):
            await town.reset(token, wrong)
    await town.reset(token)


async def test_nobody_is_written_to_for_an_account_that_there_is_not(town: Town, database: Database) -> None:
    unknown = a_new_address()
    async with database.connection() as connection:
        before = await connection.fetchval("SELECT count(*) FROM mail.queue")
        for login in (unknown, "@nobody", "nonsense", "a@b@c\r\nBcc: eve@example.com"):
            await town.forgot(login)
        assert await connection.fetchval("SELECT count(*) FROM mail.queue") == before
        assert await connection.fetchval("SELECT count(*) FROM identity.password_resets WHERE user_id IS NULL") >= 4


async def test_phones_that_nothing_can_be_sent_to_are_refused_whosever_they_are(town: Town) -> None:
    with pytest.raises(PhonesUnreachable):
        await town.forgot("+66812345999")


async def test_who_asks_too_often_has_a_mail_that_is_good(town: Town) -> None:
    email, _ = await town.person()
    for _ in range(9):
        await town.forgot(email, address=ELSEWHERE)
    tokens = [mail.values["token"] for mail in await town.mails(email) if "token" in mail.values]
    assert len(tokens) == 5
    # The first, because what strangers ask for ends nothing.
    await town.reset(tokens[0])


async def test_a_reset_lets_the_user_in_wherever_they_are(town: Town) -> None:
    email, _ = await town.person()
    for _ in range(8):
        with pytest.raises((errors.LoginFailed, errors.TooManyAttempts)):
            await town.log_in(email, OTHER_PASSWORD, address=ELSEWHERE)
    await town.forgot(email)
    await town.reset(await town.token(email))
    await town.log_in(email, OTHER_PASSWORD, address="192.0.2.77")


async def test_changing_a_password_ends_all_other_sessions_and_tells_the_user(town: Town) -> None:
    email, ada = await town.person()
    other = principal(await town.log_in(email))
    await change(town, ada)
    assert await town.sessions(ada) == [str(ada.credential_id)]
    assert str(other.credential_id) not in await town.sessions(ada)
    assert (await town.mails(email))[-1].template == "password_changed"
    assert (await town.told(user=ada))[-1]["type"] == "user.password_changed.v1"
    await town.log_in(email, OTHER_PASSWORD)


async def test_changing_a_password_needs_the_current_one(town: Town) -> None:
    email, ada = await town.person()
    with pytest.raises(errors.PasswordWrong):
        await change(town, ada, current=OTHER_PASSWORD)
    with pytest.raises(errors.PasswordTooCommon):
        await change(town, ada, new="password1234")
    await town.log_in(email)


async def test_of_two_changes_at_once_one_wins(town: Town) -> None:
    email, ada = await town.person()
    new = ["a first new password", "a second new password"]
    found = await asyncio.gather(*(change(town, ada, new=one) for one in new), return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["NoneType", "PasswordWrong"]
    await town.log_in(email, new[found.index(None)])


async def test_who_has_no_password_chooses_a_first_one_by_mail(town: Town, database: Database) -> None:
    email, ada = await town.person()
    async with database.connection() as connection:
        await connection.execute("UPDATE identity.users SET password_hash = NULL WHERE id = $1", ada.owner_id)
    with pytest.raises(errors.PasswordNotSet):
        await change(town, ada)
    with pytest.raises(errors.LoginFailed):
        await town.log_in(email)
    await town.forgot(email)
    await town.reset(await town.token(email))
    await town.log_in(email, OTHER_PASSWORD)
