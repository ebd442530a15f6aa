"""Access tokens as requests bear them, and what becomes of them when something changes that they stand on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billfold.identity import Identity, errors
from billfold.identity.contracts import ROLE_SCOPES, Grant
from billfold.identity.service import verified
from billfold.identity.service.bearers import SIGNATURE_BELIEVED_S, AccessTokens, Found
from billfold.identity.service.signing import Tokens
from billfold.identity.service.verified import Verifier
from billfold.identity.store import keys as owners
from billfold.kernel import ids
from billfold.kernel.clock import Clock, SystemClock
from billfold.kernel.principal import Principal
from billfold.platform.keys import Envelope, local
from billfold.platform.postgres.database import Database
from tests import facades, master_keys

USER = ROLE_SCOPES["user"]
TREASURER = ROLE_SCOPES["treasurer"]


@dataclass
class Login:
    user_id: UUID
    session_id: UUID
    token: bytes


@pytest.fixture(scope="module")
def envelope(tmp_path_factory: pytest.TempPathFactory) -> Envelope:
    return Envelope(local.load(master_keys.file_in(tmp_path_factory.mktemp("keys"))))


def a_process(database: Database, envelope: Envelope, clock: Clock | None = None) -> Identity:
    return facades.identity(database, envelope=envelope, clock=clock)


@pytest.fixture
def here(database: Database, envelope: Envelope) -> Identity:
    return a_process(database, envelope)


@pytest.fixture
def elsewhere(database: Database, envelope: Envelope) -> Identity:
    """Another process."""
    return a_process(database, envelope)


async def a_person(database: Database, *roles: str) -> UUID:
    user_id = ids.new()
    async with database.transaction() as connection:
        await owners.insert_owner(
            connection, owner_id=user_id, name=f"person {user_id}", now=SystemClock().now() - timedelta(days=1)
        )
        await connection.execute(
            "INSERT INTO identity.users (id, display_name, locale, time_zone, created_at, roles)"
            " VALUES ($1, 'Ada', 'en', 'UTC', now(), $2)",
            user_id,
            list(roles or ("user",)),
        )
    return user_id


async def a_login(identity: Identity, database: Database, *roles: str) -> Login:
    user_id = await a_person(database, *roles)
    async with database.transaction() as connection:
        made = await identity.sessions.start(
            connection, user_id=user_id, methods=["pwd"], device="test", address="127.0.0.1"
        )
    assert made.access_token is not None
    return Login(user_id, UUID(made.session_id), made.access_token.encode())


async def a_key(identity: Identity, user_id: UUID, *scopes: str) -> bytes:
    grant = Grant(owner_id=user_id, name="A key", scopes=frozenset(scopes))
    made, _ = await identity.keys.create_key(by=None, grant=grant)
    assert made.key is not None
    return made.key.encode()


async def execute(database: Database, sql: str, *values: Any) -> None:
    async with database.connection() as connection:
        await connection.execute(sql, *values)


async def taken(identity: Identity, token: bytes) -> Principal:
    return identity.remembered(token) or await identity.authenticate(token)


async def refused(identity: Identity, token: bytes) -> str:
    with pytest.raises(errors.CredentialsInvalid) as caught:
        await identity.authenticate(token)
    return caught.value.detail


async def takes_effect_within_a_second(
    identity: Identity, token: bytes, change: Callable[[], Awaitable[object]], seen: Callable[[Principal | None], bool]
) -> None:
    """Use the token without a pause, `change` something, and see what `identity` makes of it: None is refused."""
    clock, changed = asyncio.get_running_loop().time, asyncio.Event()

    async def use() -> float:
        """When it was last asked for and not seen yet."""
        before = 0.0
        while True:
            asked_at = clock()
            try:
                found = await taken(identity, token)
            except errors.CredentialsInvalid:
                found = None
            if seen(found):
                assert changed.is_set(), "it was seen before it was so"
                return before
            before = asked_at
            await asyncio.sleep(0.005)

    using = asyncio.create_task(use())
    await asyncio.sleep(verified.BELIEVED_S * 1.5)
    changed.set()
    await change()
    changed_at = clock()
    assert await asyncio.wait_for(using, 10) < changed_at + 1.0


def is_refused(found: Principal | None) -> bool:
    return found is None


async def test_a_token_stands_for_a_person_in_a_session(
    here: Identity, elsewhere: Identity, database: Database
) -> None:
    login = await a_login(elsewhere, database)
    assert here.remembered(login.token) is None
    found = await here.authenticate(login.token)
    assert found == Principal(
        credential_id=login.session_id,
        owner_id=login.user_id,
        scopes=USER,
        user_id=login.user_id,
        is_session=True,
    )
    assert here.remembered(login.token) == found


async def test_a_session_that_ends_elsewhere_is_refused_within_a_second(
    here: Identity, elsewhere: Identity, database: Database
) -> None:
    login = await a_login(here, database)
    by = await elsewhere.authenticate(login.token)
    await takes_effect_within_a_second(
        here, login.token, lambda: elsewhere.sessions.end(by=by, session_id=login.session_id), is_refused
    )
    assert "session of this access token has ended" in await refused(here, login.token)


async def test_an_account_that_is_closed_is_refused_within_a_second_by_token_and_by_key(
    here: Identity, database: Database
) -> None:
    login = await a_login(here, database)
    key = await a_key(here, login.user_id, "wallets:read")
    assert await taken(here, key)
    close = "UPDATE identity.users SET closed_at = now() WHERE id = $1"
    await takes_effect_within_a_second(here, login.token, lambda: execute(database, close, login.user_id), is_refused)
    assert "account of this access token is closed" in await refused(here, login.token)
    assert "account of this API key is closed" in await refused(here, key)


async def test_a_role_that_is_taken_away_takes_its_scopes_within_a_second_from_token_and_key(
    here: Identity, database: Database
) -> None:
    login = await a_login(here, database, "treasurer")
    key = await a_key(here, login.user_id, "operator", "wallets:read")
    assert (await taken(here, login.token)).is_operator
    assert (await taken(here, key)).scopes == {"operator", "wallets:read"}
    demote = "UPDATE identity.users SET roles = '{user}' WHERE id = $1"
    await takes_effect_within_a_second(
        here,
        login.token,
        lambda: execute(database, demote, login.user_id),
        lambda found: found is not None and not found.is_operator,
    )
    assert (await here.authenticate(login.token)).scopes == TREASURER & USER
    assert (await here.authenticate(key)).scopes == {"wallets:read"}


async def test_a_role_that_is_given_adds_nothing_to_tokens_that_are_out(here: Identity, database: Database) -> None:
    login = await a_login(here, database)
    await execute(database, "UPDATE identity.users SET roles = '{user,support}' WHERE id = $1", login.user_id)
    assert (await here.authenticate(login.token)).scopes == USER


async def test_a_signing_key_that_is_withdrawn_ends_its_tokens_within_a_second_everywhere(
    here: Identity, elsewhere: Identity, database: Database
) -> None:
    login = await a_login(here, database)
    await takes_effect_within_a_second(here, login.token, lambda: elsewhere.tokens.rotate(at_once=True), is_refused)
    assert "was withdrawn" in await refused(here, login.token)
    after = await a_login(here, database)
    assert (await here.authenticate(after.token)).user_id == after.user_id


async def test_what_was_found_out_is_believed_for_less_than_a_second(here: Identity, database: Database) -> None:
    login = await a_login(here, database)
    await here.authenticate(login.token)
    await asyncio.sleep(1.0)
    assert here.remembered(login.token) is None


async def test_what_ends_here_is_refused_at_once(here: Identity, database: Database) -> None:
    login = await a_login(here, database)
    by = await here.authenticate(login.token)
    await here.sessions.end(by=by, session_id=login.session_id)
    assert here.remembered(login.token) is None
    await refused(here, login.token)


async def test_what_is_asked_for_while_it_ends_is_refused_once_it_has_ended(here: Identity, database: Database) -> None:
    """Whoever looks a session or a key up before its end is committed still finds it: that must not be believed."""
    login = await a_login(here, database)
    key = await a_key(here, login.user_id, "wallets:read")
    async with database.transaction() as connection:
        await here.sessions.end_all(connection, user_id=login.user_id, by=None, reason="signed_out")
        await here.keys.revoke_all(connection, owner=login.user_id, by=None)
        for token in (login.token, key):
            await here.authenticate(token)
            assert here.remembered(token) is not None
    for token in (login.token, key):
        assert here.remembered(token) is None
        await refused(here, token)


async def test_what_does_not_end_after_all_is_not_forgotten(here: Identity, database: Database) -> None:
    login = await a_login(here, database)
    await here.authenticate(login.token)
    with pytest.raises(RuntimeError):
        async with database.transaction() as connection:
            await here.sessions.end_all(connection, user_id=login.user_id, by=None, reason="signed_out")
            raise RuntimeError
    async with database.transaction() as connection:
        await connection.execute("SELECT 1")
    assert here.remembered(login.token) is not None


async def test_a_look_up_that_ends_after_the_session_is_not_believed(
    here: Identity, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = await a_login(here, database)
    read, has_read, goes_on = Verifier._read, asyncio.Event(), asyncio.Event()

    async def slowly(self: Verifier, token: bytes, token_hash: bytes) -> Found:
        found = await read(self, token, token_hash)
        has_read.set()
        await goes_on.wait()
        return found

    monkeypatch.setattr(Verifier, "_read", slowly)
    asking = asyncio.create_task(here.authenticate(login.token))
    await has_read.wait()
    async with database.transaction() as connection:
        await here.sessions.end_all(connection, user_id=login.user_id, by=None, reason="signed_out")
    goes_on.set()
    await asking
    assert here.remembered(login.token) is None
    await refused(here, login.token)


async def test_all_credentials_of_a_person_can_be_forgotten(here: Identity, database: Database) -> None:
    login, other = await a_login(here, database), await a_login(here, database)
    key = await a_key(here, login.user_id, "wallets:read")
    for token in (login.token, key, other.token):
        await here.authenticate(token)
    here.keys._verifier.forget(login.user_id)
    assert here.remembered(login.token) is None
    assert here.remembered(key) is None
    assert here.remembered(other.token) is not None


async def test_a_session_that_is_forgotten_has_ended(here: Identity, database: Database) -> None:
    login = await a_login(here, database)
    await execute(database, "DELETE FROM identity.sessions WHERE id = $1", login.session_id)
    assert "has ended" in await refused(here, login.token)


async def test_a_token_for_another_ones_session_is_refused(here: Identity, database: Database) -> None:
    """Such a token is never given out; if it were, it would be worth nothing."""
    login, other = await a_login(here, database), await a_login(here, database)
    async with database.connection() as connection:
        text, _ = await here.tokens.issue(
            connection,
            user_id=other.user_id,
            session_id=login.session_id,
            scopes=USER,
            roles=frozenset({"user"}),
            methods=["pwd"],
            authenticated_at=datetime.now(UTC),
        )
    assert "has ended" in await refused(here, text.encode())


async def test_a_key_of_a_person_says_whose_it_is_and_one_of_a_program_does_not(
    here: Identity, database: Database
) -> None:
    user_id = await a_person(database)
    person = await here.authenticate(await a_key(here, user_id, "wallets:read"))
    assert (person.owner_id, person.user_id, person.is_session) == (user_id, user_id, False)
    owner = await here.keys.create_owner(name=f"Program {ids.new()}")
    program = await here.authenticate(await a_key(here, UUID(owner.id), "wallets:read", "operator"))
    assert (program.user_id, program.is_session, program.is_operator) == (None, False, True)


class At(SystemClock):
    """The machine's clock, set forward."""

    def __init__(self) -> None:
        self.forward = timedelta()

    def now(self) -> datetime:
        return super().now() + self.forward


