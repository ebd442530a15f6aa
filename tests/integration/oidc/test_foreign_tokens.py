"""Access tokens of other issuers: whose they are here, and what they can't become."""

import asyncio
import json
import time
from typing import Any

import pytest

from billfold.identity import Identity, errors
from billfold.identity.contracts import PERSONAL, STAFF
from billfold.identity.domain.providers import SKEW_S
from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.platform import fetching
from billfold.platform.postgres.database import Database
from tests.integration.fetching import hostile
from tests.integration.identity.people import HandClock
from tests.integration.identity.support import a_key, text, told_of
from tests.integration.oidc import issuing
from tests.integration.oidc.conftest import trusting


async def whose(identity: Identity, token: str) -> Principal:
    return await identity.authenticate(token.encode())


async def row(database: Database, sql: str, *values: Any) -> Any:
    async with database.connection() as connection:
        return await connection.fetchrow(sql, *values)


async def user(database: Database, principal: Principal) -> Any:
    return await row(database, "SELECT * FROM identity.users WHERE id = $1", principal.owner_id)


def somebody() -> str:
    return f"s-{ids.new()}"


async def test_a_person_is_somebody_new_the_first_time_and_the_same_from_then_on(
    identity: Identity, own_issuer: issuing.Issuing, database: Database
) -> None:
    subject = somebody()
    told: dict[str, Any] = {
        "name": "Ada Lovelace",
        "email": f"{subject}@example.com",
        "email_verified": True,
        "locale": "th",
    }
    first = await whose(identity, own_issuer.token(sub=subject, **told))
    again = await whose(identity, own_issuer.token(sub=subject, jti="another"))
    assert (first.owner_id, first.user_id) == (again.owner_id, again.owner_id)
    found = await user(database, first)
    assert (found["display_name"], found["email"], found["locale"], found["roles"], found["password_hash"]) == (
        "Ada Lovelace",
        f"{subject}@example.com",
        "th",
        ["user"],
        None,
    )
    (event,) = await told_of(database, first.owner_id)
    assert (event["type"], event["data"]["provider"]) == ("identity.linked.v1", "test")


async def test_it_is_no_login_of_ours(identity: Identity, own_issuer: issuing.Issuing) -> None:
    principal = await whose(identity, own_issuer.token(sub=somebody(), roles=["auditor"]))
    assert not principal.is_session
    assert not principal.scopes & PERSONAL
    assert principal.sees_everybody
    assert not principal.is_operator


async def test_twenty_first_requests_at_once_make_one_person(
    identity: Identity, own_issuer: issuing.Issuing, database: Database
) -> None:
    subject = somebody()
    tokens = [own_issuer.token(sub=subject, jti=str(number)) for number in range(20)]
    found = await asyncio.gather(*(whose(identity, token) for token in tokens))
    assert len({principal.owner_id for principal in found}) == 1
    count = await row(database, "SELECT count(*) FROM identity.external_identities WHERE subject = $1", subject)
    assert count[0] == 1


@pytest.mark.parametrize("verified", [True, False])
async def test_an_address_that_somebody_has_stays_theirs(
    identity: Identity, own_issuer: issuing.Issuing, database: Database, *, verified: bool
) -> None:
    email = f"{ids.new()}@example.com"
    told: dict[str, Any] = {"email": email, "email_verified": True}
    victim = await whose(identity, own_issuer.token(sub=somebody(), **told))
    thief = await whose(identity, own_issuer.token(sub=somebody(), **told | {"email_verified": verified}))
    assert thief.owner_id != victim.owner_id
    assert (await user(database, thief))["email"] is None
    assert (await user(database, victim))["email"] == email


async def test_a_program_has_an_owner_of_its_own_and_nobody_elses(
    identity: Identity, own_issuer: issuing.Issuing, database: Database
) -> None:
    one, two = somebody(), somebody()
    found = [await whose(identity, own_issuer.token(sub=subject, azp="shop")) for subject in (one, one, two)]
    assert found[0] == found[1]
    # A client that was deleted and made again has another subject, and must not get what the old one had.
    assert found[2].owner_id != found[0].owner_id
    assert found[0].user_id is None
    assert "deposits:write" in found[0].scopes
    assert not found[0].scopes & (STAFF | PERSONAL)
    assert await user(database, found[0]) is None


async def test_no_role_in_the_token_makes_a_program_more_than_one(
    identity: Identity, own_issuer: issuing.Issuing
) -> None:
    principal = await whose(identity, own_issuer.token(sub=somebody(), azp="shop", roles=["auditor"]))
    assert not principal.sees_everybody


async def test_a_persons_account_does_not_become_a_programs_nor_the_other_way_round(
    identity: Identity, own_issuer: issuing.Issuing
) -> None:
    person, program = somebody(), somebody()
    await whose(identity, own_issuer.token(sub=person))
    await whose(identity, own_issuer.token(sub=program, azp="shop"))
    wrong: list[dict[str, Any]] = [{"sub": person, "azp": "shop"}, {"sub": program}]
    for claims in wrong:
        with pytest.raises(errors.CredentialsInvalid):
            await whose(identity, own_issuer.token(**claims, jti="x"))


