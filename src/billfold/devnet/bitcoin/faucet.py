"""Play money: coins of the faucet's own, which it gets for all blocks that are made as time goes by."""

from __future__ import annotations

from collections.abc import Iterator

from embit import ec, hashes
from embit.script import Script, p2pkh_from_p2wpkh
from embit.transaction import Transaction as Signable

from billfold.chains.bitcoin import transactions
from billfold.chains.bitcoin.transactions import Input, Output, Transaction
from billfold.devnet.bitcoin import rules
from billfold.devnet.bitcoin.mempool import FAMILY_MAX
from billfold.devnet.bitcoin.node import Node
from billfold.devnet.bitcoin.view import MATURITY, Coin, Outpoint
from billfold.devnet.serving import DevnetConflict

#: Everybody may know it: what it opens is worth nothing.
_KEY = ec.PrivateKey(hashes.sha256(b"billfold devnet bitcoin faucet"))
_PUBLIC: bytes = _KEY.get_public_key().sec()
SCRIPT = b"\x00\x14" + hashes.hash160(_PUBLIC)
#: Satoshi for 1,000 virtual bytes.
_RATE = 5_000
_INPUT_VSIZE, _REST_VSIZE = 68, 90
#: Beyond it a transaction would not be passed on.
_INPUTS_MAX = 1_000
_REPLACEABLE = 0xFFFFFFFD


def payment(node: Node, script: bytes, amount: int) -> Transaction:
    """A signed transaction that pays `amount` satoshi to `script`, and the rest back.

    Raises:
        DevnetConflict: the faucet has not so much now.
    """
    taken: list[tuple[Outpoint, Coin]] = []
    total = 0
    for at, coin in _spendable(node):
        taken.append((at, coin))
        total += coin.value
        fee = rules.fee_for(_RATE, _REST_VSIZE + _INPUT_VSIZE * len(taken))
        if total >= amount + fee:
            return _signed(taken, script, amount, total - amount - fee)
        if len(taken) == _INPUTS_MAX:
            break
    raise DevnetConflict("The faucet has not so much now; it gets more with each block.")


def _spendable(node: Node) -> Iterator[tuple[Outpoint, Coin]]:
    """Coins of blocks, the oldest first, then what its own waiting payments have left."""
    view, mempool = node.view, node.mempool
    for at, coin in view.coins.items():
        mature = not coin.coinbase or view.height + 1 - coin.height >= MATURITY
        if coin.script == SCRIPT and mature and at not in mempool.spenders:
            yield at, coin
    for txid, entry in mempool.waiting.items():
        for vout, output in enumerate(entry.transaction.outputs):
            at = (txid, vout)
            if output.script == SCRIPT and at not in mempool.spenders and len(mempool.ancestors([txid])) < FAMILY_MAX:
                yield at, Coin(output.value, output.script, view.height + 1, coinbase=False)


def _signed(taken: list[tuple[Outpoint, Coin]], script: bytes, amount: int, rest: int) -> Transaction:
    outputs = [Output(amount, script)]
    if rest >= rules.dust(Output(rest, SCRIPT)):
        outputs.append(Output(rest, SCRIPT))
    inputs = [Input(txid, vout, b"", _REPLACEABLE) for (txid, vout), _ in taken]
    unsigned = Signable.parse(transactions.write(inputs=inputs, outputs=outputs).raw)
    code = p2pkh_from_p2wpkh(Script(SCRIPT))
    signed = []
    for number, (each, (_, coin)) in enumerate(zip(inputs, taken, strict=True)):
        digest = unsigned.sighash_segwit(number, code, coin.value)
        signature = _KEY.sign(digest).serialize() + b"\x01"
        signed.append(Input(each.txid, each.vout, b"", each.sequence, (signature, _PUBLIC)))
    return transactions.write(inputs=signed, outputs=outputs)
