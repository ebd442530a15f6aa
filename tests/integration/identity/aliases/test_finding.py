"""Who finds out for whom an alias stands, and how often."""

import pytest

from billfold.identity import Identity, errors
from billfold.identity.contracts import AliasChange, Found, Visibility
from billfold.identity.service.aliases import AliasLimits
from billfold.kernel.errors import BillfoldError
from billfold.kernel.principal import Principal
from billfold.platform.limiting.exceeded import Window
from billfold.platform.limiting.limiter import Limiter
from billfold.platform.postgres.database import Database
from tests import facades
from tests.integration.identity.aliases.names import add, handle, refusal, told
from tests.integration.identity.holders import close_account


@pytest.mark.parametrize(
    ("visibility", "shown"), [("name", "Ada Lovelace"), ("masked", "A••• L•••"), ("hidden", "alias_unknown")]
)
async def test_a_stranger_sees_what_its_owner_allows(
    identity: Identity, ada: Principal, bob: Principal, visibility: Visibility, shown: str
) -> None:
    text = handle()
    await add(identity, ada, text, visibility)
    try:
        seen = (await identity.aliases.resolve(by=bob, alias=text)).payee
    except errors.AliasUnknown as error:
        seen = error.code
    assert seen == shown
    assert (await identity.aliases.resolve(by=ada, alias=text)).payee == "Ada Lovelace"
    found = (await identity.aliases.find(by=bob, aliases=[text]))[text]
    assert isinstance(found, errors.AliasUnknown) == (visibility == "hidden")


async def test_hidden_and_unknown_are_told_apart_by_nothing(identity: Identity, ada: Principal, bob: Principal) -> None:
    hidden, unknown = handle(), handle()
    await add(identity, ada, hidden, "hidden")
    said = []
    for text in (hidden, unknown):
        with pytest.raises(errors.AliasUnknown) as caught:
            await identity.aliases.resolve(by=bob, alias=text)
        said.append((caught.value.code, caught.value.detail, caught.value.pointer))
    assert said[0] == said[1]


async def test_visibility_changes_at_once(
    identity: Identity, ada: Principal, bob: Principal, database: Database
) -> None:
    alias = await add(identity, ada, handle())
    await identity.aliases.change(by=ada, alias=alias.alias, change=AliasChange(visibility="hidden"))
    assert await refusal(identity.aliases.resolve(by=bob, alias=alias.alias)) == "alias_unknown"
    assert (await told(database, alias))[-1]["type"] == "alias.changed.v1"


async def test_a_closed_account_is_paid_by_no_alias(
    identity: Identity, ada: Principal, bob: Principal, database: Database
) -> None:
    alias = await add(identity, ada, handle())
    await close_account(database, ada.owner_id)
    assert await refusal(identity.aliases.resolve(by=bob, alias=alias.alias)) == "alias_unknown"
    async with database.transaction() as connection:
        await identity.aliases.release_all(connection, owner=ada.owner_id, by=None)
    assert (await identity.aliases.list(by=ada)).items == []
    assert (await told(database, alias))[-1]["type"] == "alias.released.v1"


async def test_questions_are_limited_and_so_are_payments_to_what_is_not_there(
    database: Database, ada: Principal, bob: Principal
) -> None:
    limits = AliasLimits(lookups=Limiter("resolve", [Window(3, 60)]))
    identity = facades.identity(database, alias_limits=limits)
    text = handle()
    await add(identity, ada, text)
    await identity.aliases.resolve(by=bob, alias=text)
    found = await identity.aliases.find(by=bob, aliases=[handle() for _ in range(4)])
    said = [one.code for one in found.values() if isinstance(one, BillfoldError)]
    assert said == ["alias_unknown"] * 2 + ["too_many_alias_requests"] * 2
    with pytest.raises(errors.TooManyAliasRequests) as caught:
        await identity.aliases.resolve(by=bob, alias=text)
    assert 1 <= caught.value.wait_s <= 60
    # What is there is refused alike from now on, or the difference would tell; not so to whom it belongs.
    assert isinstance((await identity.aliases.find(by=bob, aliases=[text]))[text], errors.TooManyAliasRequests)
    assert isinstance((await identity.aliases.find(by=ada, aliases=[text]))[text], Found)
    await identity.aliases.resolve(by=ada, alias=text)


async def test_paying_to_what_is_there_is_no_guessing(database: Database, ada: Principal, bob: Principal) -> None:
    identity = facades.identity(database, alias_limits=AliasLimits(lookups=Limiter("resolve", [Window(3, 60)])))
    text = handle()
    await add(identity, ada, text)
    for _ in range(10):
        assert isinstance((await identity.aliases.find(by=bob, aliases=[text]))[text], Found)
    unknown = handle()
    assert isinstance((await identity.aliases.find(by=bob, aliases=[unknown]))[unknown], errors.AliasUnknown)
