"""An address is an alias of whoever reads its mail, which a code proves."""

import asyncio
from datetime import timedelta

from billfold.identity import Identity
from billfold.identity.contracts import Found
from billfold.identity.domain import codes
from billfold.identity.service.aliases import AliasLimits
from billfold.kernel.principal import Principal
from billfold.platform.limiting.exceeded import Window
from billfold.platform.limiting.limiter import Limiter
from billfold.platform.postgres.database import Database
from tests import facades
from tests.integration.identity.aliases.names import add, handle, refusal, tail, told
from tests.integration.identity.holders import MailBox, Watch, person


async def test_an_address_is_pending_until_its_code_comes_back(
    identity: Identity, bob: Principal, mail: MailBox, database: Database
) -> None:
    email = f"{tail()}@example.com"
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
    email = f"{tail()}@example.com"
    carl = await person(database, email=email)
    assert (await add(identity, carl, email)).status == "active"
    assert mail.sent == []


async def test_a_claim_keeps_nobody_from_their_own_address(
    identity: Identity, ada: Principal, bob: Principal, mail: MailBox
) -> None:
    email = f"{tail()}@example.com"
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
    taken, free = f"{tail()}@example.com", f"{tail()}@example.com"
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
    email = f"{tail()}@example.com"
    await add(identity, ada, email)
    code = mail.code(email)
    await add(identity, bob, email)
    assert await refusal(identity.aliases.verify(by=bob, alias=email, code=code)) == "code_wrong"
    await identity.aliases.verify(by=ada, alias=email, code=code)
    assert await refusal(identity.aliases.verify(by=ada, alias=email, code=code)) == "alias_not_verifiable"


async def test_five_wrong_codes_end_a_right_one_even_all_at_once(
    identity: Identity, bob: Principal, mail: MailBox
) -> None:
    email = f"{tail()}@example.com"
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
    email = f"{tail()}@example.com"
    await add(identity, bob, email)
    watch.forward(timedelta(minutes=10))
    assert await refusal(identity.aliases.verify(by=bob, alias=email, code=mail.code(email))) == "code_wrong"


async def test_of_two_who_prove_an_address_at_once_one_gets_it(
    identity: Identity, ada: Principal, bob: Principal, mail: MailBox
) -> None:
    email = f"{tail()}@example.com"
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


async def test_a_released_address_stays_kept_while_its_owner_claims_it_again(
    identity: Identity, ada: Principal, bob: Principal, mail: MailBox
) -> None:
    email = f"{tail()}@example.com"
    await add(identity, ada, email)
    await identity.aliases.verify(by=ada, alias=email, code=mail.code(email))
    await identity.aliases.release(by=ada, alias=email)
    assert (await add(identity, ada, email)).status == "pending"
    hers = mail.code(email)
    await add(identity, bob, email)
    assert await refusal(identity.aliases.verify(by=bob, alias=email, code=mail.code(email))) == "alias_taken"
    assert (await identity.aliases.verify(by=ada, alias=email, code=hers)).status == "active"


async def test_additions_and_codes_are_limited(database: Database, bob: Principal, mail: MailBox) -> None:
    limits = AliasLimits(additions=Limiter("a", [Window(2, 60)]), codes=Limiter("c", [Window(1, 60)]))
    identity = facades.identity(database, mail=mail, alias_limits=limits)
    email = f"{tail()}@example.com"
    await add(identity, bob, email)
    assert await refusal(identity.aliases.verify(by=bob, alias=email, code=None)) == "too_many_alias_requests"
    await add(identity, bob, handle())
    assert await refusal(add(identity, bob, handle())) == "too_many_alias_requests"


async def test_nobody_is_kept_from_their_address_by_who_asks_for_its_codes(
    database: Database, ada: Principal, bob: Principal, mail: MailBox
) -> None:
    limits = AliasLimits(codes=Limiter("c", [Window(2, 60)]), mails=Limiter("m", [Window(4, 60)]))
    identity = facades.identity(database, mail=mail, alias_limits=limits)
    email = f"{tail()}@example.com"
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
