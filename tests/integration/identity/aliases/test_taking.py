"""An alias is somebody's from when they take it until they let go of it, on a real PostgreSQL."""

import asyncio
from datetime import timedelta

from billfold.identity import Identity
from billfold.identity.contracts import ALIASES_MAX, AliasChange, NewAlias
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Database
from tests.integration.identity.aliases.names import add, handle, refusal, tail, told
from tests.integration.identity.holders import Watch, person, program


async def test_a_handle_is_its_takers_at_once(identity: Identity, ada: Principal, database: Database) -> None:
    text = handle()
    alias = await add(identity, ada, text.upper())
    assert (alias.alias, alias.kind, alias.status, alias.visibility) == (text, "handle", "active", "name")
    assert alias.owner_id == str(ada.owner_id)
    (event,) = await told(database, alias)
    assert event["type"] == "alias.added.v1"
    assert event["data"]["alias"] == text
    assert event["data"]["by_user"] == str(ada.user_id)


async def test_taking_what_one_has_changes_nothing(identity: Identity, ada: Principal, database: Database) -> None:
    text = handle()
    first = await add(identity, ada, text)
    assert await add(identity, ada, text) == first
    assert len(await told(database, first)) == 1


async def test_nobody_takes_what_somebody_has(identity: Identity, ada: Principal, bob: Principal) -> None:
    text = handle()
    await add(identity, ada, text)
    assert await refusal(add(identity, bob, text)) == "alias_taken"


async def test_nobody_takes_what_looks_like_what_somebody_has(
    identity: Identity, ada: Principal, bob: Principal
) -> None:
    text = handle()
    await add(identity, ada, f"{text}1o")
    assert await refusal(add(identity, bob, f"{text}l0")) == "alias_taken"


async def test_of_fifty_who_take_one_handle_at_once_one_gets_it(identity: Identity, database: Database) -> None:
    text = handle()
    people = await asyncio.gather(*(person(database) for _ in range(10)))
    answers = await asyncio.gather(*(refusal(add(identity, people[place % 10], text)) for place in range(50)))
    winners = {place % 10 for place, answer in enumerate(answers) if answer == "none"}
    assert len(winners) == 1
    assert set(answers) == {"none", "alias_taken"}


async def test_what_is_released_is_nobodys_and_for_a_while_its_last_owners_alone(
    identity: Identity, ada: Principal, bob: Principal, watch: Watch, database: Database
) -> None:
    text = handle()
    first = await add(identity, ada, text)
    released = await identity.aliases.release(by=ada, alias=text)
    assert released.status == "released"
    assert released.kept_until == released.released_at + timedelta(days=90)  # type: ignore[operator]
    assert await refusal(identity.aliases.resolve(by=bob, alias=text)) == "alias_unknown"
    assert await refusal(add(identity, bob, text)) == "alias_taken"
    again = await add(identity, ada, text)
    assert again.id != first.id
    await identity.aliases.release(by=ada, alias=text)
    watch.forward(timedelta(days=90))
    assert (await add(identity, bob, text)).owner_id == str(bob.owner_id)
    assert [event["type"] for event in await told(database, first)] == ["alias.added.v1", "alias.released.v1"]


async def test_nobody_touches_somebody_elses(identity: Identity, ada: Principal, bob: Principal) -> None:
    text = handle()
    await add(identity, ada, text)
    change = AliasChange(visibility="hidden")
    assert await refusal(identity.aliases.change(by=bob, alias=text, change=change)) == "alias_unknown"
    assert await refusal(identity.aliases.release(by=bob, alias=text)) == "alias_unknown"
    assert await refusal(identity.aliases.verify(by=bob, alias=text, code="1")) == "alias_unknown"
    assert (await identity.aliases.list(by=bob)).items == []


async def test_an_operator_lets_go_of_an_alias_that_pretends(
    identity: Identity, ada: Principal, operator: Principal, database: Database
) -> None:
    alias = await add(identity, ada, handle())
    assert (await identity.aliases.release(by=operator, alias=alias.alias)).status == "released"
    assert (await told(database, alias))[-1]["data"]["by"] == str(operator.credential_id)


async def test_custom_aliases_are_for_programs_and_operators(
    identity: Identity, ada: Principal, operator: Principal, database: Database
) -> None:
    text = f"customer:{tail()}"
    assert await refusal(add(identity, ada, text)) == "alias_not_yours"
    shop = await program(database)
    assert (await add(identity, shop, text)).status == "active"
    other = await program(database)
    assert await refusal(add(identity, other, text.upper())) == "alias_taken"
    named = NewAlias(alias=f"iban:{tail()}", owner_id=str(ada.owner_id))
    assert (await identity.aliases.add(by=operator, new=named)).owner_id == str(ada.owner_id)
    assert await refusal(identity.aliases.add(by=shop, new=named)) == "alias_not_yours"
    handle_for_her = NewAlias(alias=handle(), owner_id=str(ada.owner_id))
    assert await refusal(identity.aliases.add(by=operator, new=handle_for_her)) == "alias_not_yours"


async def test_there_is_an_end_to_how_many_one_has_even_all_at_once(identity: Identity, bob: Principal) -> None:
    answers = await asyncio.gather(*(refusal(add(identity, bob, handle())) for _ in range(ALIASES_MAX + 5)))
    assert answers.count("none") == ALIASES_MAX
    assert answers.count("too_many_aliases") == 5


async def test_the_list_is_ones_own_page_by_page(identity: Identity, ada: Principal, bob: Principal) -> None:
    await add(identity, bob, handle())
    mine = [(await add(identity, ada, handle())).alias for _ in range(3)]
    first = await identity.aliases.list(by=ada, limit=2)
    rest = await identity.aliases.list(by=ada, limit=2, cursor=first.next_cursor)
    assert [alias.alias for alias in [*first.items, *rest.items]] == mine[::-1]
    assert rest.next_cursor is None
