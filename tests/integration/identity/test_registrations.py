"""How accounts come about, and what strangers can't make of it."""

import asyncio
import contextlib
import hmac
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import asyncpg
import pytest

from billfold.identity import errors
from billfold.identity.contracts import NewAlias
from billfold.identity.service.attempts import CODES_MAX, MAILS_MAX
from billfold.identity.store import registrations as store
from billfold.kernel import ids
from billfold.kernel.errors import BillfoldError
from billfold.platform.mail.errors import PhonesUnreachable
from billfold.platform.postgres.database import Database
from tests.integration.identity.town import ELSEWHERE, OTHER_PASSWORD, PASSWORD, Town, a_new_address, principal


def another(code: str) -> str:
    return f"{(int(code) + 1) % 10**8:08}"


async def test_a_code_and_the_id_make_an_account_that_is_logged_in(town: Town) -> None:
    email = a_new_address()
    registration = await town.register(email.upper(), name="  Ada  Lovelace ")
    (mail,) = await town.mails(email)
    assert mail.template == "verification_code"
    assert set(mail.values) == {"code", "minutes", "time"}
    assert mail.values["minutes"] == "10"
    tokens = await town.verify(registration, mail.values["code"])
    ada = principal(tokens)
    profile = await town.identity.users.me(by=ada)
    assert (profile.email, profile.display_name, profile.initials) == (email, "Ada Lovelace", "AL")
    assert (profile.roles, profile.factors, profile.has_password) == (["user"], [], True)
    assert [event["type"] for event in await town.told(user=ada)] == ["user.registered.v1", "session.started.v1"]
    assert (await town.log_in(email)).user_id == tokens.user_id


async def test_the_code_is_worth_nothing_without_the_id(town: Town) -> None:
    """Eve registers with Ada's address and her own password: what Ada has in her mail is no use to either of them."""
    email = a_new_address()
    eves = await town.register(email, password=OTHER_PASSWORD)
    eves_code = await town.code(email)
    adas = await town.register(email)
    with pytest.raises(errors.CodeWrong):
        await town.verify(adas, eves_code)
    with pytest.raises(errors.CodeWrong):
        await town.verify(ids.new(), eves_code)
    with pytest.raises(errors.CodeWrong):
        await town.verify(eves, await town.code(email))
    await town.verify(adas, await town.code(email))
    with pytest.raises(errors.LoginFailed):
        await town.log_in(email, OTHER_PASSWORD)


async def test_an_address_with_an_account_is_told_and_nobody_else(town: Town) -> None:
    email, _ = await town.person()
    registration = await town.register(email, password=OTHER_PASSWORD)
    assert (await town.templates(email))[-1] == "account_exists"
    for code in ("00000000", "48213705"):
        with pytest.raises(errors.CodeWrong):
            await town.verify(registration, code)
    await town.log_in(email)


async def test_five_wrong_codes_end_it(town: Town) -> None:
    email = a_new_address()
    registration = await town.register(email)
    code = await town.code(email)
    for _ in range(5):
        with pytest.raises(errors.CodeWrong):
            await town.verify(registration, another(code))
    with pytest.raises(errors.CodeWrong):
        await town.verify(registration, code)


async def test_whoever_reads_the_database_can_not_try_all_codes(town: Town) -> None:
    """There are few enough of them. What is kept is no hash that can be made without the sealed key."""
    email, added, wanted = (a_new_address() for _ in range(3))
    _, ada = await town.person()
    alias = await town.identity.aliases.add(by=ada, new=NewAlias(alias=added))
    change = await town.identity.users.want_address(by=ada, kind="email", address=wanted, password=PASSWORD, proof=None)
    sent = {await town.register(email): email, UUID(change.id): wanted, UUID(alias.id): added}
    key = await town.identity.registrations._code_key()
    async with town.database.connection() as connection:
        for code_id, to in sent.items():
            kept = await connection.fetchval(
                "SELECT code_hash FROM identity.codes WHERE id = $1"
                " UNION ALL SELECT code_hash FROM identity.aliases WHERE id = $1",
                code_id,
            )
            content = code_id.bytes + (await town.code(to)).encode()
            assert kept == hmac.digest(key, content, "sha256")
            assert kept != sha256(content).digest()
        sealed = await connection.fetchval("SELECT sealed FROM identity.secrets WHERE name = 'code_key'")
    assert key not in sealed


