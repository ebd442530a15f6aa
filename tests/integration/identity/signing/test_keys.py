"""Access tokens and the keys that sign them, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from billfold.identity.domain import signing
from billfold.identity.service.signing import Tokens
from billfold.kernel import ids
from billfold.platform.keys import Envelope, KeysUnavailable, local
from billfold.platform.postgres.database import ACQUIRE_TIMEOUT_S, Database
from tests import master_keys, servers
from tests.integration.identity.conftest import MIGRATIONS
from tests.integration.identity.signing.processes import (
    DAY,
    ISSUER,
    MINUTE,
    SECOND,
    Clock,
    a_process,
    header_of,
    issued,
    issued_by,
    refused,
    rows,
)

#: joserfc would like EdDSA to be called Ed25519 (RFC 9864), which gateways don't know yet.
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


async def test_a_token_is_what_every_process_takes_and_others_can_check(
    tokens: Tokens, other: Tokens, clock: Clock
) -> None:
    user_id, session_id = ids.new(), ids.new()
    async with tokens._database.connection() as connection:
        text, expires_at = await tokens.issue(
            connection,
            user_id=user_id,
            session_id=session_id,
            scopes=frozenset({"wallets:read", "account"}),
            roles=frozenset({"user"}),
            methods=["pwd", "otp"],
            authenticated_at=clock.now() - MINUTE,
        )
    assert expires_at == clock.now() + 10 * MINUTE
    claims = await other.check(text.encode())
    assert (claims.sub, claims.sid, claims.scope) == (user_id, session_id, "account wallets:read")
    published = KeySet.import_key_set({"keys": await other.published()})
    seen = jwt.decode(text, published, algorithms=["EdDSA"])
    assert seen.header == {"alg": "EdDSA", "typ": "at+jwt", "kid": published.keys[0].kid}
    assert published.keys[0].kid == published.keys[0].thumbprint()
    assert seen.claims == {
        "iss": ISSUER,
        "aud": "billfold",
        "sub": str(user_id),
        "client_id": "billfold",
        "sid": str(session_id),
        "scope": "account wallets:read",
        "roles": ["user"],
        "amr": ["pwd", "otp"],
        "auth_time": clock.now().timestamp() - 60,
        "iat": clock.now().timestamp(),
        "exp": clock.now().timestamp() + 600,
        "jti": claims.jti,
    }


async def test_processes_that_need_the_first_key_at_the_same_time_make_one(
    database: Database, envelope: Envelope, clock: Clock
) -> None:
    processes = [a_process(database, envelope, clock) for _ in range(8)]
    await asyncio.gather(*(process.published() for process in processes))
    assert len(await rows(database)) == 1
    made = [await issued(process) for process in processes]
    for process in processes:
        for token in made:
            await process.check(token)


async def test_as_many_logins_as_there_are_connections_do_not_wait_for_each_other(
    postgres_server: servers.PostgresServer, envelope: Envelope, clock: Clock
) -> None:
    narrow = await Database.connect(postgres_server.create_database(MIGRATIONS).app_dsn, size=2, name="test")
    tokens, begun = a_process(narrow, envelope, clock), asyncio.Barrier(2)
    await tokens.published()
    clock.at += MINUTE

    async def login() -> bytes:
        async with narrow.transaction() as connection:
            await begun.wait()
            return await issued_by(connection, tokens)

    async with asyncio.timeout(ACQUIRE_TIMEOUT_S / 2):
        for token in await asyncio.gather(login(), login()):
            await tokens.check(token)
    await narrow.close()


async def test_nothing_of_a_private_key_is_in_the_database(tokens: Tokens, database: Database) -> None:
    await issued(tokens)
    assert tokens._read is not None
    private = next(iter(tokens._read.keys.values())).private.private_bytes_raw()
    [row] = await rows(database)
    assert private not in row["sealed"]
    assert base64.urlsafe_b64encode(private).decode()[:40] not in str(row)
    assert set(row["public"]) == {"kty", "crv", "x", "kid", "alg", "use"}


async def test_through_a_rotation_every_process_takes_the_tokens_of_every_other(
    database: Database, tokens: Tokens, other: Tokens, clock: Clock
) -> None:
    """Minute by minute: `tokens` rotates, and `other` hears of it by its own looking alone."""
    begun, made, kids = clock.now(), [(clock.now(), await issued(tokens))], []
    await other.published()
    new = await tokens.rotate()
    for minute in range(40):
        clock.at = begun + minute * MINUTE
        for process in (tokens, other):
            made.append((clock.now(), await issued(process)))
            kids.append(header_of(made[-1][1])["kid"])
        published = {key["kid"] for key in await other.published()}
        assert kids[-1] in published
        for at, token in made:
            if clock.now() < at + 10 * MINUTE:
                await tokens.check(token)
                await other.check(token)
                assert header_of(token)["kid"] in published
    old = kids[0]
    published = {key["kid"] for key in await other.published()}
    assert kids == [old] * 24 + [new.id] * 56, "the new one signs after the overlap of twelve minutes, everywhere"
    assert published == {new.id}, "and the old one has gone, since its last token has"
    await tokens.keep_rotated(every=90 * DAY)
    assert [row["id"] for row in await rows(database)] == [new.id]


async def test_a_new_key_is_published_before_it_signs(tokens: Tokens, other: Tokens, clock: Clock) -> None:
    old = header_of(await issued(tokens))["kid"]
    new = (await tokens.rotate()).id
    clock.at += signing.READ_EVERY
    assert [key["kid"] for key in await other.published()] == [old, new]
    assert header_of(await issued(other))["kid"] == old


async def test_a_key_that_has_leaked_is_good_for_nothing_from_then_on(
    tokens: Tokens, other: Tokens, clock: Clock
) -> None:
    token = await issued(other)
    new = await tokens.rotate(at_once=True)
    await refused(tokens, token)
    assert [key["kid"] for key in await tokens.published()] == [new.id]
    clock.at += SECOND
    good = await issued(other)
    assert header_of(good)["kid"] == new.id, "a process that has the old one still in mind signs with it no more"
    await tokens.check(good)
    assert "none any more" in await refused(other, token)


async def test_a_leak_ends_a_rotation_that_is_under_way(tokens: Tokens, database: Database, clock: Clock) -> None:
    await issued(tokens)
    await tokens.rotate()
    clock.at += MINUTE
    last = await tokens.rotate(at_once=True)
    assert [key["kid"] for key in await tokens.published()] == [last.id]
    clock.at += 30 * MINUTE
    assert header_of(await issued(tokens))["kid"] == last.id
    await tokens.keep_rotated(every=DAY)
    assert [row["id"] for row in await rows(database)] == [last.id]


async def test_two_rotations_in_a_row_keep_every_token_good(tokens: Tokens, other: Tokens, clock: Clock) -> None:
    token = await issued(tokens)
    await tokens.rotate()
    clock.at += MINUTE
    last = await other.rotate()
    clock.at += 8 * MINUTE
    await other.check(token)
    clock.at += 10 * MINUTE
    assert header_of(await issued(other))["kid"] == last.id
    await tokens.check(await issued(other))


async def test_the_schedule_replaces_a_key_when_it_is_old_and_once_for_all_workers(
    tokens: Tokens, other: Tokens, database: Database, clock: Clock
) -> None:
    await tokens.keep_rotated(every=90 * DAY)
    assert await rows(database) == [], "the first one is made by its first need"
    await issued(tokens)
    clock.at += 90 * DAY - SECOND
    await tokens.keep_rotated(every=90 * DAY)
    assert len(await rows(database)) == 1
    clock.at += SECOND
    await asyncio.gather(*(process.keep_rotated(every=90 * DAY) for process in (tokens, other) for _ in range(4)))
    assert len(await rows(database)) == 2


async def test_without_the_master_key_nothing_is_signed_or_taken_until_the_keys_are_replaced(
    tokens: Tokens, database: Database, clock: Clock, tmp_path: Path
) -> None:
    token = await issued(tokens)
    (tmp_path / "lost").mkdir()
    bereft = a_process(database, Envelope(local.load(master_keys.file_in(tmp_path / "lost"))), clock)
    with pytest.raises(KeysUnavailable):
        await issued(bereft)
    with pytest.raises(KeysUnavailable):
        await bereft.check(token)
    await bereft.rotate(at_once=True)
    await bereft.check(await issued(bereft))


async def test_a_clock_that_is_set_back_makes_nobody_believe_for_long(
    tokens: Tokens, other: Tokens, clock: Clock
) -> None:
    await issued(tokens)
    clock.at -= 2 * DAY
    new = await other.rotate(at_once=True)
    assert header_of(await issued(tokens))["kid"] == new.id