async def test_a_token_and_a_session_end_at_their_time(database: Database, envelope: Envelope) -> None:
    clock = At()
    here = a_process(database, envelope, clock)
    login = await a_login(here, database)
    await here.authenticate(login.token)
    clock.forward = timedelta(seconds=604)
    assert await here.authenticate(login.token)
    clock.forward = timedelta(seconds=606)
    assert "expired" in await refused(here, login.token)
    clock.forward = timedelta()
    other = await a_login(here, database)
    await execute(
        database,
        "UPDATE identity.sessions SET expires_at = now() + interval '1 minute' WHERE id = $1",
        other.session_id,
    )
    assert await here.authenticate(other.token)
    clock.forward = timedelta(seconds=61)
    assert "session" in await refused(here, other.token)


async def test_a_signature_is_checked_once_a_minute_and_the_session_each_time(
    here: Identity, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = await a_login(here, database)
    checked, check = [], Tokens.check

    async def counted(self: Tokens, token: bytes) -> Any:
        checked.append(token)
        return await check(self, token)

    monkeypatch.setattr(Tokens, "check", counted)
    for _ in range(5):
        await here.authenticate(login.token)
    assert len(checked) == 1
    monkeypatch.setattr("billfold.identity.service.bearers.SIGNATURE_BELIEVED_S", 0.0)
    await here.authenticate(login.token)
    assert len(checked) == 2
    assert SIGNATURE_BELIEVED_S <= 60


async def test_signatures_fill_no_memory(here: Identity, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billfold.identity.service.bearers.SIGNATURES_MAX", 2)
    for _ in range(4):
        await here.authenticate((await a_login(here, database)).token)
    (access_tokens,) = (one for one in here.keys._verifier._bearers if isinstance(one, AccessTokens))
    assert len(access_tokens._signed) == 2


async def test_a_token_in_use_never_waits_for_the_database(
    here: Identity, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A machine that stands still for a moment is forgiven.
    monkeypatch.setattr(verified, "BELIEVED_S", 3.0)
    monkeypatch.setattr(verified, "REFRESHED_AFTER_S", 0.05)
    login = await a_login(here, database)
    await here.authenticate(login.token)
    until = asyncio.get_running_loop().time() + verified.BELIEVED_S * 1.2
    while asyncio.get_running_loop().time() < until:
        assert here.remembered(login.token) is not None
        await asyncio.sleep(0.01)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.one_of(
        st.binary(max_size=5000),
        st.text(alphabet="bf_testlive.eyJ-_=", max_size=120).map(str.encode),
        st.lists(st.binary(max_size=300), min_size=3, max_size=3).map(b".".join),
    )
)
async def test_whatever_is_sent_is_taken_for_nobodys_credentials(here: Identity, text: bytes) -> None:
    assert await refused(here, text)
