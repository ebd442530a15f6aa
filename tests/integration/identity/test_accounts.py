"""What people do with their accounts: their profile, their addresses, and leaving."""

import asyncio
from uuid import UUID

import msgspec
import pytest

from billfold.identity import errors
from billfold.identity.contracts import Grant, Left, NewAlias, ProfileChange, Proof, SessionTokens
from billfold.identity.store import keys as owners
from billfold.identity.store import providers, users
from billfold.kernel import ids
from billfold.kernel.errors import BillfoldError
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database
from tests.integration.identity import holders
from tests.integration.identity.town import OTHER_PASSWORD, PASSWORD, Town, a_new_address, principal
from tests.integration.ledger.support import eventually


async def want(
    town: Town, by: Principal, email: str, *, password: str | None = PASSWORD, proof: UUID | None = None
) -> UUID:
    awaited = await town.identity.users.want_address(by=by, kind="email", address=email, password=password, proof=proof)
    return UUID(awaited.id)


async def confirm(town: Town, by: Principal, change_id: UUID, code: str) -> None:
    await town.identity.users.verify_address(by=by, kind="email", change_id=change_id, code=code)


async def close(town: Town, by: Principal, password: str | None = PASSWORD) -> None:
    await town.identity.users.close(by=by, password=password)


async def test_a_profile_is_changed_and_told_once(town: Town) -> None:
    _, ada = await town.person()
    change = ProfileChange(display_name="  Ada   King ", locale="th-TH", time_zone="Asia/Bangkok")
    profile = await town.identity.users.change(by=ada, change=change)
    assert (profile.display_name, profile.initials) == ("Ada King", "AK")
    assert (profile.locale, profile.time_zone) == ("th-TH", "Asia/Bangkok")
    assert await town.identity.users.change(by=ada, change=change) == profile
    (event,) = [event for event in await town.told(user=ada) if event["type"] == "user.profile_changed.v1"]
    assert event["data"]["changed"] == ["display_name", "locale", "time_zone"]
    assert event["data"]["by"] == str(ada.credential_id)
    assert "King" not in str(event)
    assert await town.identity.users.change(by=ada, change=ProfileChange()) == profile


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (ProfileChange(display_name="Ada\r\nBcc: eve@example.com"), errors.InvalidDisplayName),
        (ProfileChange(display_name="Ada\u202eevE"), errors.InvalidDisplayName),
        (ProfileChange(time_zone="Mars/Olympus"), errors.InvalidTimeZone),
        (ProfileChange(time_zone="../../etc/passwd"), errors.InvalidTimeZone),
    ],
)
async def test_what_is_wrong_changes_nothing(town: Town, change: ProfileChange, error: type[BillfoldError]) -> None:
    _, ada = await town.person()
    before = await town.identity.users.me(by=ada)
    with pytest.raises(error):
        await town.identity.users.change(by=ada, change=change)
    assert await town.identity.users.me(by=ada) == before


async def test_whoever_is_no_person_has_no_profile(town: Town) -> None:
    with pytest.raises(errors.UserUnknown):
        await town.identity.users.me(by=Principal(ids.new(), ids.new(), frozenset({"account"})))


async def test_a_new_address_counts_once_its_code_is_back_and_the_old_one_is_told(town: Town) -> None:
    old, ada = await town.person()
    new = a_new_address()
    change_id = await want(town, ada, new.upper())
    assert (await town.identity.users.me(by=ada)).email == old
    await confirm(town, ada, change_id, await town.code(new))
    assert (await town.identity.users.me(by=ada)).email == new
    assert (await town.templates(old))[-1] == "address_changed"
    assert (await town.told(user=ada))[-1]["data"]["to"] == f"{new[0]}***@e***.com"
    await town.log_in(new)
    with pytest.raises(errors.LoginFailed):
        await town.log_in(old)
    # The old one is free again.
    await town.person(old)


async def test_a_link_for_a_new_password_that_went_to_the_old_address_is_good_for_nothing(town: Town) -> None:
    old, ada = await town.person()
    await town.forgot(old)
    new = a_new_address()
    await confirm(town, ada, await want(town, ada, new), await town.code(new))
    with pytest.raises(errors.ResetTokenInvalid):
        await town.reset(await town.token(old))


