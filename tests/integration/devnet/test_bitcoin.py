"""The local Bitcoin by itself: what is durable, what is replaced, who may ask."""

import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.servers import devnets
from tests.servers.devnets import DevnetServer

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
DEADLINE_S = 60.0


def rpc(server: DevnetServer, method: str, *params: object) -> Any:
    """The result, or the number of the error."""
    said = answer(server, {"method": method, "params": params, "id": 1}).json()
    return said["error"]["code"] if said["error"] else said["result"]


def answer(server: DevnetServer, body: object, *, password: str | None = None) -> httpx2.Response:
    user, _, kept = (server.folder / ".cookie").read_text().partition(":")
    return httpx2.post(server.url, json=body, auth=(user, password or kept), trust_env=False)


def test_after_a_kill_every_answered_block_and_transaction_is_there(tmp_path: Path) -> None:
    with devnets.running_devnet("bitcoin", tmp_path / "chain") as server:
        server.faucet(ADDRESS, "1.5")
        server.mine(3)
        server.reorg(2)
        rpc(server, "invalidateblock", rpc(server, "getblockhash", 112))
        waiting = server.faucet(ADDRESS, "0.5")

        def state() -> list[Any]:
            coins = rpc(server, "scantxoutset", "start", [f"addr({ADDRESS})"])
            return [coins, *(rpc(server, each) for each in ("getrawmempool", "getbestblockhash", "getchaintips"))]

        before = state()

        server.kill()
        with (server.folder / "journal").open("ab") as journal:
            journal.write(b"B\xff\x00\x00\x00half a block")
        server.start()

        assert state() == before
        assert waiting in before[1]
        server.mine()
        assert rpc(server, "getrawtransaction", waiting, 1)["confirmations"] == 1


def test_transactions_of_replaced_blocks_are_mined_again(bitcoin_server: DevnetServer) -> None:
    txid = bitcoin_server.faucet(ADDRESS, "0.1")
    before = bitcoin_server.mine(2)

    after = bitcoin_server.reorg(2)

    assert after["height"] == before["height"] + 1
    assert rpc(bitcoin_server, "getblockheader", before["hash"])["confirmations"] == -1
    assert rpc(bitcoin_server, "getrawtransaction", txid, 1)["confirmations"] == 3


def test_transactions_that_are_dropped_are_nowhere_until_sent_again(bitcoin_server: DevnetServer) -> None:
    txid = bitcoin_server.faucet(ADDRESS, "0.1")
    raw = rpc(bitcoin_server, "getrawtransaction", txid)
    bitcoin_server.mine(2)

    bitcoin_server.reorg(3, drop=True)
    bitcoin_server.mine()

    assert rpc(bitcoin_server, "getrawtransaction", txid) == -5
    assert rpc(bitcoin_server, "sendrawtransaction", raw) == txid
    bitcoin_server.mine()
    assert rpc(bitcoin_server, "getrawtransaction", txid, 1)["confirmations"] == 1


def test_a_block_that_counts_as_wrong_is_left_and_taken_back(bitcoin_server: DevnetServer) -> None:
    txid = bitcoin_server.faucet(ADDRESS, "0.1")
    tip = bitcoin_server.mine(2)
    first = rpc(bitcoin_server, "getblockhash", tip["height"] - 1)

    assert rpc(bitcoin_server, "invalidateblock", first) is None
    assert bitcoin_server.status["height"] == tip["height"] - 2
    assert txid in rpc(bitcoin_server, "getrawmempool")

    assert rpc(bitcoin_server, "reconsiderblock", first) is None
    assert bitcoin_server.status["hash"] == tip["hash"]


