"""Aliases on a real PostgreSQL."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from billfold.identity import Identity, errors
from billfold.identity.contracts import ALIASES_MAX, Alias, AliasChange, Found, NewAlias, Visibility
from billfold.identity.domain import codes
from billfold.identity.service.aliases import AliasLimits
from billfold.kernel import ids
from billfold.kernel.errors import BillfoldError
from billfold.kernel.principal import Principal
from billfold.platform.limiting.exceeded import Window
from billfold.platform.limiting.limiter import Limiter
from billfold.platform.postgres.database import Database
from tests import facades
from tests.integration.identity.holders import MailBox, Watch, close_account, person, program


@pytest.fixture
def mail() -> MailBox:
    return MailBox()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def identity(database: Database, mail: MailBox, watch: Watch) -> Identity:
    return facades.identity(database, mail=mail, clock=watch)


@pytest.fixture
async def ada(database: Database) -> Principal:
    return await person(database, "Ada Lovelace", email=f"ada-{_tail()}@example.com")


@pytest.fixture
async def bob(database: Database) -> Principal:
    return await person(database, "Bob Bobson")


def _tail() -> str:
    return ids.new().hex[-10:].translate(str.maketrans("0123456789", "ghijklmnop"))


def handle() -> str:
    """One that no other test has, nor one that looks like it."""
    return f"@t{_tail()}"


async def add(identity: Identity, by: Principal, text: str, visibility: Visibility | None = None) -> Alias:
    return await identity.aliases.add(by=by, new=NewAlias(alias=text, visibility=visibility))


async def refusal(action: Any) -> str:
    try:
        await action
    except BillfoldError as error:
        return error.code
    return "none"


async def told(database: Database, alias: Alias) -> list[dict[str, Any]]:
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT payload FROM messaging.outbox ORDER BY seq")
    events = [json.loads(row["payload"]) for row in rows]
    return [event for event in events if event["subject"] == alias.id]


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


async def test_an_address_is_pending_until_its_code_comes_back(
    identity: Identity, bob: Principal, mail: MailBox, database: Database
) -> None:
    email = f"{_tail()}@example.com"
    alias = await add(identity, bob, email)
    assert (alias.status, alias.verified_at, alias.visibility) == ("pending", None, "masked")
    assert await refusal(identity.aliases.resolve(by=bob, alias=email)) == "alias_unknown"
    verified = await identity.aliases.verify(by=bob, alias=email, code=mail.code(email))
    assert verified.status == "active"
    assert verified.verified_at is not None
    payee = await identity.aliases.resolve(by=bob, alias=email.upper())
    assert payee.verified
    assert [event["type"] for event in await told(database, alias)] == ["alias.added.v1", "alias.verified.v1"]
    assert email not in str(await told(database, alias))


async def test_an_address_that_is_verified_already_needs_no_code(
    identity: Identity, database: Database, mail: MailBox
) -> None:
    email = f"{_tail()}@example.com"
    carl = await person(database, email=email)
    assert (await add(identity, carl, email)).status == "active"
    assert mail.sent == []


async def test_a_claim_keeps_nobody_from_their_own_address(
    identity: Identity, ada: Principal, bob: Principal, mail: MailBox
) -> None:
    email = f"{_tail()}@example.com"
    squat = await add(identity, bob, email)
    mine = await add(identity, ada, email)
    assert (squat.status, mine.status) == ("pending", "pending")
    await identity.aliases.verify(by=ada, alias=email, code=mail.code(email))
    found = (await identity.aliases.find(by=bob, aliases=[email]))[email]
    assert isinstance(found, Found)
    assert found.owner_id == ada.owner_id


async def test_whoever_claims_an_address_is_told_nothing_of_who_has_it(
    identity: Identity, ada: Principal, bob: Principal, mail: MailBox
) -> None:
    taken, free = f"{_tail()}@example.com", f"{_tail()}@example.com"
    await add(identity, ada, taken)
    await identity.aliases.verify(by=ada, alias=taken, code=mail.code(taken))
    one, other = await add(identity, bob, taken), await add(identity, bob, free)
    assert (one.status, one.visibility) == (other.status, other.visibility) == ("pending", "masked")
    # They read the mail after all: then they may know.
    code = mail.code(taken)
    assert await refusal(identity.aliases.verify(by=bob, alias=taken, code=code)) == "alias_taken"


async def test_a_code_is_good_for_one_address_and_one_claim(
    identity: Identity, ada: Principal, bob: Principal, mail: MailBox
) -> None:
    email = f"{_tail()}@example.com"
    await add(identity, ada, email)
    code = mail.code(email)
    await add(identity, bob, email)
    assert await refusal(identity.aliases.verify(by=bob, alias=email, code=code)) == "code_wrong"
    await identity.aliases.verify(by=ada, alias=email, code=code)
    assert await refusal(identity.aliases.verify(by=ada, alias=email, code=code)) == "alias_not_verifiable"


async def test_five_wrong_codes_end_a_right_one_even_all_at_once(
    identity: Identity, bob: Principal, mail: MailBox
) -> None:
    email = f"{_tail()}@example.com"
    await add(identity, bob, email)
    right = mail.code(email)
    wrong = f"{(int(right) + 1) % 10**8:08}"
    tries = [refusal(identity.aliases.verify(by=bob, alias=email, code=wrong)) for _ in range(codes.ATTEMPTS_MAX)]
    assert set(await asyncio.gather(*tries)) == {"code_wrong"}
    assert await refusal(identity.aliases.verify(by=bob, alias=email, code=right)) == "code_wrong"
    await identity.aliases.verify(by=bob, alias=email, code=None)
    assert mail.code(email) != right
    assert (await identity.aliases.verify(by=bob, alias=email, code=mail.code(email))).status == "active"


async def test_a_code_grows_old(identity: Identity, bob: Principal, mail: MailBox, watch: Watch) -> None:
    email = f"{_tail()}@example.com"
    await add(identity, bob, email)
    watch.forward(timedelta(minutes=10))
    assert await refusal(identity.aliases.verify(by=bob, alias=email, code=mail.code(email))) == "code_wrong"


async def test_of_two_who_prove_an_address_at_once_one_gets_it(
    identity: Identity, ada: Principal, bob: Principal, mail: MailBox
) -> None:
    email = f"{_tail()}@example.com"
    await add(identity, ada, email)
    hers = mail.code(email)
    await add(identity, bob, email)
    his = mail.code(email)
    answers = await asyncio.gather(
        *(refusal(identity.aliases.verify(by=ada, alias=email, code=hers)) for _ in range(3)),
        *(refusal(identity.aliases.verify(by=bob, alias=email, code=his)) for _ in range(3)),
    )
    assert answers.count("none") == 1
    assert set(answers) <= {"none", "alias_taken", "alias_not_verifiable", "code_wrong"}


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


async def test_a_released_address_stays_kept_while_its_owner_claims_it_again(
    identity: Identity, ada: Principal, bob: Principal, mail: MailBox
) -> None:
    email = f"{_tail()}@example.com"
    await add(identity, ada, email)
    await identity.aliases.verify(by=ada, alias=email, code=mail.code(email))
    await identity.aliases.release(by=ada, alias=email)
    assert (await add(identity, ada, email)).status == "pending"
    hers = mail.code(email)
    await add(identity, bob, email)
    assert await refusal(identity.aliases.verify(by=bob, alias=email, code=mail.code(email))) == "alias_taken"
    assert (await identity.aliases.verify(by=ada, alias=email, code=hers)).status == "active"


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


async def test_custom_aliases_are_for_programs_and_operators(
    identity: Identity, ada: Principal, operator: Principal, database: Database
) -> None:
    text = f"customer:{_tail()}"
    assert await refusal(add(identity, ada, text)) == "alias_not_yours"
    shop = await program(database)
    assert (await add(identity, shop, text)).status == "active"
    other = await program(database)
    assert await refusal(add(identity, other, text.upper())) == "alias_taken"
    named = NewAlias(alias=f"iban:{_tail()}", owner_id=str(ada.owner_id))
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


async def test_additions_and_codes_are_limited(database: Database, bob: Principal, mail: MailBox) -> None:
    limits = AliasLimits(additions=Limiter("a", [Window(2, 60)]), codes=Limiter("c", [Window(1, 60)]))
    identity = facades.identity(database, mail=mail, alias_limits=limits)
    email = f"{_tail()}@example.com"
    await add(identity, bob, email)
    assert await refusal(identity.aliases.verify(by=bob, alias=email, code=None)) == "too_many_alias_requests"
    await add(identity, bob, handle())
    assert await refusal(add(identity, bob, handle())) == "too_many_alias_requests"


async def test_nobody_is_kept_from_their_address_by_who_asks_for_its_codes(
    database: Database, ada: Principal, bob: Principal, mail: MailBox
) -> None:
    limits = AliasLimits(codes=Limiter("c", [Window(2, 60)]), mails=Limiter("m", [Window(4, 60)]))
    identity = facades.identity(database, mail=mail, alias_limits=limits)
    email = f"{_tail()}@example.com"
    await add(identity, bob, email)
    for _ in range(10):
        await refusal(identity.aliases.verify(by=bob, alias=email, code=None))
    assert (await add(identity, ada, email)).status == "pending"
    await identity.aliases.verify(by=ada, alias=email, code=None)
    code = mail.code(email)
    # So many are mailed and no more, which is told to nobody, and ends no code that was.
    eve = await person(database, "Eve")
    assert (await add(identity, eve, email)).status == "pending"
    assert mail.code(email) == code
    assert (await identity.aliases.verify(by=ada, alias=email, code=code)).status == "active"


#: By these somebody is known, found or written to, or could be taken for somebody else.
PERSONAL_COLUMNS = {
    "aliases": ("shown", "canonical", "skeleton", "code_hash"),
    "users": ("email", "phone", "display_name", "password_hash"),
    "sessions": ("device", "address"),
    "external_identities": ("subject", "name"),
    "passkeys": ("name", "credential_id", "public_key"),
}


@pytest.mark.parametrize("table", PERSONAL_COLUMNS)
async def test_who_only_reads_the_database_sees_nothing_by_which_somebody_is_known(
    database: Database, table: str
) -> None:
    async with database.connection() as connection:
        for column in ("id", *PERSONAL_COLUMNS[table]):
            granted = await connection.fetchval(
                "SELECT has_column_privilege('billfold_readonly', $1, $2, 'SELECT')", f"identity.{table}", column
            )
            assert granted == (column == "id"), column