async def test_whoever_has_a_second_factor_changes_an_address_with_its_approval_alone(town: Town) -> None:
    _, ada = await town.person()
    app = await town.app(ada)
    new = a_new_address()
    with pytest.raises(errors.StepUpRequired) as required:
        await want(town, ada, new)
    assert await town.mails(new) == []
    proof = UUID(required.value.extensions["step_up"]["id"])
    await town.identity.step_up.approve(by=ada, step_up_id=proof, proof=Proof(totp=town.shown(app)))
    with pytest.raises(errors.StepUpRequired):
        await want(town, ada, a_new_address(), proof=proof)
    await want(town, ada, new, password=None, proof=proof)
    assert await town.templates(new) == ["verification_code"]


async def test_an_address_needs_the_password_and_the_code(town: Town) -> None:
    _, ada = await town.person()
    _, eve = await town.person()
    new = a_new_address()
    for wrong in (None, OTHER_PASSWORD):
        with pytest.raises(errors.PasswordWrong):
            await want(town, ada, new, password=wrong)
    change_id = await want(town, ada, new)
    code = await town.code(new)
    with pytest.raises(errors.CodeWrong):
        await confirm(town, ada, change_id, f"{(int(code) + 1) % 10**8:08}")
    with pytest.raises(errors.CodeWrong):
        await confirm(town, eve, change_id, code)
    with pytest.raises(errors.CodeWrong):
        await town.identity.users.verify_address(by=ada, kind="phone", change_id=change_id, code=code)
    with pytest.raises(errors.CodeWrong):
        await town.verify(change_id, code)
    await confirm(town, ada, change_id, code)
    with pytest.raises(errors.CodeWrong):
        await confirm(town, ada, change_id, code)


async def test_nobody_gets_an_address_that_somebody_has(town: Town) -> None:
    bobs, _ = await town.person()
    _, ada = await town.person()
    change_id = await want(town, ada, bobs)
    assert (await town.templates(bobs))[-1] == "account_exists"
    with pytest.raises(errors.CodeWrong):
        await confirm(town, ada, change_id, "00000000")
    free = a_new_address()
    change_id = await want(town, ada, free)
    code = await town.code(free)
    await town.person(free)
    with pytest.raises(errors.AddressTaken):
        await confirm(town, ada, change_id, code)


