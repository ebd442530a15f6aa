"""Who reads what is somebody else's, by a scope that reaches everybody's, is recorded; who reads their own is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from billfold.kernel.facts import Fact
from billfold.platform.postgres.database import Database
from billfold.platform.web.witness import LOOKED
from tests import servers
from tests.integration.api import support as api
from tests.integration.api import world
from tests.integration.audit import support


class Things(NamedTuple):
    """A wallet and what is in it."""

    wallet: str
    transfer: str
    hold: str

    def paths(self) -> list[str]:
        wallet = f"/wallets/{self.wallet}"
        return [
            wallet,
            f"{wallet}/balance",
            f"{wallet}/balance?at=2026-01-01",
            f"{wallet}/balance/history?asset=USD",
            f"{wallet}/statement?asset=USD",
            f"{wallet}/statement?asset=USD&format=csv",
            f"/transactions?wallet={self.wallet}",
            f"/transactions/summary?wallet={self.wallet}",
            f"/transactions/{self.transfer}",
            f"/transfers/{self.transfer}",
            f"/holds/{self.hold}",
            f"/holds?wallet={self.wallet}",
        ]


#: What shows everybody's things.
LISTS = ["/wallets", "/transactions", "/transactions/summary", "/holds", "/api-keys"]


@pytest.fixture
async def made(core: servers.TestDatabase, server: api.ApiServer) -> AsyncIterator[world.World]:
    async with world.beside(core, issuer=server.url) as found:
        yield found


@pytest.fixture
async def operator(core: servers.TestDatabase, server: api.ApiServer) -> api.Caller:
    """A program whose key may do everything."""
    return server.caller(await api.bootstrapped(core))


def things(caller: api.Caller) -> Things:
    wallet = support.wallet(caller, "Mine")
    money = {"amount": "10.00", "asset": "USD"}
    paid = caller.post(f"/wallets/{wallet}/deposits", {"money": money}).json()["id"]
    return Things(wallet, paid, caller.post("/holds", {"wallet": wallet, "money": money}).json()["id"])


async def looked(shared: Database) -> list[Fact]:
    return await support.told(shared, kind=LOOKED)


async def read(caller: api.Caller, shared: Database, paths: list[str]) -> list[str]:
    """The paths among these of which the audit is told when they are read."""
    before = len(await looked(shared))
    for path in paths:
        answer = caller.get(path)
        assert answer.status_code == 200, f"{path}: {answer.text}"
    told = (await looked(shared))[before:]
    return [
        fact.data["path"].removeprefix("/api/v1") + ("?" * bool(fact.data["query"])) + fact.data["query"]
        for fact in told
    ]


async def test_a_program_with_an_operators_key_is_recorded_for_whatever_it_reads_of_others(
    made: world.World, operator: api.Caller, shared: Database
) -> None:
    ada = await made.person("user")
    hers = Things(await made.wallet(ada), await made.transfer(ada), await made.hold(ada))
    paths = hers.paths()
    assert await read(operator, shared, paths) == paths
    assert await read(operator, shared, LISTS) == LISTS
    told = (await looked(shared))[-1]
    assert told.origin.credential_id is not None
    assert (told.origin.channel, told.origin.user_id, told.origin.address) == ("api", None, "127.0.0.1")


async def test_what_a_program_reads_of_its_own_is_not_recorded(operator: api.Caller, shared: Database) -> None:
    assert await read(operator, shared, things(operator).paths()) == []


async def test_a_transfer_to_somebody_else_shows_their_balance_too_and_is_recorded(
    made: world.World, operator: api.Caller, shared: Database
) -> None:
    mine = things(operator)
    hers = await made.wallet(await made.person("user"))
    operator.post(f"/wallets/{mine.wallet}/deposits", {"money": {"amount": "5.00", "asset": "USD"}})
    paid = support.pay(operator, mine.wallet, hers, "1.00").json()["id"]
    assert await read(operator, shared, [f"/transfers/{paid}"]) == [f"/transfers/{paid}"]


async def test_people_who_work_here_are_recorded_for_others_and_not_for_their_own(
    made: world.World, server: api.ApiServer, shared: Database
) -> None:
    ada, helper = await made.person("user"), await made.login("auditor")
    theirs, own = await made.wallet(ada), await made.wallet(helper.user_id)
    as_helper = server.caller(helper.token)
    assert await read(as_helper, shared, [f"/wallets/{theirs}/balance"]) == [f"/wallets/{theirs}/balance"]
    assert await read(as_helper, shared, [f"/wallets/{own}", f"/wallets/{own}/balance"]) == []


async def test_people_who_see_their_own_alone_are_not_recorded(
    made: world.World, server: api.ApiServer, shared: Database
) -> None:
    ada = await made.login("user")
    as_ada = server.caller(ada.token)
    wallet = await made.wallet(ada.user_id)
    assert await read(as_ada, shared, [f"/wallets/{wallet}/balance", *LISTS]) == []


async def test_what_was_not_shown_is_no_look(operator: api.Caller, shared: Database) -> None:
    before = len(await looked(shared))
    assert operator.get("/wallets/019aa2c6-7a00-7000-8000-00000000a001/balance").status_code == 404
    assert len(await looked(shared)) == before