async def test_another_issuers_subject_of_the_same_name_is_somebody_else(
    identity: Identity, own_issuer: issuing.Issuing, database: Database
) -> None:
    subject = somebody()
    first = await whose(identity, own_issuer.token(sub=subject))
    async with issuing.running() as other:
        second = await whose(trusting(database, other.provider), other.token(sub=subject))
    assert first.owner_id != second.owner_id


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "shop"},
        {"exp": 1},
        {"typ": "ID"},
        {"iss": "https://elsewhere.example.com"},
        {"sub": "\ud800"},
        {"azp": "shop", "sid": "x"},
        {"exp": 1e400},
        {"exp": -(10**30)},
    ],
    ids=str,
)
async def test_a_token_that_is_not_for_us_is_refused_and_makes_nobody(
    identity: Identity, own_issuer: issuing.Issuing, database: Database, claims: dict[str, Any]
) -> None:
    before = await row(database, "SELECT count(*) FROM identity.owners")
    with pytest.raises(errors.CredentialsInvalid):
        await whose(identity, own_issuer.token(**({"sub": somebody()} | claims)))
    assert await row(database, "SELECT count(*) FROM identity.owners") == before


async def test_a_token_without_end_is_taken_for_as_long_as_any(identity: Identity, own_issuer: issuing.Issuing) -> None:
    await whose(identity, own_issuer.token(sub=somebody(), exp=10**18))


async def test_who_has_closed_their_account_is_refused_with_a_token_that_is_still_good(
    identity: Identity, own_issuer: issuing.Issuing, database: Database
) -> None:
    token = own_issuer.token(sub=somebody())
    principal = await whose(identity, token)
    await row(database, "UPDATE identity.users SET closed_at = now() WHERE id = $1", principal.owner_id)
    await _refused_soon(identity, token)


async def _refused_soon(identity: Identity, token: str) -> None:
    deadline = time.monotonic() + 60
    with pytest.raises(errors.CredentialsInvalid):
        while time.monotonic() < deadline:
            await whose(identity, token)
            await asyncio.sleep(0.05)


async def test_a_token_ends_when_it_says(database: Database, own_issuer: issuing.Issuing) -> None:
    clock = HandClock()
    identity = trusting(database, own_issuer.provider, clock=clock)
    token = own_issuer.token(sub=somebody(), exp=clock.now().timestamp() + 60)
    for seconds in (0, 60 + SKEW_S - 1):
        clock.go_on(seconds=seconds)
        await whose(identity, token)
    clock.go_on(seconds=1)
    await _refused_soon(identity, token)


async def test_while_the_issuer_is_down_nobody_is_called_wrong_and_keys_of_ours_are_served(
    identity: Identity, own_issuer: issuing.Issuing
) -> None:
    own_issuer.server.answers.clear()
    with pytest.raises(errors.ProviderUnavailable):
        await whose(identity, own_issuer.token(sub=somebody()))
    owner = await identity.keys.create_owner(name=f"Shop {ids.new()}")
    await identity.authenticate(text(await a_key(identity, owner)))


async def test_an_issuer_that_hangs_does_not_hold_up_keys_of_ours(
    identity: Identity, own_issuer: issuing.Issuing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT_S", 120.0)
    hanging = asyncio.Event()

    async def hang(_writer: asyncio.StreamWriter) -> None:
        await hanging.wait()

    own_issuer.server.answers[issuing.DISCOVERY] = hang
    waiting = [asyncio.create_task(whose(identity, own_issuer.token(sub=somebody()))) for _ in range(10)]
    owner = await identity.keys.create_owner(name=f"Shop {ids.new()}")
    async with asyncio.timeout(60):
        await identity.authenticate(text(await a_key(identity, owner)))
    assert not any(task.done() for task in waiting)
    hanging.set()
    refused = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(error) for error in refused} == {errors.ProviderUnavailable}


async def test_a_token_that_can_not_be_read_is_asked_about_once_a_minute(
    identity: Identity, own_issuer: issuing.Issuing
) -> None:
    said = own_issuer.claims(sub=somebody(), active=True, client_id="web")
    own_issuer.server.answers["/introspect"] = hostile.answer(json.dumps(said).encode())
    opaque = f"opaque-{ids.new()}"
    principal = await whose(identity, opaque)
    assert await whose(identity, opaque) == principal
    assert own_issuer.asked_for("/introspect") == 1


async def test_a_token_that_the_issuer_does_not_know_is_refused(
    identity: Identity, own_issuer: issuing.Issuing
) -> None:
    own_issuer.server.answers["/introspect"] = hostile.answer(b'{"active": false}')
    with pytest.raises(errors.CredentialsInvalid):
        await whose(identity, "opaque")


async def test_no_key_of_ours_is_shown_to_an_issuer(identity: Identity, own_issuer: issuing.Issuing) -> None:
    for token in ("bf_live_" + "0" * 22 + "_" + "0" * 43, "bf_live_wrong", "bfr_" + "0" * 43):
        with pytest.raises(errors.CredentialsInvalid):
            await whose(identity, token)
    assert own_issuer.asked_for("/introspect") == 0
