"""Access tokens as requests bear them: who they stand for, until when, and what is remembered of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billfold.identity import Identity
from billfold.identity.contracts import ROLE_SCOPES
from billfold.identity.service import verified
from billfold.identity.service.bearers import SIGNATURE_BELIEVED_S, AccessTokens, Found
from billfold.identity.service.signing import Tokens
from billfold.identity.service.verified import Verifier
from billfold.kernel import ids
from billfold.kernel.clock import SystemClock
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database
from tests import facades
from tests.integration.approvals.people import person
from tests.integration.identity.bearers import a_login, execute, key_of, refused

USER = ROLE_SCOPES["user"]


async def test_a_token_stands_for_a_person_in_a_session(
    identity: Identity, elsewhere: Identity, database: Database
) -> None:
    login = await a_login(elsewhere, database)
    assert identity.remembered(login.token) is None
    found = await identity.authenticate(login.token)
    assert found == Principal(
        credential_id=login.session_id,
        owner_id=login.user_id,
        scopes=USER,
        user_id=login.user_id,
        is_session=True,
    )
    assert identity.remembered(login.token) == found


async def test_a_role_that_is_given_adds_nothing_to_tokens_that_are_out(identity: Identity, database: Database) -> None:
    login = await a_login(identity, database)
    await execute(database, "UPDATE identity.users SET roles = '{user,support}' WHERE id = $1", login.user_id)
    assert (await identity.authenticate(login.token)).scopes == USER


async def test_what_ends_here_is_refused_at_once(identity: Identity, database: Database) -> None:
    login = await a_login(identity, database)
    by = await identity.authenticate(login.token)
    await identity.sessions.end(by=by, session_id=login.session_id)
    assert identity.remembered(login.token) is None
    await refused(identity, login.token)


async def test_what_is_asked_for_while_it_ends_is_refused_once_it_has_ended(
    identity: Identity, database: Database
) -> None:
    """Whoever looks a session or a key up before its end is committed still finds it: that must not be believed."""
    login = await a_login(identity, database)
    key = await key_of(identity, login.user_id, "wallets:read")
    async with database.transaction() as connection:
        await identity.sessions.end_all(connection, user_id=login.user_id, by=None, reason="signed_out")
        await identity.keys.revoke_all(connection, owner=login.user_id, by=None)
        for token in (login.token, key):
            await identity.authenticate(token)
            assert identity.remembered(token) is not None
    for token in (login.token, key):
        assert identity.remembered(token) is None
        await refused(identity, token)


async def test_what_does_not_end_after_all_is_not_forgotten(identity: Identity, database: Database) -> None:
    login = await a_login(identity, database)
    await identity.authenticate(login.token)
    with pytest.raises(RuntimeError):
        async with database.transaction() as connection:
            await identity.sessions.end_all(connection, user_id=login.user_id, by=None, reason="signed_out")
            raise RuntimeError
    async with database.transaction() as connection:
        await connection.execute("SELECT 1")
    assert identity.remembered(login.token) is not None


async def test_a_look_up_that_ends_after_the_session_is_not_believed(
    identity: Identity, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = await a_login(identity, database)
    read, has_read, goes_on = Verifier._read, asyncio.Event(), asyncio.Event()

    async def slowly(self: Verifier, token: bytes, token_hash: bytes) -> Found:
        found = await read(self, token, token_hash)
        has_read.set()
        await goes_on.wait()
        return found

    monkeypatch.setattr(Verifier, "_read", slowly)
    asking = asyncio.create_task(identity.authenticate(login.token))
    await has_read.wait()
    async with database.transaction() as connection:
        await identity.sessions.end_all(connection, user_id=login.user_id, by=None, reason="signed_out")
    goes_on.set()
    await asking
    assert identity.remembered(login.token) is None
    await refused(identity, login.token)


async def test_all_credentials_of_a_person_can_be_forgotten(identity: Identity, database: Database) -> None:
    login, other = await a_login(identity, database), await a_login(identity, database)
    key = await key_of(identity, login.user_id, "wallets:read")
    for token in (login.token, key, other.token):
        await identity.authenticate(token)
    identity.keys._verifier.forget(login.user_id)
    assert identity.remembered(login.token) is None
    assert identity.remembered(key) is None
    assert identity.remembered(other.token) is not None


async def test_a_session_that_is_forgotten_has_ended(identity: Identity, database: Database) -> None:
    login = await a_login(identity, database)
    await execute(database, "DELETE FROM identity.sessions WHERE id = $1", login.session_id)
    assert "has ended" in await refused(identity, login.token)


async def test_a_token_for_another_ones_session_is_refused(identity: Identity, database: Database) -> None:
    """Such a token is never given out; if it were, it would be worth nothing."""
    login, other = await a_login(identity, database), await a_login(identity, database)
    async with database.connection() as connection:
        text, _ = await identity.tokens.issue(
            connection,
            user_id=other.user_id,
            session_id=login.session_id,
            scopes=USER,
            roles=frozenset({"user"}),
            methods=["pwd"],
            authenticated_at=datetime.now(UTC),
        )
    assert "has ended" in await refused(identity, text.encode())


async def test_a_key_of_a_person_says_whose_it_is_and_one_of_a_program_does_not(
    identity: Identity, database: Database
) -> None:
    user_id = (await person(database, "user")).owner_id
    somebody = await identity.authenticate(await key_of(identity, user_id, "wallets:read"))
    assert (somebody.owner_id, somebody.user_id, somebody.is_session) == (user_id, user_id, False)
    owner = await identity.keys.create_owner(name=f"Program {ids.new()}")
    program = await identity.authenticate(await key_of(identity, UUID(owner.id), "wallets:read", "operator"))
    assert (program.user_id, program.is_session, program.is_operator) == (None, False, True)


class At(SystemClock):
    """The machine's clock, set forward."""

    def __init__(self) -> None:
        self.forward = timedelta()

    def now(self) -> datetime:
        return super().now() + self.forward