async def test_a_code_is_good_in_every_process(town: Town) -> None:
    email = a_new_address()
    registration = await town.register(email)
    elsewhere = Town(town.database)
    try:
        await elsewhere.verify(registration, await town.code(email))
    finally:
        elsewhere.identity.close()


async def test_of_many_guesses_at_once_five_are_looked_at(town: Town) -> None:
    email = a_new_address()
    registration = await town.register(email)
    code = await town.code(email)
    guesses = [town.verify(registration, another(code)) for _ in range(20)]
    assert all(isinstance(one, errors.CodeWrong) for one in await asyncio.gather(*guesses, return_exceptions=True))
    async with town.database.connection() as connection:
        attempts = await connection.fetchval("SELECT attempts FROM identity.codes WHERE id = $1", registration)
    assert attempts == 5


async def test_of_two_verifications_at_once_one_succeeds(town: Town) -> None:
    for _ in range(5):
        email = a_new_address()
        registration = await town.register(email)
        code = await town.code(email)
        found = await asyncio.gather(*(town.verify(registration, code) for _ in range(4)), return_exceptions=True)
        assert sorted(type(one).__name__ for one in found) == ["CodeWrong"] * 3 + ["SessionTokens"]


async def test_a_code_is_used_up_by_one_statement(town: Town) -> None:
    code_id, code_hash, now = ids.new(), b"h" * 32, town.clock.now()

    async def use() -> bool:
        async with town.database.transaction() as connection:
            return await store.use_code(connection, code_id, code_hash=code_hash, most=100, now=now)

    async with town.database.transaction() as connection:
        await store.insert_code(
            connection, code_id, code_hash=code_hash, now=now, expires_at=now + timedelta(minutes=1)
        )
    assert sorted(await asyncio.gather(*(use() for _ in range(8)))) == [False] * 7 + [True]


async def test_of_two_registrations_of_one_address_the_first_to_verify_has_it(town: Town) -> None:
    email = a_new_address()
    pairs = []
    for _ in range(2):
        registration = await town.register(email)
        pairs.append((registration, await town.code(email)))
    found = await asyncio.gather(*(town.verify(*pair) for pair in pairs), return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["AddressTaken", "SessionTokens"]


async def test_a_code_ends_and_a_clock_that_is_put_back_revives_none_that_was_used(town: Town) -> None:
    email, other = a_new_address(), a_new_address()
    used, late = await town.register(email), await town.register(other)
    code, late_code = await town.code(email), await town.code(other)
    assert (await town.mails(other))[-1].values["minutes"] == "10"
    town.clock.go_on(minutes=9)
    await town.verify(used, code)
    town.clock.go_on(minutes=1)
    with pytest.raises(errors.CodeWrong):
        await town.verify(late, late_code)
    town.clock.go_on(hours=-24)
    with pytest.raises(errors.CodeWrong):
        await town.verify(used, code)


async def test_a_server_whose_clock_is_behind_takes_the_codes_of_another(town: Town, database: Database) -> None:
    other = Town(database)
    other.clock.at = town.clock.at - timedelta(minutes=10)
    email = a_new_address()
    tokens = await other.verify(await town.register(email), await town.code(email))
    assert (await other.identity.users.me(by=principal(tokens))).email == email
    other.identity.close()


async def test_a_phone_gets_a_short_message(database: Database) -> None:
    town = Town(database, sms_domain="sms.example.com")
    registration = await town.register(phone="081 234 0001")
    to = "+66812340001@sms.example.com"
    assert await town.templates(to) == ["verification_code_sms"]
    tokens = await town.verify(registration, await town.code(to))
    assert (await town.identity.users.me(by=principal(tokens))).phone == "+66812340001"
    assert (await town.log_in("+66 81 234 0001")).user_id == tokens.user_id
    await town.register(phone="+66812340001")
    assert (await town.templates(to))[-1] == "account_exists_sms"
    town.identity.close()


async def test_without_a_gateway_there_are_no_phones(town: Town) -> None:
    with pytest.raises(PhonesUnreachable):
        await town.register(phone="+66812340002")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"email": "ada@example.com\r\nBcc: eve@example.com"}, errors.InvalidEmail),
        ({"email": "ada@example.com", "phone": "+66812345678"}, errors.AddressNeeded),
        ({"email": "ada@example.com", "name": "Ada\r\nBcc: eve@example.com"}, errors.InvalidDisplayName),
        ({"email": "ada@example.com", "password": "x" * 100_000}, errors.PasswordTooLong),
        ({"email": "ada@example.com", "password": "too short"}, errors.PasswordTooShort),
        ({"email": "ada@example.com", "password": "password1234"}, errors.PasswordTooCommon),
        ({"email": "ada.lovelace@example.com", "password": "Ada.Lovelace1815"}, errors.PasswordPersonal),
    ],
)
async def test_what_is_wrong_is_refused_and_sends_nothing(
    town: Town, wrong: dict[str, str], error: type[BillfoldError]
) -> None:
    before = await town.templates("ada@example.com")
    with pytest.raises(error):
        await town.register(**wrong)
    assert await town.templates("ada@example.com") == before


