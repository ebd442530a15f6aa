import base64
from typing import Any

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message, to_bytes_versioned
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from billfold.devnet.solana import faucet
from tests import conftest, second_signatures
from tests.clients import npm
from tests.servers import solana

SOL = 10**9
CONFIRMED = {"commitment": "confirmed"}


@pytest.fixture
def node(solana_server: solana.SolanaServer) -> solana.SolanaServer:
    return solana_server


@pytest.fixture
def somebody() -> Keypair:
    return Keypair()


def test_after_a_kill_every_block_and_transaction_is_there(node: solana.SolanaServer, somebody: Keypair) -> None:
    mined = node.faucet(str(somebody.pubkey()), "2.5")
    node.mine(2)
    node.reorg(1, drop=False)
    waiting = node.faucet(str(somebody.pubkey()), "0.5")
    before = everything(node)

    node.kill()
    node.start()

    assert everything(node) == before
    assert status(node, mined)["err"] is None
    assert status(node, waiting) is None
    node.mine()
    assert status(node, waiting)["err"] is None
    assert balance(node, somebody) == 3 * SOL


def test_a_fork_that_drops_takes_money_back_and_its_slots_stay_empty(
    node: solana.SolanaServer, somebody: Keypair
) -> None:
    base = node.call("getSlot", CONFIRMED)
    signature = node.faucet(str(somebody.pubkey()), "1")
    node.mine(2)
    height = node.call("getBlockHeight", CONFIRMED)
    assert balance(node, somebody) == SOL

    node.reorg(2, drop=True)

    assert status(node, signature) is None
    assert node.call("getTransaction", signature, CONFIRMED) is None
    assert balance(node, somebody) == 0
    assert node.call("getBlockHeight", CONFIRMED) == height + 1
    assert node.answer("getBlock", base + 1, CONFIRMED)["error"]["code"] == -32007
    slots = node.call("getBlocks", base, None, CONFIRMED)
    assert slots == [base, base + 3, base + 4, base + 5]
    assert node.call("getBlock", base + 3, CONFIRMED)["parentSlot"] == base
    node.mine()
    assert status(node, signature) is None


def test_a_fork_that_drops_nothing_has_the_same_transactions_in_other_blocks(
    node: solana.SolanaServer, somebody: Keypair
) -> None:
    signature = node.faucet(str(somebody.pubkey()), "1")
    node.mine(2)
    slot = status(node, signature)["slot"]

    node.reorg(2, drop=False)

    assert status(node, signature)["slot"] > slot
    assert balance(node, somebody) == SOL


def test_what_is_final_stays(node: solana.SolanaServer, somebody: Keypair) -> None:
    signature = node.faucet(str(somebody.pubkey()), "1")
    node.mine(32)
    assert status(node, signature)["confirmationStatus"] == "confirmed"
    node.mine()
    assert status(node, signature)["confirmationStatus"] == "finalized"
    assert node.call("getBalance", str(somebody.pubkey()))["value"] == SOL

    refused = node.posted("/devnet/reorg", {"depth": 33, "drop": True})

    assert refused.status_code == 409
    assert "final" in refused.json()["error"]


def test_a_blockhash_counts_for_150_blocks_and_not_for_one_more(node: solana.SolanaServer, somebody: Keypair) -> None:
    node.faucet(str(somebody.pubkey()), "1")
    node.mine()
    latest = node.call("getLatestBlockhash", CONFIRMED)["value"]
    last, late = (paying(somebody, lamports, latest["blockhash"]) for lamports in (900_000, 900_001))
    node.mine(latest["lastValidBlockHeight"] - node.call("getBlockHeight", CONFIRMED) - 1)
    send(node, last)
    send(node, late)

    node.mine()
    assert status(node, str(last.signatures[0]))["err"] is None
    again = node.answer(
        "sendTransaction", encoded(paying(somebody, 900_002, latest["blockhash"])), {"encoding": "base64"}
    )

    assert again["error"]["code"] == -32002
    assert again["error"]["data"]["err"] == "BlockhashNotFound"
    assert node.call("isBlockhashValid", latest["blockhash"], CONFIRMED)["value"] is False


def test_a_message_that_is_signed_twice_happens_once(node: solana.SolanaServer, somebody: Keypair) -> None:
    node.faucet(str(somebody.pubkey()), "3")
    node.mine()
    blockhash = node.call("getLatestBlockhash", CONFIRMED)["value"]["blockhash"]
    first = paying(somebody, SOL, blockhash)
    second, third = (
        VersionedTransaction.populate(
            first.message, [second_signatures.sign(somebody, to_bytes_versioned(first.message))]
        )
        for _ in range(2)
    )
    send(node, first)
    send(node, second)
    node.mine()
    refused = node.answer("sendTransaction", encoded(third), {"encoding": "base64"})

    assert status(node, str(first.signatures[0]))["err"] is None
    assert status(node, str(second.signatures[0])) is None
    assert refused["error"]["data"]["err"] == "AlreadyProcessed"
    assert balance(node, somebody) == 2 * SOL - 5_000
    node.reorg(1, drop=True)
    send(node, third)
    node.mine()
    assert status(node, str(third.signatures[0]))["err"] is None


