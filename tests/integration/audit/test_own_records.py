"""What people see as their own, and prove with its whole text, tells nothing of those whom they pay and ask."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Collection
from typing import Any, NamedTuple

import pytest

from billfold.identity.contracts import Grant
from billfold.platform.postgres.database import Database
from tests import master_keys, servers, workers
from tests.integration.api import support as api
from tests.integration.api import world
from tests.integration.api.world import Login
from tests.integration.audit import support

#: Bob's balance is one that begins so, whatever is paid here.
BOBS = re.compile(r'"9876\d\.\d\d"')
NAMES = re.compile(r"balance|version|payer|email|phone")


class Person(NamedTuple):
    name: str
    login: Login
    api: api.Caller
    wallet: str
    handle: str
    email: str


@pytest.fixture(scope="module")
async def worker(
    core: servers.TestDatabase, kept: servers.TestDatabase, nats_server: servers.NatsServer
) -> AsyncIterator[asyncio.subprocess.Process]:
    more = {"BILLFOLD_AUDIT__DSN": kept.app_dsn, "BILLFOLD_AUDIT__SEAL_SECONDS": "1"}
    async with workers.running_worker(core, nats_server, keys=master_keys.shared(), more=more) as process:
        yield process


@pytest.fixture
async def people(core: servers.TestDatabase, shared: Database, server: api.ApiServer) -> tuple[Person, Person]:
    """Ada and Bob, with money."""
    operator = server.caller(await api.bootstrapped(core))
    found = []
    async with world.beside(core, issuer=server.url) as made:
        logins = [await made.login("user") for _ in range(2)]
        for login, name, amount in zip(logins, ("ada", "bob"), ("500.00", "98765.43"), strict=True):
            email = f"{name}-{login.user_id.hex[-8:]}@example.com"
            async with shared.connection() as connection:
                await connection.execute(
                    "UPDATE identity.users SET email = $2, email_verified_at = now() WHERE id = $1",
                    login.user_id,
                    email,
                )
            caller = server.caller(login.token)
            wallet, handle = support.wallet(caller, name), f"@{name}{login.user_id.hex[-8:]}"
            operator.post(f"/wallets/{wallet}/deposits", {"money": usd(amount)}).raise_for_status()
            caller.post("/aliases", {"alias": handle}).raise_for_status()
            found.append(Person(name, login, caller, wallet, handle, email))
    ada, bob = found
    return ada, bob


def usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "asset": "USD"}


async def own(person: Person, *types: str, about: Collection[str] = ()) -> list[dict[str, Any]]:
    """The person's own records, once there are some of each of these types, and one about each of these things."""
    async with asyncio.timeout(support.ARRIVES_S):
        while True:
            found: list[dict[str, Any]] = person.api.get("/audit/records?limit=100").json()["items"]
            if set(types) <= {one["type"] for one in found} and set(about) <= {one["subject"] for one in found}:
                return found
            await asyncio.sleep(0.05)


async def text(person: Person, record_id: str) -> str:
    """The text that is proven."""
    async with asyncio.timeout(support.ARRIVES_S):
        while (answer := person.api.get(f"/audit/records/{record_id}")).status_code != 200:
            assert answer.json()["code"] == "audit_not_sealed_yet"
            await asyncio.sleep(0.05)
    return str(answer.json()["record"])


async def assert_tells_nothing_of(other: Person, to: Person, *types: str, about: Collection[str]) -> None:
    """Neither by the list nor by the proofs of these types; what is told of these things is among them."""
    found = await own(to, *types, about=about)
    texts = [await text(to, one["id"]) for one in found if one["type"] in types]
    hidden = (str(other.login.user_id), str(other.login.session_id), other.email)
    for told in (json.dumps(found), *texts):
        assert not [each for each in hidden if each in told]
        assert not [name for name in names(json.loads(told)) if NAMES.search(name)]
        assert to.name == "bob" or not BOBS.search(told)


def names(value: Any) -> list[str]:
    """The names of all fields, however deep."""
    if isinstance(value, dict):
        return [*value, *(name for each in value.values() for name in names(each))]
    return [name for each in value for name in names(each)] if isinstance(value, list) else []


@pytest.mark.usefixtures("worker")
async def test_a_payer_learns_nothing_of_the_payee(people: tuple[Person, Person]) -> None:
    ada, bob = people
    paid = support.pay(ada.api, ada.wallet, bob.handle, "0.01").json()["id"]
    items = [{"kind": "transfer", "from": ada.wallet, "to": bob.wallet, "money": usd("0.01")}] * 2
    together = ada.api.post("/transfers/bulk", {"atomic": True, "items": items}).json()["results"]
    about = [paid, *(one["transfer"]["id"] for one in together)]
    await assert_tells_nothing_of(bob, ada, "transfer.posted.v1", about=about)


@pytest.mark.usefixtures("worker")
async def test_who_sends_money_back_learns_nothing_of_whoever_paid(people: tuple[Person, Person]) -> None:
    ada, bob = people
    paid = support.pay(bob.api, bob.wallet, ada.wallet, "0.05").json()["id"]
    back = ada.api.post(f"/transfers/{paid}/reverse", {}).json()["id"]
    await assert_tells_nothing_of(bob, ada, "transfer.posted.v1", about=[back])


@pytest.mark.usefixtures("worker")
async def test_who_settles_a_hold_learns_nothing_of_whoever_gets_it(people: tuple[Person, Person]) -> None:
    ada, bob = people
    hold = ada.api.post("/holds", {"wallet": ada.wallet, "money": usd("2.00")}).json()["id"]
    settled = ada.api.post(f"/holds/{hold}/settle", {"to": bob.wallet, "money": usd("1.00")}).json()
    ada.api.post(f"/holds/{hold}/release", None).raise_for_status()
    told = ("hold.placed.v1", "hold.settled.v1", "transfer.posted.v1")
    await assert_tells_nothing_of(bob, ada, *told, about=[hold, settled["transfer"]["id"]])


@pytest.mark.usefixtures("worker")
async def test_who_asks_and_who_is_asked_for_money_do_not_learn_each_others_ids(people: tuple[Person, Person]) -> None:
    ada, bob = people
    asked = [
        ada.api.post("/payment-requests", {"from": bob.handle, "to": ada.wallet, "money": usd("0.10")}).json()["id"]
        for _ in range(3)
    ]
    bob.api.post(f"/payment-requests/{asked[0]}/pay", {"from": bob.wallet}).raise_for_status()
    bob.api.post(f"/payment-requests/{asked[1]}/decline", None).raise_for_status()
    ada.api.post(f"/payment-requests/{asked[2]}/cancel", None).raise_for_status()
    await assert_tells_nothing_of(bob, ada, "payment_request.created.v1", "payment_request.cancelled.v1", about=asked)
    paid = ("payment_request.paid.v1", "payment_request.declined.v1", "transfer.posted.v1")
    await assert_tells_nothing_of(ada, bob, *paid, about=asked[:2])


@pytest.mark.usefixtures("worker")
async def test_a_key_does_not_read_what_its_owner_has_done(
    people: tuple[Person, Person], core: servers.TestDatabase, server: api.ApiServer
) -> None:
    ada, _ = people
    (record, *_) = await own(ada, "wallet.created.v1")
    async with world.beside(core, issuer=server.url) as made:
        grant = Grant(owner_id=ada.login.user_id, name="Narrow", scopes=frozenset({"assets:read"}))
        narrow, _ = await made.identity.keys.create_key(by=None, grant=grant)
    key = server.caller(narrow.key)
    for path in ("/audit/records", f"/audit/records/{record['id']}"):
        answer = key.get(path)
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
