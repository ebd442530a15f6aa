"""The local Ethereum: ethers, which we did not write, drives it unchanged, and it loses nothing that it answered."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from billfold.devnet.ethereum import faucet
from tests import conftest
from tests.clients import npm
from tests.integration.chains.ethereum.world import CONTRACTS, rpc, somebody
from tests.servers import devnets
from tests.servers.devnets import DevnetServer

ETH = 10**18


@pytest.fixture(scope="module")
def said(ethereum_server: DevnetServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    told = {"url": f"{ethereum_server.url}/", "code": CONTRACTS["Token"]}
    with conftest.had("clients_of_ethereum"):
        found: dict[str, Any] = npm.run("ethereum", "drive.mjs", told, folder=tmp_path_factory.mktemp("ethers"))
    return found


@pytest.fixture
def own(ethereum_server: DevnetServer, tmp_path: Path) -> Iterator[DevnetServer]:
    """One that may be killed; the other has shown that anvil can be had."""
    assert ethereum_server.status["chain"] == "ethereum"
    with devnets.running_devnet("ethereum", tmp_path / "chain") as server:
        yield server


def test_ethers_pays_and_reads_back_what_it_paid(said: dict[str, Any]) -> None:
    assert (said["chain"], said["funded"], said["accounts"], said["fees"]) == (31337, str(10 * ETH), [], True)
    assert said["pending"] is None
    assert said["paid"] == {"status": 1, "gas": 21_000, "balance": str(ETH * 3 // 2)}
    assert said["readBack"] == {"inBlock": True, "sameHash": True, "signer": True, "type": 2}


def test_ethers_replaces_and_is_refused_in_its_own_words(said: dict[str, Any]) -> None:
    assert said["stingy"] == "REPLACEMENT_UNDERPRICED"
    assert said["replaced"] == {"second": 1, "first": None}
    assert (said["used"], said["poor"]) == ("NONCE_EXPIRED", "INSUFFICIENT_FUNDS")


def test_ethers_makes_a_token_and_finds_its_events(said: dict[str, Any]) -> None:
    assert said["token"] == {
        "decimals": 6,
        "balances": [600, 400],
        "events": [[True, 400]],
        "tooMuch": "CALL_EXCEPTION",
        "notMaker": "CALL_EXCEPTION",
    }


def test_what_only_a_toy_has_is_not_there(said: dict[str, Any]) -> None:
    assert said["cheat"] == -32601
    assert said["together"] == ["number", -32601]


def everything(server: DevnetServer) -> list[Any]:
    height = server.status["height"]
    blocks = [rpc(server, "eth_getBlockByNumber", hex(at), True) for at in range(height + 1)]  # noqa: FBT003
    return [server.status, blocks, rpc(server, "txpool_content")]


def test_after_a_kill_every_block_and_transaction_is_there(own: DevnetServer) -> None:
    to = somebody()
    own.faucet(to, "2.5")
    own.mine(3)
    own.faucet(to, "7", token=faucet.USDC)
    own.mine(2)
    own.reorg(4, drop=True)
    own.faucet(to, "1.5")
    own.mine()
    own.reorg(2)
    own.faucet(to, "0.25")
    before = everything(own)
    own.kill()
    own.start()
    assert everything(own) == before
    own.mine()
    assert int(rpc(own, "eth_getBalance", to, "latest"), 16) == ETH * 17 // 4
    # The end of a line that was never written whole.
    own.kill()
    (journal,) = (own.folder / "ethereum").glob("blocks-*")
    with journal.open("ab") as file:
        file.write(b'{"block":{"hei')
    own.start()
    assert own.status["height"] == before[0]["height"] + 1


def test_a_long_chain_is_kept_in_whole_states_and_can_still_go_back(own: DevnetServer) -> None:
    to = somebody()
    for _ in range(3):
        own.faucet(to, "1")
        own.mine(256)
    tip = own.status
    own.kill()
    own.start()
    assert own.status == tip
    assert len(list((own.folder / "ethereum").glob("state-*"))) == 2
    own.reorg(250, drop=True)
    with pytest.raises(httpx2.HTTPStatusError):
        own.reorg(251)
    tip = own.status
    own.kill()
    own.start()
    assert own.status == tip
    assert int(rpc(own, "eth_getBalance", to, "latest"), 16) == 3 * ETH


def test_what_is_replaced_is_mined_again_or_gone_for_good(ethereum_server: DevnetServer) -> None:
    to = somebody()
    chain_tx = ethereum_server.faucet(to, "1")
    tip = ethereum_server.mine(2)
    again = ethereum_server.reorg(2)
    assert again["height"] == tip["height"] + 1
    assert rpc(ethereum_server, "eth_getTransactionReceipt", chain_tx)["status"] == "0x1"
    ethereum_server.reorg(3, drop=True)
    assert rpc(ethereum_server, "eth_getTransactionByHash", chain_tx) is None
    assert rpc(ethereum_server, "eth_getBalance", to, "latest") == "0x0"


@pytest.mark.parametrize(
    "told",
    [
        {"address": "0x12", "amount": "1"},
        {"address": "0xf39fd6e51aad88F6F4ce6aB8827279cffFb92266", "amount": "1"},
        {"address": faucet.ADDRESS, "amount": "-1"},
        {"address": faucet.ADDRESS, "amount": "0"},
        {"address": faucet.ADDRESS, "amount": "1e5"},
        {"address": faucet.ADDRESS, "amount": "0.0000001", "token": faucet.USDC},
        {"address": faucet.ADDRESS, "amount": "1", "token": faucet.ADDRESS},
        {"address": faucet.ADDRESS, "amount": "1", "memo": "id:7"},
    ],
)
def test_the_faucet_says_what_it_can_not_send(ethereum_server: DevnetServer, told: dict[str, str]) -> None:
    answer = httpx2.post(f"{ethereum_server.url}/devnet/faucet", json=told)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"[7]", b"[" + b"{}," * 1000 + b"{}]", b'{"method":7}'])
def test_nonsense_at_the_node_is_answered_as_json_rpc(ethereum_server: DevnetServer, body: bytes) -> None:
    answer = httpx2.post(f"{ethereum_server.url}/", content=body)
    assert answer.status_code == 200
    assert answer.json()["error"]["code"] in (-32600, -32700)
