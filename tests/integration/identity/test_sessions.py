"""Sessions and refresh tokens on a real PostgreSQL."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from billfold.identity import errors
from billfold.identity.contracts import SessionTokens
from billfold.identity.domain import sessions as domain
from billfold.identity.service.notices import Notices
from billfold.identity.service.sessions import Sessions
from billfold.identity.store import keys as owners
from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Connection, Database
from tests import facades
from tests.integration.identity.support import told_of

DEVICE, ADDRESS = "Firefox", "203.0.113.7"


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def now(self) -> datetime:
        return self.time


class Mail:
    """What would be sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    async def append(self, _connection: Connection, /, *, template: str, to: str, **_rest: Any) -> None:
        self.sent.append((template, to))


class Setting:
    """Sessions over a database, with one person who has none yet."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = Clock()
        self.mail = Mail()
        self.forgotten: list[UUID] = []
        self.sessions = Sessions(
            database=database,
            clock=self.clock,
            tokens=facades.identity(database, clock=self.clock).tokens,
            notices=Notices(mail=self.mail, clock=self.clock),
            forget=self.forgotten.append,
        )
        self.user_id = ids.new()

    async def person(self) -> UUID:
        user_id = ids.new()
        async with self.database.transaction() as connection:
            await owners.insert_owner(connection, owner_id=user_id, name=f"person {user_id}", now=self.clock.now())
            await connection.execute(
                "INSERT INTO identity.users"
                " (id, email, email_verified_at, display_name, locale, time_zone, created_at)"
                " VALUES ($1, $2, $3, 'Ada', 'en', 'UTC', $3)",
                user_id,
                f"{user_id}@example.com",
                self.clock.now(),
            )
        return user_id

    async def login(self, user_id: UUID | None = None, methods: Sequence[str] = ("pwd",)) -> SessionTokens:
        async with self.database.transaction() as connection:
            # Nobody is told of these: mails about new places are tried in test_logins.
            return await self.sessions.start(
                connection,
                user_id=user_id or self.user_id,
                methods=methods,
                device=DEVICE,
                address=ADDRESS,
                new_account=True,
            )

    async def refresh(self, tokens: SessionTokens) -> SessionTokens:
        assert tokens.refresh_token is not None
        return await self.sessions.refresh(token=tokens.refresh_token, address=ADDRESS)

    def asking(self, tokens: SessionTokens) -> Principal:
        user_id = UUID(tokens.user_id)
        return Principal(
            credential_id=UUID(tokens.session_id),
            owner_id=user_id,
            scopes=frozenset({"account"}),
            user_id=user_id,
            is_session=True,
        )

    async def kinds(self) -> list[str]:
        return [event["type"] for event in await told_of(self.database, self.user_id)]


@pytest.fixture
async def setting(database: Database) -> Setting:
    made = Setting(database)
    made.user_id = await made.person()
    return made


async def test_a_refresh_gives_new_tokens_for_the_same_session(setting: Setting) -> None:
    first = await setting.login()
    second = await setting.refresh(first)
    assert second.session_id == first.session_id
    assert second.refresh_token != first.refresh_token
    assert (await setting.refresh(second)).session_id == first.session_id


async def test_of_fifty_refreshes_at_once_one_succeeds_and_the_session_ends(setting: Setting) -> None:
    tokens = await setting.login()
    results = await asyncio.gather(*(setting.refresh(tokens) for _ in range(50)), return_exceptions=True)
    succeeded = [result for result in results if isinstance(result, SessionTokens)]
    refused = [result for result in results if isinstance(result, errors.RefreshTokenReused)]
    assert (len(succeeded), len(refused)) == (1, 49)
    assert await setting.sessions.list(by=setting.asking(tokens)) == []
    with pytest.raises(errors.RefreshTokenInvalid):
        await setting.refresh(succeeded[0])
    assert setting.mail.sent == [("refresh_reuse", f"{setting.user_id}@example.com")]
    assert (await setting.kinds()).count("session.reuse_detected.v1") == 1
    assert UUID(tokens.session_id) in setting.forgotten


async def test_whoever_has_a_phone_alone_is_told_of_a_reuse_there(setting: Setting) -> None:
    phone = "+66812345678"
    async with setting.database.connection() as connection:
        await connection.execute(
            "UPDATE identity.users SET phone = $2, phone_verified_at = email_verified_at, email = NULL, "
            "email_verified_at = NULL WHERE id = $1",
            setting.user_id,
            phone,
        )
    tokens = await setting.login()
    await setting.refresh(tokens)
    with pytest.raises(errors.RefreshTokenReused):
        await setting.refresh(tokens)
    assert setting.mail.sent == [("refresh_reuse_sms", phone)]


async def test_reuse_leaves_other_sessions_alone(setting: Setting) -> None:
    stolen, other = await setting.login(), await setting.login()
    await setting.refresh(stolen)
    with pytest.raises(errors.RefreshTokenReused):
        await setting.refresh(stolen)
    assert [session.id for session in await setting.sessions.list(by=setting.asking(other))] == [other.session_id]


@pytest.mark.parametrize(
    "token",
    [
        "",
        "bfr_",
        "bfr_" + "a" * 43,
        "bfr_" + "a" * 42 + "é",
        "bf_live_x",
        "a" * 100_000,
        "bfr_" + "a" * 43 + "\n",
        "\x00",
    ],
)
async def test_what_is_no_refresh_token_is_refused(setting: Setting, token: str) -> None:
    with pytest.raises(errors.RefreshTokenInvalid):
        await setting.sessions.refresh(token=token, address=ADDRESS)


async def test_a_session_ends_when_it_is_not_used(setting: Setting) -> None:
    tokens = await setting.login()
    setting.clock.time += domain.IDLE_MAX
    with pytest.raises(errors.RefreshTokenInvalid):
        await setting.refresh(tokens)
    assert await setting.sessions.list(by=setting.asking(tokens)) == []


async def test_a_session_ends_however_much_it_is_used(setting: Setting) -> None:
    tokens = await setting.login()
    ends_at = setting.clock.time + domain.SESSION_MAX
    while setting.clock.time + timedelta(days=20) < ends_at:
        setting.clock.time += timedelta(days=20)
        tokens = await setting.refresh(tokens)
    assert setting.clock.time + timedelta(seconds=tokens.refresh_expires_in) == ends_at
    setting.clock.time = ends_at
    with pytest.raises(errors.RefreshTokenInvalid):
        await setting.refresh(tokens)


async def test_nobody_ends_or_sees_anothers_session(setting: Setting) -> None:
    mine, theirs = await setting.login(), await setting.login(await setting.person())
    with pytest.raises(errors.SessionUnknown):
        await setting.sessions.end(by=setting.asking(mine), session_id=UUID(theirs.session_id))
    assert [session.id for session in await setting.sessions.list(by=setting.asking(mine))] == [mine.session_id]
    assert (await setting.refresh(theirs)).session_id == theirs.session_id


async def test_a_session_that_was_ended_gives_no_more_tokens(setting: Setting) -> None:
    tokens, other = await setting.login(), await setting.login()
    for _ in range(2):
        await setting.sessions.end(by=setting.asking(other), session_id=UUID(tokens.session_id))
    with pytest.raises(errors.RefreshTokenInvalid):
        await setting.refresh(tokens)
    listed = await setting.sessions.list(by=setting.asking(other))
    assert [(session.id, session.current) for session in listed] == [(other.session_id, True)]
    assert (await setting.kinds()) == ["session.started.v1", "session.started.v1", "session.ended.v1"]


async def test_logging_out_everywhere_ends_all_of_ones_own(setting: Setting) -> None:
    tokens, other, theirs = await setting.login(), await setting.login(), await setting.login(await setting.person())
    await setting.sessions.log_out_everywhere(by=setting.asking(tokens))
    for ended in (tokens, other):
        with pytest.raises(errors.RefreshTokenInvalid):
            await setting.refresh(ended)
    await setting.refresh(theirs)


async def test_ending_all_besides_one_leaves_that_one(setting: Setting) -> None:
    kept, other = await setting.login(), await setting.login()
    async with setting.database.transaction() as connection:
        await setting.sessions.end_all(
            connection, user_id=setting.user_id, by=None, reason="password_changed", besides=UUID(kept.session_id)
        )
    await setting.refresh(kept)
    with pytest.raises(errors.RefreshTokenInvalid):
        await setting.refresh(other)


async def test_somebody_has_only_so_many_sessions(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "SESSIONS_MAX", 2)
    all_of_them = []
    for _ in range(3):
        all_of_them.append(await setting.login())
        setting.clock.time += timedelta(seconds=1)
    left = await setting.sessions.list(by=setting.asking(all_of_them[-1]))
    assert [session.id for session in left] == [all_of_them[2].session_id, all_of_them[1].session_id]


async def test_a_closed_account_has_no_sessions(setting: Setting) -> None:
    tokens = await setting.login()
    async with setting.database.transaction() as connection:
        await connection.execute(
            "UPDATE identity.users SET closed_at = $2, email = NULL, email_verified_at = NULL WHERE id = $1",
            setting.user_id,
            setting.clock.now(),
        )
    with pytest.raises(errors.RefreshTokenInvalid):
        await setting.refresh(tokens)
    with pytest.raises(errors.CredentialsInvalid):
        await setting.login()


async def test_what_ended_long_ago_is_forgotten_and_nothing_else(setting: Setting) -> None:
    ended, kept = await setting.login(), await setting.login()
    await setting.sessions.end(by=setting.asking(kept), session_id=UUID(ended.session_id))
    for _ in range(2):
        setting.clock.time += timedelta(days=20)
        kept = await setting.refresh(kept)
    while await setting.sessions.forget_ended():
        pass
    async with setting.database.connection() as connection:
        rows = await connection.fetch("SELECT id FROM identity.sessions WHERE user_id = $1", setting.user_id)
    assert [str(row["id"]) for row in rows] == [kept.session_id]


async def test_of_a_long_session_only_tokens_whose_time_is_not_over_are_kept(setting: Setting) -> None:
    tokens = await setting.login()
    for _ in range(4):
        setting.clock.time += timedelta(days=10)
        tokens = await setting.refresh(tokens)
    async with setting.database.connection() as connection:
        kept = await connection.fetch(
            "SELECT expires_at FROM identity.refresh_tokens WHERE session_id = $1", UUID(tokens.session_id)
        )
    assert 1 < len(kept) < 5
    assert all(row["expires_at"] > setting.clock.now() for row in kept)


async def test_no_text_of_a_refresh_token_is_kept_or_told(setting: Setting) -> None:
    tokens = await setting.login()
    assert tokens.refresh_token is not None
    async with setting.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT t::text AS text FROM identity.refresh_tokens t UNION ALL SELECT convert_from(payload, 'UTF8') "
            "FROM messaging.outbox"
        )
    assert not any(tokens.refresh_token in row["text"] for row in rows)


async def test_a_refresh_keeps_the_device_of_the_login_and_notes_the_address(setting: Setting) -> None:
    first = await setting.login()
    assert first.refresh_token is not None
    setting.clock.time += timedelta(minutes=1)
    await setting.sessions.refresh(token=first.refresh_token, address="198.51.100.9")
    (session,) = await setting.sessions.list(by=setting.asking(first))
    assert (session.device, session.address) == (DEVICE, "198.51.100.9")
    assert session.last_used_at > session.created_at


async def test_a_device_that_says_too_much_of_itself_is_cut_short(setting: Setting) -> None:
    async with setting.database.transaction() as connection:
        tokens = await setting.sessions.start(
            connection, user_id=setting.user_id, methods=["pwd"], device="x" * 5_000, address="y" * 5_000
        )
    (session,) = await setting.sessions.list(by=setting.asking(tokens))
    assert (len(session.device), len(session.address)) == (200, 64)
