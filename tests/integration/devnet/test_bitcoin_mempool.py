"""What may wait for a block of the local Bitcoin, asked of its node in this process."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from embit import ec
from embit.script import Script, p2pkh_from_p2wpkh
from embit.transaction import Transaction as Signable

from billfold.chains.bitcoin import addresses, transactions
from billfold.chains.bitcoin.transactions import Input, Output, Transaction
from billfold.devnet.bitcoin.node import Node
from billfold.devnet.bitcoin.rules import Rejected

KEY = ec.PrivateKey(b"\x11" * 32)
SCRIPT = addresses.script_of_key(KEY.sec())
FINAL = 0xFFFFFFFF
#: What each new coin has before the first halving, in satoshi.
COIN = 50 * 100_000_000


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("node"))
    made.open()
    made.mine(130, SCRIPT)
    yield made
    made.close()


@pytest.fixture
def coin(node: Node) -> tuple[str, int]:
    """One of the first blocks' that nobody has spent."""
    return next(
        at
        for at, found in node.view.coins.items()
        if found.coinbase
        and found.value == COIN
        and found.height <= node.view.height - 100
        and at not in node.mempool.spenders
    )


def paying(
    coins: Sequence[tuple[str, int]],
    outputs: Sequence[int],
    *,
    worth: int = COIN,
    sequence: int = FINAL,
    locktime: int = 0,
    version: int = 2,
    script: bytes = SCRIPT,
) -> Transaction:
    bare = [Input(txid, vout, b"", sequence) for txid, vout in coins]
    paid = [Output(value, script) for value in outputs]
    unsigned = transactions.write(inputs=bare, outputs=paid, version=version, locktime=locktime)
    signable, code = Signable.parse(unsigned.raw), p2pkh_from_p2wpkh(Script(SCRIPT))
    signed = []
    for number, each in enumerate(bare):
        signature = KEY.sign(signable.sighash_segwit(number, code, worth)).serialize() + b"\x01"
        signed.append(Input(each.txid, each.vout, b"", sequence, (signature, KEY.sec())))
    return transactions.write(inputs=signed, outputs=paid, version=version, locktime=locktime)


def refusal(node: Node, transaction: Transaction) -> str:
    with pytest.raises(Rejected) as refused:
        node.accept(transaction)
    return refused.value.reason


def test_a_child_that_pays_for_its_parent_takes_it_before_others(node: Node, coin: tuple[str, int]) -> None:
    parent = paying([coin], [COIN - 150])
    child = paying([(parent.txid, 0)], [COIN - 150 - 5_000], worth=COIN - 150)
    node.accept(parent)
    node.accept(child)
    other_coin = next(at for at, found in node.view.coins.items() if at not in node.mempool.spenders)
    other = paying([other_coin], [COIN - 500])
    node.accept(other)

    assert node.mempool.in_order() == [parent.txid, child.txid, other.txid]
    node.mine(1, SCRIPT)
    assert [each.txid for each in node.view.tip.transactions[1:]] == [parent.txid, child.txid, other.txid]


def test_no_more_than_25_wait_one_upon_the_other(node: Node, coin: tuple[str, int]) -> None:
    at, worth = coin, COIN
    for _ in range(25):
        made = paying([at], [worth - 200], worth=worth)
        node.accept(made)
        at, worth = (made.txid, 0), worth - 200
    assert refusal(node, paying([at], [worth - 200], worth=worth)) == "too-long-mempool-chain"
    node.mine(1, SCRIPT)
    node.accept(paying([at], [worth - 200], worth=worth))


def test_a_replacement_pays_for_all_that_it_takes_away(node: Node, coin: tuple[str, int]) -> None:
    parent = paying([coin], [COIN - 1_000])
    child = paying([(parent.txid, 0)], [COIN - 11_000], worth=COIN - 1_000)
    node.accept(parent)
    node.accept(child)

    assert refusal(node, paying([coin], [COIN - 10_000])) == "insufficient fee"
    assert refusal(node, paying([coin], [COIN - 11_050])) == "insufficient fee"
    better = paying([coin], [COIN - 11_200])
    node.accept(better)

    assert parent.txid not in node.mempool.waiting
    assert child.txid not in node.mempool.waiting
    assert better.txid in node.mempool.waiting


def test_what_is_locked_until_later_does_not_wait(node: Node, coin: tuple[str, int]) -> None:
    height = node.view.height
    late = paying([coin], [COIN - 1_000], sequence=FINAL - 1, locktime=height + 1)
    assert refusal(node, late) == "non-final"
    # A lock that no input turns on is none, and one that is over is none any more.
    node.mempool.check(paying([coin], [COIN - 1_000], sequence=FINAL, locktime=height + 1))
    node.mine(1, SCRIPT)
    node.mempool.check(late)


def test_what_must_rest_for_blocks_does_not_wait_before(node: Node, coin: tuple[str, int]) -> None:
    parent = paying([coin], [COIN - 1_000])
    node.accept(parent)
    node.mine(1, SCRIPT)
    resting = paying([(parent.txid, 0)], [COIN - 2_000], worth=COIN - 1_000, sequence=2)
    assert refusal(node, resting) == "non-BIP68-final"
    node.mempool.check(paying([(parent.txid, 0)], [COIN - 2_000], worth=COIN - 1_000, sequence=2, version=1))
    node.mine(1, SCRIPT)
    node.mempool.check(resting)


@pytest.mark.parametrize(
    ("script", "version", "reason"),
    [(SCRIPT, 4, "version"), (b"\x51" * 10, 2, "scriptpubkey"), (b"\x6a" + b"\x01" * 83, 2, "datacarrier")],
)
def test_what_is_not_usual_is_not_passed_on(
    node: Node, coin: tuple[str, int], script: bytes, version: int, reason: str
) -> None:
    assert refusal(node, paying([coin], [COIN - 1_000], script=script, version=version)) == reason


def test_a_signature_over_another_amount_is_wrong(node: Node, coin: tuple[str, int]) -> None:
    assert refusal(node, paying([coin], [COIN - 1_000], worth=COIN - 1)).startswith("mandatory-script-verify-flag")


def test_another_start_comes_to_the_same(node: Node, tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes((node._folder / "journal").read_bytes())
    again = Node(tmp_path)
    again.open()
    assert again.view.chain == node.view.chain
    assert again.view.coins == node.view.coins
    assert again.mempool.waiting.keys() == node.mempool.waiting.keys()
    again.close()
