"""Keys that are elsewhere, over HTTP: what is known of them is imported once, and addresses need no signer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bip_utils import Bip84, Bip84Coins
from solders.keypair import Keypair

from billfold.kernel import ids
from tests import servers
from tests.integration.api import support
from tests.integration.api.support import ApiServer, Caller
from tests.integration.api.test_keys import key_of

ACCOUNT = Bip84.FromSeed(bytes(range(64)), Bip84Coins.BITCOIN_TESTNET).Purpose().Coin().Account(0)
OTHER = Bip84.FromSeed(bytes(range(64)), Bip84Coins.BITCOIN_TESTNET).Purpose().Coin().Account(1)
VPUB, FINGERPRINT = ACCOUNT.PublicKey().ToExtended(), "0123abcd"
LISTED = [str(Keypair.from_seed(bytes([number]) * 32).pubkey()) for number in range(1, 6)]


@pytest.fixture(scope="module")
def api_server(
    api_database: servers.TestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[support.ApiServer]:
    """It serves chains whose nodes nobody reaches, and has no signer."""
    settings = {f"{chain}__urls": "http://127.0.0.1:9" for chain in ("bitcoin", "ethereum", "solana")}
    settings |= {f"{chain}__keys": "elsewhere" for chain in ("bitcoin", "solana")}
    settings |= {f"{chain}__network": "sandbox" for chain in ("bitcoin", "ethereum", "solana")}
    with support.running_api(api_database, tmp_path_factory.mktemp("api"), **settings) as server:
        yield server


@pytest.fixture
def operator(api_server: ApiServer, operator_key: str) -> Caller:
    return api_server.caller(operator_key)


@pytest.fixture
async def ada(api_server: ApiServer, api_database: servers.TestDatabase) -> Caller:
    return api_server.caller(await key_of(api_database))


def refused(caller: Caller, path: str, body: object) -> tuple[int, str, str | None]:
    answer = caller.post(path, body)
    problem = answer.json()
    (where,) = problem.get("errors") or [{}]
    return answer.status_code, problem["code"], where.get("pointer")


def issue(caller: Caller, chain: str) -> tuple[int, str]:
    wallet = caller.post("/wallets", {"name": "A"}).json()["id"]
    answer = caller.post(f"/wallets/{wallet}/addresses", {"chain": chain})
    return answer.status_code, answer.json().get("address") or answer.json()["code"]


def test_addresses_follow_from_a_public_key_which_is_imported_once(operator: Caller, ada: Caller) -> None:
    public, keys = "/chains/bitcoin/keys/public", "/chains/bitcoin/keys"
    assert issue(ada, "bitcoin") == (503, "addresses_unavailable")
    assert refused(operator, public, {"public_key": VPUB[:-1] + "1"})[:2] == (422, "public_key_invalid")
    main = Bip84.FromSeed(bytes(range(64)), Bip84Coins.BITCOIN).Purpose().Coin().Account(0).PublicKey().ToExtended()
    assert refused(operator, public, {"public_key": main})[:2] == (422, "public_key_invalid")
    wanted = {"public_key": VPUB, "fingerprint": FINGERPRINT}
    done = operator.post(public, wanted).json()
    assert operator.post(public, wanted).json() == done
    assert (done["where"], done["public_key"], done["addresses_left"]) == ("elsewhere", VPUB, None)
    assert refused(operator, public, {"public_key": OTHER.PublicKey().ToExtended()})[:2] == (409, "keys_imported")
    listed = {"purpose": "deposit", "addresses": ["bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"]}
    assert refused(operator, f"{keys}/addresses", listed)[:2] == (409, "keys_imported")
    status, address = issue(ada, "bitcoin")
    assert (status, address[:6]) == (200, "bcrt1q")
    assert operator.get(keys).json()["hot"].startswith("bcrt1q")


def test_a_list_is_given_out_in_its_order_until_it_ends(operator: Caller, ada: Caller) -> None:
    path = "/chains/solana/keys/addresses"
    hot, *deposits = LISTED
    assert refused(operator, "/chains/solana/keys/public", {"public_key": VPUB})[:2] == (422, "public_key_invalid")
    for addresses, wrong in (
        ([deposits[0], "0" + deposits[1][1:]], (422, "address_invalid", "/addresses/1")),
        ([deposits[0], deposits[1], deposits[0]], (409, "address_known", "/addresses/2")),
    ):
        assert refused(operator, path, {"purpose": "deposit", "addresses": addresses}) == wrong
    assert operator.post(path, {"purpose": "deposit", "addresses": deposits[:2]}).json()["addresses_left"] == 2
    assert refused(operator, path, {"purpose": "hot", "addresses": [deposits[0]]})[1] == "address_known"
    assert issue(ada, "solana") == (503, "addresses_unavailable")
    assert operator.post(path, {"purpose": "hot", "addresses": [hot]}).json()["hot"] == hot
    assert refused(operator, path, {"purpose": "hot", "addresses": [deposits[3]]})[1] == "keys_imported"
    assert [issue(ada, "solana")[1] for _ in range(2)] == deposits[:2]
    assert [issue(ada, "solana") for _ in range(2)] == [(503, "addresses_used_up")] * 2
    assert refused(operator, path, {"purpose": "deposit", "addresses": [deposits[1]]})[1] == "address_known"
    assert operator.post(path, {"purpose": "deposit", "addresses": deposits[2:3]}).json()["addresses_left"] == 1
    assert issue(ada, "solana") == (200, deposits[2])


def test_whoever_may_not_is_refused_and_so_is_a_chain_whose_keys_the_signer_has(operator: Caller, ada: Caller) -> None:
    assert operator.get("/chains/ethereum/keys").json()["where"] == "signer"
    assert refused(operator, "/chains/ethereum/keys/public", {"public_key": VPUB})[:2] == (409, "keys_with_signer")
    assert operator.get("/chains/bitcoin/unsigned").json() == operator.get("/chains/ethereum/unsigned").json()
    nobody = f"/unsigned/{ids.new()}"
    for path, body in ((f"{nobody}/export", None), (f"{nobody}/discard", None), (f"{nobody}/signed", {"signed": "x"})):
        assert refused(operator, path, body)[:2] == (404, "unsigned_unknown")
        assert refused(ada, path, body)[:2] == (403, "missing_scope")
    for path in ("/chains/bitcoin/keys", "/chains/bitcoin/unsigned"):
        assert ada.get(path).json()["code"] == "missing_scope"
    for path, order in (
        ("/chains/bitcoin/keys/public", {"public_key": VPUB}),
        ("/chains/bitcoin/keys/addresses", {"purpose": "hot", "addresses": ["x"]}),
    ):
        assert refused(ada, path, order)[:2] == (403, "missing_scope")
