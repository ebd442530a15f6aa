"""What ends or is taken away counts within a second, for those who bear tokens and keys, and in every process."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from billfold.identity import Identity, errors
from billfold.identity.contracts import ROLE_SCOPES, Owner
from billfold.identity.service import verified
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database
from tests.integration.identity.bearers import a_login, execute, key_of, refused, taken
from tests.integration.identity.support import a_key, text


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


async def test_a_session_that_ends_elsewhere_is_refused_within_a_second(
    identity: Identity, elsewhere: Identity, database: Database
) -> None:
    login = await a_login(identity, database)
    by = await elsewhere.authenticate(login.token)
    await takes_effect_within_a_second(
        identity, login.token, lambda: elsewhere.sessions.end(by=by, session_id=login.session_id), is_refused
    )
    assert "session of this access token has ended" in await refused(identity, login.token)


async def test_an_account_that_is_closed_is_refused_within_a_second_by_token_and_by_key(
    identity: Identity, database: Database
) -> None:
    login = await a_login(identity, database)
    key = await key_of(identity, login.user_id, "wallets:read")
    assert await taken(identity, key)
    close = "UPDATE identity.users SET closed_at = now() WHERE id = $1"
    await takes_effect_within_a_second(
        identity, login.token, lambda: execute(database, close, login.user_id), is_refused
    )
    assert "account of this access token is closed" in await refused(identity, login.token)
    assert "account of this API key is closed" in await refused(identity, key)


async def test_a_role_that_is_taken_away_takes_its_scopes_within_a_second_from_token_and_key(
    identity: Identity, database: Database
) -> None:
    login = await a_login(identity, database, "treasurer")
    key = await key_of(identity, login.user_id, "operator", "wallets:read")
    assert (await taken(identity, login.token)).is_operator
    assert (await taken(identity, key)).scopes == {"operator", "wallets:read"}
    demote = "UPDATE identity.users SET roles = '{user}' WHERE id = $1"
    await takes_effect_within_a_second(
        identity,
        login.token,
        lambda: execute(database, demote, login.user_id),
        lambda found: found is not None and not found.is_operator,
    )
    assert (await identity.authenticate(login.token)).scopes == ROLE_SCOPES["treasurer"] & ROLE_SCOPES["user"]
    assert (await identity.authenticate(key)).scopes == {"wallets:read"}


async def test_a_signing_key_that_is_withdrawn_ends_its_tokens_within_a_second_everywhere(
    identity: Identity, elsewhere: Identity, database: Database
) -> None:
    login = await a_login(identity, database)
    await takes_effect_within_a_second(identity, login.token, lambda: elsewhere.tokens.rotate(at_once=True), is_refused)
    assert "was withdrawn" in await refused(identity, login.token)
    after = await a_login(identity, database)
    assert (await identity.authenticate(after.token)).user_id == after.user_id


async def test_a_key_that_is_revoked_elsewhere_is_refused_within_a_second(
    identity: Identity, elsewhere: Identity, ada: Owner
) -> None:
    key = await a_key(identity, ada)
    await takes_effect_within_a_second(
        identity, text(key), lambda: elsewhere.keys.revoke_key(by=None, key_id=UUID(key.id)), is_refused
    )
    assert "revoked" in await refused(identity, text(key))


async def test_what_was_found_out_is_believed_for_less_than_a_second(identity: Identity, database: Database) -> None:
    login = await a_login(identity, database)
    await identity.authenticate(login.token)
    await asyncio.sleep(1.0)
    assert identity.remembered(login.token) is None
