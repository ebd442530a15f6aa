"""bitcoinjs-lib, which we did not write, drives the local Bitcoin unchanged: tests/clients/bitcoin/drive.mjs."""

from typing import Any

import pytest

from tests import conftest
from tests.clients import npm
from tests.servers.devnets import DevnetServer


@pytest.fixture(scope="module")
def said(bitcoin_server: DevnetServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    user, _, password = (bitcoin_server.folder / ".cookie").read_text().partition(":")
    told = {"url": f"{bitcoin_server.url}/", "user": user, "password": password}
    with conftest.had("clients_of_bitcoin"):
        found: dict[str, Any] = npm.run("bitcoin", "drive.mjs", told, folder=tmp_path_factory.mktemp("bitcoinjs"))
    return found


def test_bitcoinjs_sends_and_reads_back_what_it_sent(said: dict[str, Any]) -> None:
    assert said["sameId"]
    assert said["confirmed"] == {"confirmations": 1, "block": True, "same": True}
    assert said["spent"] is None
    assert said["paid"] == {"satoshi": "39990000", "address": True, "confirmations": 1}


def test_bitcoinjs_finds_every_block_as_its_hash_says(said: dict[str, Any]) -> None:
    assert said["blockHash"]
    assert said["merkle"]
    assert said["inBlock"]
    assert said["detailed"]


def test_a_replacement_that_pays_more_takes_the_place_of_the_first(said: dict[str, Any]) -> None:
    assert said["gone"] == {"code": -5, "message": "Transaction not in mempool"}
    assert said["entryVsize"]
    assert said["entryFee"] == "5000"
    assert said["stingy"]["code"] == -26
    assert said["stingy"]["message"].startswith("insufficient fee, rejecting replacement")


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("immature", -26, "bad-txns-premature-spend-of-coinbase"),
        ("unknown", -25, "bad-txns-inputs-missingorspent"),
        ("fee", -26, "min relay fee not met"),
        ("dust", -26, "dust"),
        ("absurd", -25, "Fee exceeds maximum configured by user"),
        ("inflation", -26, "bad-txns-in-belowout"),
        ("garbage", -22, "TX decode failed"),
        ("signature", -26, "mandatory-script-verify-flag-failed"),
    ],
)
def test_what_bitcoin_core_refuses_is_refused_in_its_words(
    said: dict[str, Any], what: str, code: int, words: str
) -> None:
    assert said["refused"][what]["code"] == code
    assert said["refused"][what]["message"].startswith(words)


def test_what_a_block_has_is_not_taken_again(said: dict[str, Any]) -> None:
    assert said["late"] == {"code": -27, "message": "Transaction outputs already in utxo set"}


def test_many_requests_at_once_get_each_its_own_answer(said: dict[str, Any]) -> None:
    count, genesis, beyond, nonsense = said["batch"]["body"]
    assert said["batch"]["status"] == 200
    assert count["result"] > 200
    assert genesis == {
        "jsonrpc": "2.0",
        "result": "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
        "id": 2,
    }
    assert beyond["error"] == {"code": -8, "message": "Block height out of range"}
    assert nonsense["error"]["code"] == -32601
