"""Aliases in the role as it is run: the mail that is sent, and the limits of the settings."""

from pathlib import Path
from typing import Any

from billfold.app.migrate import SETS
from billfold.kernel import ids
from billfold.platform.postgres.database import Database
from tests import servers
from tests.integration.api import support
from tests.integration.api.support import ApiServer, Caller
from tests.integration.api.test_keys import key_of

TRIES = 3


def handle() -> str:
    """One that no other test has, nor one that looks like it."""
    return "@t" + ids.new().hex[-12:].translate(str.maketrans("0123456789", "ghjknpqrst"))


def guesses(caller: Caller, order: dict[str, Any], named: list[str]) -> list[dict[str, Any]]:
    """What payments to these are refused for, when many are asked for at once."""
    items = [order | {"kind": "transfer", "to": to, "idempotency_key": ids.new().hex} for to in named]
    return [result["refusal"] for result in caller.post("/transfers/bulk", {"items": items}).json()["results"]]


async def test_a_code_is_queued_for_an_address_and_no_answer_has_it(
    api_server: ApiServer, api_database: servers.TestDatabase
) -> None:
    ada = api_server.caller(await key_of(api_database))
    email = f"{handle()[1:]}@example.com"
    made = ada.post("/aliases", {"alias": email})
    assert (made.status_code, made.json()["status"]) == (201, "pending")
    database = await Database.connect(api_database.app_dsn, name="test")
    try:
        async with database.connection() as connection:
            queued = await connection.fetch("SELECT template, sealed FROM mail.queue WHERE recipient = $1", email)
    finally:
        await database.close()
    assert [row["template"] for row in queued] == ["verification_code"]
    assert ada.post(f"/aliases/{email}/verify", {"code": "00000000"}).json()["code"] == "code_wrong"
    assert email not in api_server.log


async def test_asking_who_somebody_is_is_limited_by_owner(
    postgres_server: servers.PostgresServer, tmp_path: Path
) -> None:
    database = postgres_server.create_database(SETS)
    with support.running_api(database, tmp_path, limits__resolve_per_minute=str(TRIES)) as server:
        ada = server.caller(await key_of(database))
        bob = server.caller(await key_of(database))
        codes = [ada.get(f"/aliases/{handle()}").json()["code"] for _ in range(TRIES + 1)]
        assert codes == ["alias_unknown"] * TRIES + ["too_many_alias_requests"]
        refused = ada.get(f"/aliases/{handle()}")
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert bob.get(f"/aliases/{handle()}").status_code == 404


async def test_guessing_by_payments_that_can_not_be_ends_with_the_questions(
    postgres_server: servers.PostgresServer, tmp_path: Path
) -> None:
    database = postgres_server.create_database(SETS)
    with support.running_api(database, tmp_path, limits__resolve_per_minute=str(TRIES)) as server:
        ada, eve, mallory = [server.caller(await key_of(database)) for _ in range(3)]
        there = handle()
        assert ada.post("/aliases", {"alias": there}).status_code == 201
        ada.post("/wallets", {"name": "Hers"})
        source = eve.post("/wallets", {"name": "Mine"}).json()["id"]
        order = {"from": source, "payee": "zz", "money": {"amount": "1.00", "asset": "USD"}}
        said = [eve.post("/transfers", order | {"to": there}).json()["code"] for _ in range(TRIES + 1)]
        assert said == ["payee_mismatch"] * TRIES + ["too_many_alias_requests"]
        named = [text for _ in range(10) for text in (handle(), there)]
        assert {refusal["code"] for refusal in guesses(eve, order, named)} == {"too_many_alias_requests"}
        # Nor is one told from the other when the end comes in the midst of many.
        order["from"] = mallory.post("/wallets", {"name": "Mine"}).json()["id"]
        refused = [one for one in guesses(mallory, order, named) if one["code"] == "too_many_alias_requests"]
        assert len(refused) >= len(named) - TRIES
        assert {one["pointer"].rsplit("/", 1)[1] for one in refused} == {"to"}
        assert len({one["detail"] for one in refused}) == 1


async def test_nobody_else_is_named_by_an_address_that_was_only_claimed(
    api_server: ApiServer, api_database: servers.TestDatabase
) -> None:
    claimer, payer = [api_server.caller(await key_of(api_database)) for _ in range(2)]
    email = f"{handle()[1:]}@example.com"
    claimer.post("/aliases", {"alias": email})
    claimer.post("/wallets", {"name": "Trap"})
    source = payer.post("/wallets", {"name": "Mine"}).json()["id"]
    payer.post(f"/wallets/{source}/deposits", {"money": {"amount": "5.00", "asset": "USD"}})
    paid = payer.post("/transfers", {"from": source, "to": email, "money": {"amount": "1.00", "asset": "USD"}})
    assert (paid.status_code, paid.json()["code"]) == (404, "alias_unknown")


async def test_no_log_says_whom_somebody_has_looked_for(
    api_server: ApiServer, operator_key: str, api_database: servers.TestDatabase
) -> None:
    staff, ada = api_server.caller(operator_key), api_server.caller(await key_of(api_database))
    email = f"{handle()[1:]}@example.com"
    for caller in (staff, ada, api_server.caller(None)):
        for path in (f"/users?email={email}", f"/users?mail={email}", f"/aliases/{email}", f"/users/{email}"):
            answer = caller.get(path)
            assert answer.status_code < 500, answer.text
    assert email not in api_server.log
    assert email.partition("@")[0] not in api_server.log
