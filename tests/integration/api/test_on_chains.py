"""Money on chains over HTTP: addresses, deposits, why one is not there, and how far chains are read."""

from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import pytest

from billfold.custody import contracts
from billfold.kernel import ids
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from tests import servers
from tests.integration.api import support
from tests.integration.api.support import ApiServer, Caller
from tests.integration.api.test_keys import key_of
from tests.integration.custody.simulated import SimulatedChain
from tests.integration.custody.support import TERMS, Bank


@pytest.fixture(scope="module")
def api_server(
    api_database: servers.TestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[support.ApiServer]:
    """It serves a chain whose nodes nobody reaches: it is the worker that reads, and the database has what it read."""
    terms = {"credit_after": TERMS.credit_after, "release_after": TERMS.release_after}
    settings = {"bitcoin__urls": "http://127.0.0.1:9", "bitcoin__network": "sandbox"}
    settings |= {f"bitcoin__{name}": str(value) for name, value in terms.items()}
    with support.running_api(api_database, tmp_path_factory.mktemp("api"), **settings) as server:
        yield server


@pytest.fixture
async def bank(api_database: servers.TestDatabase) -> AsyncIterator[Bank]:
    database = await Database.connect(api_database.app_dsn, name="test")
    ledger = await Ledger.start(database=database)
    yield Bank(database=database, ledger=ledger, chain=SimulatedChain())
    await ledger.close()
    await database.close()


async def test_an_owner_follows_a_payment_and_nobody_else_does(
    api_server: ApiServer, api_database: servers.TestDatabase, operator_key: str, bank: Bank
) -> None:
    ada = api_server.caller(await key_of(api_database))
    bob = api_server.caller(await key_of(api_database))
    operator = api_server.caller(operator_key)
    wallet = ada.post("/wallets", {"name": "A"}).json()["id"]
    (given,) = await bank.custody.addresses.issue(chain="bitcoin", wallet_ids=[UUID(wallet)])
    # Everything of the API that reads is asked, by its owner and by a stranger.
    (shown,) = ada.get(f"/wallets/{wallet}/addresses").json()["items"]
    assert (shown["address"], shown["uri"]) == (given.address, f"bitcoin:{given.address}")
    assert ada.post(f"/wallets/{wallet}/addresses", {"chain": "bitcoin"}).json() == shown
    drawn = ada.get(f"/wallets/{wallet}/addresses/bitcoin/qr")
    assert drawn.headers["content-type"].startswith("image/svg+xml")
    assert given.address in drawn.text
    await bank.read()
    paid = bank.chain.pay(given.address, 700)
    bank.chain.mine()
    await bank.read()
    (deposit,) = ada.get(f"/wallets/{wallet}/deposits").json()["items"]
    assert (deposit["state"], deposit["confirmations"], deposit["credit_after"]) == ("detected", 1, 2)
    assert deposit["money"] == {"amount": "0.00000700", "asset": "BTC"}
    assert ada.get(f"/deposits/{deposit['id']}").json() == deposit
    explained = ada.get(f"/deposits/explain?chain_tx={paid.chain_tx}").json()["found"]
    assert [(one["verdict"], one["why"]) for one in explained] == [("waiting", "It has 1 of 2 confirmations.")]
    for path in (f"/wallets/{wallet}/addresses", f"/wallets/{wallet}/deposits", f"/deposits/{deposit['id']}"):
        assert bob.get(path).status_code == 404, path
        assert operator.get(path).status_code == 200, path
    assert bob.get(f"/deposits/explain?chain_tx={paid.chain_tx}").json()["found"][0]["verdict"] == "not_seen"
    assert operator.get(f"/deposits/explain?chain_tx={paid.chain_tx}").json()["found"][0]["deposit"] == deposit
    (chain,) = ada.get("/chains").json()["items"]
    assert (chain["id"], chain["status"], chain["lag"]) == ("bitcoin", "reading", 0)


async def test_each_refusal_has_its_code(
    api_server: ApiServer, api_database: servers.TestDatabase, operator_key: str
) -> None:
    ada = api_server.caller(await key_of(api_database))
    operator = api_server.caller(operator_key)
    wallet = ada.post("/wallets", {"name": "A"}).json()["id"]

    def refused(caller: Caller, method: str, path: str, body: object = None) -> tuple[int, str]:
        answer = caller.request(method, path, body)
        return answer.status_code, answer.json()["code"]

    addresses = f"/wallets/{wallet}/addresses"
    assert refused(ada, "POST", addresses, {"chain": "dogecoin"}) == (404, "chain_unknown")
    assert refused(ada, "POST", addresses, {"chain": "bitcoin"}) == (503, "addresses_unavailable")
    assert refused(ada, "GET", f"{addresses}/bitcoin/qr") == (404, "address_unknown")
    assert refused(ada, "GET", f"/deposits/{ids.new()}") == (404, "deposit_unknown")
    assert refused(ada, "GET", "/deposits/unmatched") == (403, "missing_scope")
    assert refused(ada, "POST", "/chains/bitcoin/resume") == (403, "missing_scope")
    assert refused(ada, "GET", "/custody/coins/bitcoin") == (403, "missing_scope")
    assert refused(operator, "GET", "/custody/coins/dogecoin") == (404, "chain_unknown")
    child = {"chain": "dogecoin", "chain_tx": "0" * 64}
    assert refused(ada, "POST", "/custody/children", child) == (403, "missing_scope")
    assert refused(operator, "POST", "/custody/children", child) == (404, "chain_unknown")
    for path in ("/custody/hot", "/custody/refills"):
        assert refused(ada, "GET", path) == (403, "missing_scope")
        assert operator.get(path).json()["items"] == []
    assert refused(operator, "GET", "/custody/refills?cursor=x") == (400, "invalid_cursor")
    assert refused(operator, "POST", "/chains/bitcoin/resume") == (409, "chain_not_halted")
    assert refused(ada, "POST", "/chains/bitcoin/rescan", {"from": 5}) == (403, "missing_scope")
    assert refused(operator, "POST", "/chains/bitcoin/rescan", {"from": 5}) == (409, "chain_not_halted")
    wanted = {"count": 2}
    assert refused(ada, "POST", "/chains/bitcoin/channels", wanted) == (403, "missing_scope")
    assert refused(operator, "POST", "/chains/bitcoin/channels", wanted) == (422, "channels_not_known")
    assert refused(operator, "GET", "/chains/dogecoin") == (404, "chain_unknown")
    assignment = {"wallet": wallet, "reason": "ticket 1"}
    assert refused(operator, "POST", f"/deposits/{ids.new()}/assign", assignment) == (404, "deposit_unknown")
    assert refused(ada, "POST", f"/deposits/{ids.new()}/assign", assignment) == (403, "missing_scope")
    refund = {"to": "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "reason": "ticket 1"}
    assert refused(operator, "POST", f"/deposits/{ids.new()}/refund", refund) == (404, "deposit_unknown")
    assert refused(ada, "POST", f"/deposits/{ids.new()}/refund", refund) == (403, "missing_scope")
    assert refused(operator, "POST", f"/deposits/{ids.new()}/bump-refund") == (404, "deposit_unknown")
    assert refused(ada, "POST", f"/deposits/{ids.new()}/bump-refund") == (403, "missing_scope")
    closed = ada.post(f"/wallets/{wallet}/close", None)
    assert closed.status_code == 200
    assert refused(ada, "POST", addresses, {"chain": "bitcoin"}) == (409, "wallet_closed")


async def test_who_may_not_send_money_out_does_not_spend_the_house_s_nor_lets_others_go_on(
    api_server: ApiServer, api_database: servers.TestDatabase
) -> None:
    reading = frozenset({contracts.OPERATOR, contracts.READ})
    clerk = api_server.caller(await key_of(api_database, scopes=reading))
    treasurer = api_server.caller(await key_of(api_database, scopes=reading | {contracts.WITHDRAW}))
    for path, body, otherwise in (
        ("/custody/children", {"chain": "dogecoin", "chain_tx": "0" * 64}, "chain_unknown"),
        (
            "/custody/reconciliations/resume",
            {"asset": "BTC", "difference": "0", "reason": "r"},
            "withdrawals_not_stopped",
        ),
        ("/chains/bitcoin/channels", {"count": 2}, "channels_not_known"),
    ):
        refused = clerk.post(path, body)
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
        assert treasurer.post(path, body).json()["code"] == otherwise
    # Nor does whoever may not put money into wallets give them what is nobody's.
    assignment = {"wallet": str(ids.new()), "reason": "ticket 1"}
    for caller in (clerk, treasurer):
        refused = caller.post(f"/deposits/{ids.new()}/assign", assignment)
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    # Looking at all of it is still theirs.
    assert clerk.get("/custody/reconciliations").status_code == 200
    assert clerk.get("/custody/hot").status_code == 200


async def test_a_proof_of_reserves_is_asked_for_by_an_operator_and_read_by_everybody(
    api_server: ApiServer, api_database: servers.TestDatabase, operator_key: str
) -> None:
    ada = api_server.caller(await key_of(api_database))
    bob = api_server.caller(await key_of(api_database))
    operator = api_server.caller(operator_key)
    wallet = ada.post("/wallets", {"name": "A"}).json()["id"]
    proof = f"/wallets/{wallet}/reserve-proof"
    assert ada.post("/reserves", {"assets": ["BTC"]}).json()["code"] == "missing_scope"
    assert operator.post("/reserves", {"assets": ["USD"]}).json()["code"] == "asset_not_on_chain"
    # The worker makes it, and here is none.
    asked = operator.post("/reserves", {})
    assert (asked.status_code, asked.json()["status"], asked.json()["assets"]) == (202, "requested", ["BTC"])
    assert operator.post("/reserves", {}).json()["code"] == "reserves_pending"
    path = f"/reserves/{asked.json()['id']}"
    assert ada.get(path).json() == asked.json()
    assert ada.get("/reserves").json()["items"] == [asked.json()]
    for nothing in (f"{path}/document", f"/reserves/{ids.new()}", proof, f"{proof}?snapshot={asked.json()['id']}"):
        assert ada.get(nothing).json()["code"] == "reserves_unknown", nothing
    assert operator.get(proof).json()["code"] == "reserves_unknown"
    assert bob.get(proof).json()["code"] == "wallet_unknown"