async def test_a_token_and_a_session_end_at_their_time(database: Database) -> None:
    clock = At()
    identity = facades.identity(database, clock=clock)
    login = await a_login(identity, database)
    await identity.authenticate(login.token)
    clock.forward = timedelta(seconds=604)
    assert await identity.authenticate(login.token)
    clock.forward = timedelta(seconds=606)
    assert "expired" in await refused(identity, login.token)
    clock.forward = timedelta()
    other = await a_login(identity, database)
    await execute(
        database,
        "UPDATE identity.sessions SET expires_at = now() + interval '1 minute' WHERE id = $1",
        other.session_id,
    )
    assert await identity.authenticate(other.token)
    clock.forward = timedelta(seconds=61)
    assert "session" in await refused(identity, other.token)


async def test_a_signature_is_checked_once_a_minute_and_the_session_each_time(
    identity: Identity, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = await a_login(identity, database)
    checked, check = [], Tokens.check

    async def counted(self: Tokens, token: bytes) -> Any:
        checked.append(token)
        return await check(self, token)

    monkeypatch.setattr(Tokens, "check", counted)
    for _ in range(5):
        await identity.authenticate(login.token)
    assert len(checked) == 1
    monkeypatch.setattr("billfold.identity.service.bearers.SIGNATURE_BELIEVED_S", 0.0)
    await identity.authenticate(login.token)
    assert len(checked) == 2
    assert SIGNATURE_BELIEVED_S <= 60


async def test_signatures_fill_no_memory(
    identity: Identity, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billfold.identity.service.bearers.SIGNATURES_MAX", 2)
    for _ in range(4):
        await identity.authenticate((await a_login(identity, database)).token)
    (access_tokens,) = (one for one in identity.keys._verifier._bearers if isinstance(one, AccessTokens))
    assert len(access_tokens._signed) == 2


async def test_a_token_in_use_never_waits_for_the_database(
    identity: Identity, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A machine that stands still for a moment is forgiven.
    monkeypatch.setattr(verified, "BELIEVED_S", 3.0)
    monkeypatch.setattr(verified, "REFRESHED_AFTER_S", 0.05)
    login = await a_login(identity, database)
    await identity.authenticate(login.token)
    until = asyncio.get_running_loop().time() + verified.BELIEVED_S * 1.2
    while asyncio.get_running_loop().time() < until:
        assert identity.remembered(login.token) is not None
        await asyncio.sleep(0.01)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.one_of(
        st.binary(max_size=5000),
        st.text(alphabet="bf_testlive.eyJ-_=", max_size=120).map(str.encode),
        st.lists(st.binary(max_size=300), min_size=3, max_size=3).map(b".".join),
    )
)
async def test_whatever_is_sent_is_taken_for_nobodys_credentials(identity: Identity, text: bytes) -> None:
    assert await refused(identity, text)