def test_a_failed_transaction_costs_its_fee_and_moves_nothing(node: solana.SolanaServer, somebody: Keypair) -> None:
    node.faucet(str(somebody.pubkey()), "1")
    node.mine()
    blockhash = node.call("getLatestBlockhash", CONFIRMED)["value"]["blockhash"]
    transaction = paying(somebody, 5 * SOL, blockhash)

    signature = send(node, transaction, skipPreflight=True)
    node.mine()

    meta = node.call("getTransaction", signature, CONFIRMED)["meta"]
    assert meta["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert meta["fee"] == 5_000
    assert balance(node, somebody) == SOL - 5_000


def test_a_faulty_node_loses_a_transaction_or_its_answer_or_forgets_all_signatures(
    node: solana.SolanaServer, somebody: Keypair
) -> None:
    node.faucet(str(somebody.pubkey()), "3")
    node.mine()
    blockhash = node.call("getLatestBlockhash", CONFIRMED)["value"]["blockhash"]
    lost, muted = paying(somebody, SOL, blockhash), paying(somebody, SOL + 1, blockhash)

    node.control("faults", lose=1)
    send(node, lost)
    node.control("faults", mute=1)
    sent = [encoded(muted), {"encoding": "base64"}]
    answer = node.posted("/", {"jsonrpc": "2.0", "id": 1, "method": "sendTransaction", "params": sent})
    node.mine()

    assert answer.status_code == 504
    assert status(node, str(lost.signatures[0])) is None
    assert status(node, str(muted.signatures[0]))["err"] is None
    node.control("faults", forget=True)
    assert status(node, str(muted.signatures[0])) is None
    node.control("faults")
    assert status(node, str(muted.signatures[0]))["err"] is None


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"method": "getBalance", "params": ["not an address"]}, -32602),
        ({"method": "getBalance", "params": []}, -32602),
        ({"method": "getBalance", "params": {"address": 1}}, -32602),
        ({"method": "getBlock", "params": ["5"]}, -32602),
        ({"method": "getBlock", "params": [10**9]}, -32004),
        ({"method": "sendTransaction", "params": ["AAAA", {"encoding": "base64"}]}, -32602),
        ({"method": "sendTransaction", "params": ["l0O"]}, -32602),
        (
            {"method": "sendTransaction", "params": [base64.b64encode(bytes(1233)).decode(), {"encoding": "base64"}]},
            -32602,
        ),
        ({"method": "getSignatureStatuses", "params": [["x"]]}, -32602),
        ({"method": "noSuchThing"}, -32601),
        ({"params": []}, -32600),
        (7, -32600),
    ],
)
def test_what_can_not_be_understood_is_answered_as_nodes_do(node: solana.SolanaServer, asked: Any, code: int) -> None:
    body = {"jsonrpc": "2.0", "id": 1} | asked if isinstance(asked, dict) else asked

    response = node.posted("/", body)

    assert response.status_code == 200
    assert response.json()["error"]["code"] == code


@pytest.mark.parametrize(
    "wanted",
    [
        {"address": "0x52908400098527886E0F7030069857D2E4169EE7", "amount": "1"},
        {"address": str(Keypair().pubkey()), "amount": "0.0000000001"},
        {"address": str(Keypair().pubkey()), "amount": "NaN"},
        {"address": str(Keypair().pubkey()), "amount": "-1"},
        {"address": str(Keypair().pubkey()), "amount": "1", "token": str(Keypair().pubkey())},
        {"address": str(Keypair().pubkey()), "amount": "0.000000001"},
    ],
)
def test_the_faucet_says_why_it_gives_nothing(node: solana.SolanaServer, wanted: dict[str, str]) -> None:
    response = node.posted("/devnet/faucet", wanted)

    assert response.status_code == 400
    assert response.json()["error"]


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What web3.js, which we did not write, has seen to work: tests/clients/solana/drive.mjs."""
    with conftest.had("clients_of_solana"):
        npm.modules("solana")
        folder = tmp_path_factory.mktemp("clients")
        # It waits for blocks that come of their own accord, as its users do.
        with solana.running_devnet(folder / "chain", block_s=0.2) as node:
            (folder / "suite").mkdir()
            told = {"url": node.url, "mint": str(faucet.USDC)}
            found: list[str] = npm.run("solana", "drive.mjs", told, folder=folder / "suite")
    return found


def test_a_client_that_knows_nothing_of_us_can_do_all_that_it_wants(worked: list[str]) -> None:
    assert len(worked) == 7


def everything(node: solana.SolanaServer) -> list[Any]:
    """The first block and the last ones, with all that they did."""
    config = {"commitment": "confirmed", "maxSupportedTransactionVersion": 0}
    slots = node.call("getBlocks", 0, None, CONFIRMED)
    return [node.call("getBlock", slot, config) for slot in [0, *slots[-40:]]]


def status(node: solana.SolanaServer, signature: str) -> Any:
    return node.call("getSignatureStatuses", [signature], {"searchTransactionHistory": True})["value"][0]


def balance(node: solana.SolanaServer, of: Keypair) -> int:
    value: int = node.call("getBalance", str(of.pubkey()), CONFIRMED)["value"]
    return value


def paying(payer: Keypair, lamports: int, blockhash: str) -> VersionedTransaction:
    to = faucet.USDC
    instruction = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=lamports))
    message = Message.new_with_blockhash([instruction], payer.pubkey(), Hash.from_string(blockhash))
    return VersionedTransaction(message, [payer])


def encoded(transaction: VersionedTransaction) -> str:
    return base64.b64encode(bytes(transaction)).decode()


def send(node: solana.SolanaServer, transaction: VersionedTransaction, **config: Any) -> str:
    signature: str = node.call("sendTransaction", encoded(transaction), {"encoding": "base64", **config})
    return signature
