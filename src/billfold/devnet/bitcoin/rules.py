"""What a transaction must be to wait for a block here.

The consensus rules are checked because only what could be mined may wait (scripts and signatures by the kernel). The
rest is a small policy of ours, with the numbers and the words that Bitcoin Core uses; it is not Bitcoin Core's.
"""

from __future__ import annotations

from collections.abc import Sequence

from billfold.chains.bitcoin import addresses, transactions
from billfold.chains.bitcoin.transactions import Output, Transaction
from billfold.devnet.bitcoin.view import MATURITY, Coin, View

#: Satoshi for 1,000 virtual bytes, to be passed on at all, and by how much a replacement pays more.
RELAY_FEE = 1_000
INCREMENT = 1_000
#: What dust is reckoned by: an output that costs more than a third of its value to be spent at this rate.
DUST_FEE = 3_000
#: A tenth of what a block has; transactions beyond are not passed on.
WEIGHT_MAX = 400_000
#: The least that is passed on, so that no transaction can be taken for a node of the tree of hashes.
PLAIN_BYTES_MIN = 65
SCRIPT_SIG_MAX = 1_650
DATA_MAX = 83
VERSIONS = range(1, 4)
_LOCKTIME_IS_TIME = 500_000_000
_FINAL = 0xFFFFFFFF
_NO_RELATIVE_LOCK = 1 << 31
_RELATIVE_TIME = 1 << 22
_RELATIVE_UNIT_S = 512
_RELATIVE_MASK = 0xFFFF


class Rejected(Exception):
    """It may not wait here; the word is Bitcoin Core's."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}, {detail}" if detail else reason)


def fee_for(rate: int, vsize: int) -> int:
    """Satoshi at a rate for 1,000 virtual bytes, rounded up."""
    return -(-rate * vsize // 1_000)


def check_form(transaction: Transaction) -> None:
    """Pass if it is right by itself.

    Raises: Rejected.
    """
    if transaction.coinbase:
        raise Rejected("coinbase")
    if not transaction.inputs or not transaction.outputs:
        raise Rejected("bad-txns-vin-empty" if not transaction.inputs else "bad-txns-vout-empty")
    if any(each.value < 0 for each in transaction.outputs):
        raise Rejected("bad-txns-vout-negative")
    if sum(each.value for each in transaction.outputs) > transactions.MONEY_MAX:
        raise Rejected("bad-txns-txouttotal-toolarge")
    if len({each.coin for each in transaction.inputs}) != len(transaction.inputs):
        raise Rejected("bad-txns-inputs-duplicate")
    if any(each.txid == transactions.NO_HASH for each in transaction.inputs):
        raise Rejected("bad-txns-prevout-null")


def check_standard(transaction: Transaction) -> None:
    """Pass if it is of a kind that is passed on.

    Raises: Rejected.
    """
    if transaction.version not in VERSIONS:
        raise Rejected("version")
    if transaction.weight > WEIGHT_MAX:
        raise Rejected("tx-size")
    if (transaction.weight - len(transaction.raw)) // 3 < PLAIN_BYTES_MIN:
        raise Rejected("tx-size-small")
    for each in transaction.inputs:
        if len(each.script) > SCRIPT_SIG_MAX:
            raise Rejected("scriptsig-size")
    if sum(output.script[:1] == b"\x6a" for output in transaction.outputs) > 1:
        raise Rejected("multi-op-return")
    for output in transaction.outputs:
        _check_output(output)


def dust(output: Output) -> int:
    """The least value of an output with this script, in satoshi."""
    if output.script[:1] == b"\x6a":
        return 0
    # Spending it takes an input of 41 bytes with a signature and a key, which count a quarter with a witness.
    spending = 32 + 4 + 1 + 4 + (107 // 4 if _is_witness(output.script) else 107)
    size = 8 + len(transactions.sized(output.script)) + spending
    return DUST_FEE * size // 1_000


def check_time(transaction: Transaction, spent: Sequence[Coin], view: View) -> None:
    """Pass if the next block could have it: time locks and new coins.

    Raises: Rejected.
    """
    next_height, now = view.height + 1, view.median_time()
    for coin in spent:
        if coin.coinbase and next_height - coin.height < MATURITY:
            depth = next_height - coin.height
            raise Rejected("bad-txns-premature-spend-of-coinbase", f"tried to spend coinbase at depth {depth}")
    if transaction.locktime and any(each.sequence != _FINAL for each in transaction.inputs):
        limit = next_height if transaction.locktime < _LOCKTIME_IS_TIME else now
        if transaction.locktime >= limit:
            raise Rejected("non-final")
    if transaction.version >= 2:  # noqa: PLR2004 - relative locks came with version 2 (BIP-68)
        for each, coin in zip(transaction.inputs, spent, strict=True):
            if not _relative_lock_over(each.sequence, coin.height, next_height, now, view):
                raise Rejected("non-BIP68-final")


def _relative_lock_over(sequence: int, height: int, next_height: int, now: int, view: View) -> bool:
    if sequence & _NO_RELATIVE_LOCK:
        return True
    wait = sequence & _RELATIVE_MASK
    if not sequence & _RELATIVE_TIME:
        return next_height >= height + wait
    since = view.median_time(max(0, min(height, next_height) - 1))
    return now >= since + wait * _RELATIVE_UNIT_S


def _check_output(output: Output) -> None:
    if output.script[:1] == b"\x6a":
        if len(output.script) > DATA_MAX:
            raise Rejected("datacarrier")
        return
    if addresses.address_of(output.script, "sandbox") is None:
        raise Rejected("scriptpubkey")
    if output.value < dust(output):
        raise Rejected("dust")


def _is_witness(script: bytes) -> bool:
    return script[:2] in {b"\x00\x14", b"\x00\x20", b"\x51\x20"}
