"""Blocks of our own: regtest asks for a hash that every second try has."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Sequence

from billfold.chains.bitcoin import transactions
from billfold.chains.bitcoin.transactions import Block, Input, Output, Transaction

#: The easiest target there is, which regtest always has.
BITS = 0x207FFFFF
TARGET = 0x7FFFFF << 232
_VERSION = 0x20000000
#: Left for the header and the coinbase.
_ROOM = 8_000
SUBSIDY = 50 * 100_000_000
#: Regtest halves the subsidy as often as this.
HALVING = 150
_WITNESS_MARK = b"\x6a\x24\xaa\x21\xa9\xed"


def subsidy(height: int) -> int:
    """New coins of a block, in satoshi."""
    return SUBSIDY >> min(height // HALVING, 63)


def fitting(candidates: Sequence[Transaction]) -> list[Transaction]:
    """As many from the front as a block has room for."""
    room, taken = transactions.WEIGHT_MAX - _ROOM, list[Transaction]()
    for each in candidates:
        room -= each.weight
        if room < 0:
            break
        taken.append(each)
    return taken


def mined(*, parent: str, height: int, time: int, script: bytes, contents: Sequence[Transaction], fees: int) -> Block:
    """A block that has `contents` and pays what it earns to `script`."""
    coinbase = _coinbase(height, script, subsidy(height) + fees, contents)
    body = (coinbase, *contents)
    root = transactions.merkle_root(each.txid for each in body)
    head = struct.pack("<i32s32sII", _VERSION, _turned(parent), _turned(root), time, BITS)
    nonce = 0
    while int(transactions.hashed(head + struct.pack("<I", nonce)), 16) > TARGET:
        nonce += 1
    raw = head + struct.pack("<I", nonce) + transactions.compact(len(body)) + b"".join(each.raw for each in body)
    return transactions.block(raw)


def _coinbase(height: int, script: bytes, value: int, contents: Sequence[Transaction]) -> Transaction:
    outputs = [Output(value, script)]
    nothing = bytes(32)
    root = transactions.merkle_root([transactions.NO_HASH, *(each.wtxid for each in contents)])
    outputs.append(Output(0, _WITNESS_MARK + bytes.fromhex(transactions.hashed(_turned(root) + nothing))[::-1]))
    # Chance, so that a block in the place of another is never the same.
    unlock = _pushed_number(height) + b"\x08" + secrets.token_bytes(8)
    made = Input(transactions.NO_HASH, 0xFFFFFFFF, unlock, 0xFFFFFFFF, (nothing,))
    return transactions.write(inputs=[made], outputs=outputs)


def _pushed_number(number: int) -> bytes:
    """A number as a script pushes it: small ones have an operation of their own (BIP-34)."""
    if number == 0:
        return b"\x00"
    if number <= 16:  # noqa: PLR2004 - OP_1 to OP_16
        return bytes([0x50 + number])
    # One bit more than it takes, for the sign.
    data = number.to_bytes(number.bit_length() // 8 + 1, "little")
    return bytes([len(data)]) + data


def _turned(shown: str) -> bytes:
    return bytes.fromhex(shown)[::-1]
