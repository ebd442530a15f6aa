"""Withdrawals to chains over HTTP: each refusal has its code, and what can't be known yet is said so."""

from collections.abc import Iterator

import pytest

from billfold.kernel import ids
from tests import servers
from tests.integration.api import support
from tests.integration.api.support import ApiServer, Caller
from tests.integration.api.test_keys import key_of


@pytest.fixture(scope="module")
def api_server(
    api_database: servers.TestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[support.ApiServer]:
    """It serves a chain whose nodes nobody reaches."""
    settings = {"bitcoin__urls": "http://127.0.0.1:9", "bitcoin__network": "sandbox"}
    settings |= {"bitcoin__service_fees": "BTC=0.0001+2,BTC>1=0.0005+1", "bitcoin__withdrawal_minimum": "BTC=0.001"}
    with support.running_api(api_database, tmp_path_factory.mktemp("api"), **settings) as server:
        yield server


async def test_each_refusal_has_its_code(api_server: ApiServer, api_database: servers.TestDatabase) -> None:
    ada = api_server.caller(await key_of(api_database))
    bob = api_server.caller(await key_of(api_database))
    wallet = ada.post("/wallets", {"name": "A"}).json()["id"]
    path = f"/wallets/{wallet}/chain-withdrawals"

    def refused(caller: Caller, method: str, where: str, body: object = None) -> tuple[int, str]:
        answer = caller.request(method, where, body)
        return answer.status_code, answer.json()["code"]

    def order(amount: str, asset: str, to: str) -> dict[str, object]:
        return {"money": {"amount": amount, "asset": asset}, "to": to}

    to = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
    assert ada.get(path).json()["items"] == []
    assert refused(bob, "GET", path) == (404, "wallet_unknown")
    assert refused(bob, "POST", path, order("1", "BTC", to)) == (404, "wallet_unknown")
    # Nothing is there, whatever the address is.
    assert refused(ada, "POST", path, order("1", "BTC", to)) == (422, "insufficient_funds")
    assert refused(ada, "POST", path, order("0", "BTC", to)) == (422, "amount_not_positive")
    assert refused(ada, "POST", path, order("1", "NONE", to)) == (422, "asset_unknown")
    dear = order("1", "BTC", to) | {"max_fee": "a little"}
    assert refused(ada, "POST", path, dear) == (422, "invalid_amount")
    one = f"/chain-withdrawals/{ids.new()}"
    for method, where in (("GET", one), ("POST", f"{one}/cancel"), ("POST", f"{one}/bump")):
        assert refused(ada, method, where) == (404, "withdrawal_unknown"), where
    fees = "/chains/bitcoin/fees"
    assert refused(ada, "GET", f"/chains/dogecoin/fees?amount=1&to={to}") == (404, "chain_unknown")
    assert refused(ada, "GET", f"{fees}?amount=1&to=1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2") == (422, "address_invalid")
    assert refused(ada, "GET", f"{fees}?amount=0.0009&to={to}") == (422, "amount_below_minimum")
    assert refused(ada, "GET", f"{fees}?amount=1&asset=USD&to={to}") == (422, "asset_not_on_chain")
    # No node has ever said what it asks.
    assert refused(ada, "GET", f"{fees}?amount=1&to={to}") == (503, "fees_unknown")