async def test_strangers_fill_nobodys_mailbox(town: Town) -> None:
    email = a_new_address()
    for _ in range(5):
        await town.register(email)
    with pytest.raises(errors.TooManyAttempts) as refused:
        await town.register(email)
    assert 0 < refused.value.wait_s <= 30 * 60
    assert len(await town.mails(email)) == 5


async def test_who_asks_for_codes_to_an_address_keeps_nobody_else_from_theirs(town: Town) -> None:
    email = a_new_address()
    for _ in range(MAILS_MAX + 3):
        with contextlib.suppress(errors.TooManyAttempts):
            await town.register(email, address=ELSEWHERE)
    registration = await town.register(email)
    await town.verify(registration, await town.code(email))


@pytest.mark.parametrize("has_account", [True, False])
async def test_strangers_from_many_addresses_fill_nobodys_mailbox(town: Town, *, has_account: bool) -> None:
    email = (await town.person())[0] if has_account else a_new_address()
    for number in range(CODES_MAX + 10):
        # What they are answered is the same as ever.
        assert await town.register(email, address=f"192.0.2.{number}")
    assert len(await town.mails(email)) == CODES_MAX


async def test_what_is_kept_is_no_secret(town: Town, database: Database) -> None:
    email = a_new_address()
    registration = await town.register(email)
    code = await town.code(email)
    _, ada = await town.person()
    await town.verify(registration, code)
    tables = ("identity.codes", "identity.registrations", "identity.users", "identity.secrets", "mail.queue")
    async with database.connection() as connection:
        kept = ""
        for table in tables:
            kept += str(await connection.fetch(f"SELECT * FROM {table}"))
        outbox = await connection.fetchval("SELECT string_agg(convert_from(payload, 'UTF8'), '') FROM messaging.outbox")
    for secret in (PASSWORD, code, code.encode().hex()):
        assert secret not in kept
        assert secret not in outbox
    assert email not in outbox
    assert str(ada.owner_id) in outbox


async def test_what_nobody_came_back_for_is_forgotten(town: Town, database: Database) -> None:
    email = a_new_address()
    registration = await town.register(email)
    town.clock.go_on(days=2)
    async with database.connection() as connection:
        over = await connection.fetchval("SELECT count(*) FROM identity.codes")
        # Each that comes takes some away.
        for _ in range(over // 10 + 1):
            await town.register()
        assert await connection.fetchval("SELECT 1 FROM identity.registrations WHERE id = $1", registration) is None


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE identity.codes SET code_hash = ''",
        "UPDATE identity.codes SET expires_at = now()",
        "UPDATE identity.registrations SET password_hash = ''",
        "UPDATE identity.password_resets SET user_id = NULL",
        "DELETE FROM identity.users",
        "TRUNCATE identity.codes",
    ],
)
async def test_the_application_may_not(database: Database, sql: str) -> None:
    async with database.connection() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(sql)