async def test_of_two_verifications_of_an_address_at_once_one_succeeds(town: Town) -> None:
    _, ada = await town.person()
    new = a_new_address()
    change_id = await want(town, ada, new)
    code = await town.code(new)
    found = await asyncio.gather(*(confirm(town, ada, change_id, code) for _ in range(4)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["CodeWrong"] * 3 + ["NoneType"]


async def test_without_a_password_a_late_login_is_wanted(town: Town, database: Database) -> None:
    _, ada = await town.person()
    async with database.connection() as connection:
        await connection.execute("UPDATE identity.users SET password_hash = NULL WHERE id = $1", ada.owner_id)
    await want(town, ada, a_new_address(), password=None)
    town.clock.go_on(minutes=11)
    with pytest.raises(errors.LoginTooOld):
        await close(town, ada, None)
    with pytest.raises(errors.LoginTooOld):
        await close(town, msgspec.structs.replace(ada, credential_id=ids.new()), None)


async def begin(town: Town, user_id: UUID) -> SessionTokens:
    async with town.database.transaction() as connection:
        return await town.identity.sessions.start(
            connection, user_id=user_id, methods=["pwd"], device="x", address="203.0.113.9"
        )


async def test_no_session_outlives_an_account_that_closes_while_it_begins(town: Town) -> None:
    async def log_in_until_refused(user_id: UUID) -> None:
        while True:
            try:
                await begin(town, user_id)
            except errors.CredentialsInvalid:
                return

    for _ in range(20):
        user_id = (await holders.person(town.database)).owner_id
        ada = principal(await begin(town, user_id))
        async with asyncio.timeout(30), asyncio.TaskGroup() as everybody:
            for _ in range(3):
                everybody.create_task(log_in_until_refused(user_id))
            everybody.create_task(close(town, ada, password=None))
        assert await town.sessions(ada) == []


async def test_a_session_that_waits_for_an_account_to_close_does_not_begin(town: Town) -> None:
    user_id = (await holders.person(town.database)).owner_id
    async with town.database.transaction() as closing:
        await owners.lock_owner(closing, user_id)
        starting = asyncio.create_task(begin(town, user_id))

        async def waits() -> bool:
            return bool(await closing.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

        await eventually(waits)
        await users.close(closing, user_id, name="Closed account", now=town.clock.now())
    with pytest.raises(errors.CredentialsInvalid):
        await starting


async def test_an_account_that_is_closed_leaves_nothing_that_opens_anything(town: Town, database: Database) -> None:
    email, ada = await town.person()
    new, handle = a_new_address(), f"@ada_{ada.owner_id.hex[-12:]}"
    await town.identity.aliases.add(by=ada, new=NewAlias(alias=handle))
    grant = Grant(owner_id=ada.owner_id, name="A key", scopes=frozenset({"wallets:read"}))
    key, _ = await town.identity.keys.create_key(by=None, grant=grant)
    async with database.transaction() as connection:
        await providers.insert(
            connection,
            identity_id=ids.new(),
            provider="keycloak",
            issuer="https://id.example.com",
            subject=str(ada.owner_id),
            owner_id=ada.owner_id,
            name="Ada",
            now=town.clock.now(),
        )
    tokens = await town.log_in(email)
    assert tokens.access_token is not None
    assert tokens.refresh_token is not None
    await town.forgot(email)
    reset, change_id = await town.token(email), await want(town, ada, new)
    code = await town.code(new)

    await close(town, ada)

    assert (await town.mails(email))[-1].template == "account_closed"
    assert (await town.told(user=ada))[-1]["type"] == "user.closed.v1"
    assert await town.sessions(ada) == []
    assert await town.identity.identities.list(by=ada) == []
    assert key.key is not None
    for text in (key.key, tokens.access_token):
        with pytest.raises(errors.CredentialsInvalid):
            await town.identity.authenticate(text.encode())
    with pytest.raises(errors.CredentialsInvalid):
        await town.identity.sessions.refresh(token=tokens.refresh_token, address="x")
    with pytest.raises(errors.ResetTokenInvalid):
        await town.reset(reset)
    with pytest.raises(BillfoldError):
        await confirm(town, ada, change_id, code)
    for refused in (town.log_in(email), town.log_in(handle)):
        with pytest.raises(errors.LoginFailed):
            await refused
    with pytest.raises(errors.UserUnknown):
        await town.identity.users.me(by=ada)
    with pytest.raises(errors.UserUnknown):
        await close(town, ada)
    with pytest.raises(errors.OwnerUnknown):
        await town.identity.keys.create_key(by=None, grant=grant)
    async with database.connection() as connection:
        kept = str(await connection.fetchrow("SELECT * FROM identity.users WHERE id = $1", ada.owner_id))
    for gone in (email, "Ada", "argon2"):
        assert gone not in kept


async def test_the_address_of_a_closed_account_is_free_again(town: Town) -> None:
    email, ada = await town.person()
    await close(town, ada)
    _, again = await town.person(email, password=OTHER_PASSWORD)
    assert again.owner_id != ada.owner_id
    await town.log_in(email, OTHER_PASSWORD)


async def test_while_money_is_left_it_says_where_and_nothing_changes(town: Town) -> None:
    email, ada = await town.person()
    town.left = [Left(wallet="w-1", name="Savings", why="has 12.34 USD"), Left(wallet="w-2", name="B", why="is frozen")]
    before = len(await town.told(user=ada))
    with pytest.raises(errors.MoneyLeft, match=r"Savings \(w-1\) has 12.34 USD; B \(w-2\) is frozen"):
        await close(town, ada)
    assert len(await town.told(user=ada)) == before
    assert "account_closed" not in await town.templates(email)
    await town.log_in(email)


async def test_closing_needs_the_password(town: Town) -> None:
    _, ada = await town.person()
    for wrong in (None, OTHER_PASSWORD):
        with pytest.raises(errors.PasswordWrong):
            await close(town, ada, wrong)
    assert await town.sessions(ada) != []


async def test_what_comes_while_an_account_closes_finds_it_open_or_closed(town: Town) -> None:
    for _ in range(5):
        email, ada = await town.person()
        grant = Grant(owner_id=ada.owner_id, name="A key", scopes=frozenset({"wallets:read"}))
        await asyncio.gather(
            close(town, ada),
            town.log_in(email),
            town.identity.keys.create_key(by=None, grant=grant),
            town.identity.users.change(by=ada, change=ProfileChange(display_name="Eve")),
            return_exceptions=True,
        )
        assert await town.sessions(ada) == []
        async with town.database.connection() as connection:
            row = await connection.fetchrow(
                "SELECT closed_at IS NOT NULL AS closed, display_name, (SELECT count(*) FROM identity.api_keys "
                "WHERE owner_id = $1 AND revoked_at IS NULL) AS keys FROM identity.users WHERE id = $1",
                ada.owner_id,
            )
        assert row is not None
        assert (row["closed"], row["display_name"], row["keys"]) == (True, "Closed account", 0)