def test_a_block_of_somebody_else_is_judged_by_the_consensus_code(bitcoin_server: DevnetServer) -> None:
    best = bytes.fromhex(rpc(bitcoin_server, "getblock", rpc(bitcoin_server, "getbestblockhash"), 0))
    other = bytearray(best)
    # The coinbase pays itself one satoshi more; the header doesn't stand for it.
    other[-50] ^= 1

    assert rpc(bitcoin_server, "submitblock", best.hex()) == "duplicate"
    assert rpc(bitcoin_server, "submitblock", bytes(other).hex()) == -22
    assert rpc(bitcoin_server, "submitblock", best[:-1].hex()) == -22


def test_what_waits_is_told_until_a_block_has_it(bitcoin_server: DevnetServer) -> None:
    first, second = bitcoin_server.faucet(ADDRESS, "0.1"), bitcoin_server.faucet(ADDRESS, "0.1")
    entries = rpc(bitcoin_server, "getrawmempool", True)  # noqa: FBT003 - as it is called
    assert {first, second} <= entries.keys()
    assert rpc(bitcoin_server, "getmempoolinfo")["size"] == len(entries)
    assert rpc(bitcoin_server, "estimatesmartfee", 2)["feerate"] == 0.00001
    bitcoin_server.mine()
    assert rpc(bitcoin_server, "getrawmempool") == []


def test_who_does_not_log_in_is_told_nothing(bitcoin_server: DevnetServer) -> None:
    said = answer(bitcoin_server, {"method": "getblockcount"}, password="wrong")
    assert (said.status_code, said.content) == (401, b"")


def test_who_calls_by_another_name_is_told_nothing(bitcoin_server: DevnetServer) -> None:
    said = httpx2.get(f"{bitcoin_server.url}/devnet", headers={"Host": "pages.example"}, trust_env=False)
    assert said.status_code == 421


@pytest.mark.parametrize(
    ("what", "told", "status", "words"),
    [
        ("mine", {"blocks": 501}, 400, "<= 500"),
        ("mine", {"blocks": 0}, 400, ">= 1"),
        ("faucet", {"address": "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "amount": "1"}, 400, "another network"),
        ("faucet", {"address": ADDRESS, "amount": "1e3"}, 400, "plain notation"),
        ("faucet", {"address": ADDRESS, "amount": "0.000000001"}, 400, "8 decimals"),
        ("faucet", {"address": ADDRESS, "amount": "-1"}, 400, "can't be made"),
        ("faucet", {"address": ADDRESS, "amount": "0.00000001"}, 400, "dust"),
        ("faucet", {"address": ADDRESS, "amount": "1", "memo": "id:1"}, 400, "no memos"),
        ("faucet", {"address": ADDRESS, "amount": "20999999"}, 409, "not so much"),
        ("reorg", {"depth": 500}, 409, "can be replaced"),
        ("stall", {}, 400, "stalled"),
        ("stall", {"stalled": True, "for": 3}, 400, "unknown field"),
    ],
)
def test_what_can_not_be_done_is_refused_with_the_reason(
    bitcoin_server: DevnetServer, what: str, told: dict[str, Any], status: int, words: str
) -> None:
    said = httpx2.post(f"{bitcoin_server.url}/devnet/{what}", json=told, trust_env=False)
    assert said.status_code == status
    assert words in said.json()["error"]


def test_blocks_come_by_themselves_until_the_chain_is_stalled(tmp_path: Path) -> None:
    with devnets.running_devnet("bitcoin", tmp_path / "chain", block_s=0.05) as server:
        first = server.status
        assert first["mining"] == "interval"
        deadline = time.monotonic() + DEADLINE_S
        while server.status["height"] < first["height"] + 3:
            assert time.monotonic() < deadline, "no blocks come"
            time.sleep(0.01)

        stalled = server.stall(stalled=True)["height"]
        txid = server.faucet(ADDRESS, "0.1")
        assert rpc(server, "getmempoolentry", txid)["vsize"] > 0
        assert server.status["height"] == stalled

        server.stall(stalled=False)
        while rpc(server, "getrawmempool"):
            assert time.monotonic() < deadline, "the transaction waits for ever"
            time.sleep(0.01)
