"""Transactions and blocks as Bitcoin writes them: bytes to data that can't be changed, and back.

Source of the formats: BIP-144 (transactions with witnesses), BIP-141 (weight), and the developer reference of
bitcoin.org (blocks, compact sizes, the tree of hashes). Hashes are text with the bytes turned round, as all tools show.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence

import msgspec

#: Of a block, by consensus; a transaction is never heavier.
WEIGHT_MAX = 4_000_000
#: Satoshis that can ever be.
MONEY_MAX = 21_000_000 * 100_000_000
HEADER_BYTES = 80
_HASH_BYTES = 32
NO_HASH = "00" * _HASH_BYTES
_COINBASE_VOUT = 0xFFFFFFFF


class Malformed(ValueError):
    """These bytes are no transaction or block."""


class Input(msgspec.Struct, frozen=True):
    """What a transaction spends."""

    txid: str
    vout: int
    script: bytes = b""
    sequence: int = 0xFFFFFFFF
    witness: tuple[bytes, ...] = ()

    @property
    def coin(self) -> tuple[str, int]:
        """The output that it spends."""
        return self.txid, self.vout


class Output(msgspec.Struct, frozen=True):
    """What a transaction pays, in satoshi."""

    value: int
    script: bytes


class Transaction(msgspec.Struct, frozen=True):
    """A transaction with what follows from its bytes."""

    version: int
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    locktime: int
    raw: bytes
    txid: str
    wtxid: str
    weight: int

    @property
    def vsize(self) -> int:
        """Virtual bytes, by which fees are reckoned (BIP-141)."""
        return (self.weight + 3) // 4

    @property
    def coinbase(self) -> bool:
        """Whether it makes new coins."""
        return len(self.inputs) == 1 and self.inputs[0].coin == (NO_HASH, _COINBASE_VOUT)


class Block(msgspec.Struct, frozen=True):
    """A block."""

    hash: str
    version: int
    parent: str
    merkle_root: str
    time: int
    bits: int
    nonce: int
    transactions: tuple[Transaction, ...]
    raw: bytes


def transaction(raw: bytes) -> Transaction:
    """Read one transaction, to the last byte.

    Raises:
        Malformed.
    """
    reader = _Reader(raw)
    found = _transaction(reader)
    reader.end()
    return found


def block(raw: bytes) -> Block:
    """Read one block, to the last byte, and check that its header stands for its transactions.

    Raises:
        Malformed.
    """
    reader = _Reader(raw)
    header = reader.take(HEADER_BYTES)
    version, parent, root, time, bits, nonce = struct.unpack("<i32s32sIII", header)
    transactions = tuple(_transaction(reader) for _ in range(reader.count(least=60)))
    reader.end()
    if not transactions or merkle_root([each.txid for each in transactions]) != root[::-1].hex():
        raise Malformed("the header does not stand for these transactions")
    return Block(
        hash=hashed(header),
        version=version,
        parent=parent[::-1].hex(),
        merkle_root=root[::-1].hex(),
        time=time,
        bits=bits,
        nonce=nonce,
        transactions=transactions,
        raw=raw,
    )


def write(
    *,
    inputs: Sequence[Input],
    outputs: Sequence[Output],
    version: int = 2,
    locktime: int = 0,
) -> Transaction:
    """The transaction of these parts."""
    head, tail = struct.pack("<i", version), struct.pack("<I", locktime)
    body = compact(len(inputs)) + b"".join(
        bytes.fromhex(each.txid)[::-1]
        + struct.pack("<I", each.vout)
        + sized(each.script)
        + struct.pack("<I", each.sequence)
        for each in inputs
    )
    body += compact(len(outputs)) + b"".join(struct.pack("<q", each.value) + sized(each.script) for each in outputs)
    if not any(each.witness for each in inputs):
        return transaction(head + body + tail)
    witnesses = b"".join(compact(len(each.witness)) + b"".join(map(sized, each.witness)) for each in inputs)
    return transaction(head + b"\x00\x01" + body + witnesses + tail)


def bare(found: Transaction) -> Transaction:
    """The transaction without its witnesses, which are no part of its id."""
    inputs = [Input(each.txid, each.vout, each.script, each.sequence) for each in found.inputs]
    return write(inputs=inputs, outputs=found.outputs, version=found.version, locktime=found.locktime)


def hashed(data: bytes) -> str:
    """Bitcoin's hash as it is shown: SHA-256 twice, bytes turned round."""
    return _twice(data)[::-1].hex()


def merkle_root(hashes: Iterable[str]) -> str:
    """The root of the tree of hashes, an odd one paired with itself."""
    level = [bytes.fromhex(each)[::-1] for each in hashes]
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [_twice(left + right) for left, right in zip(level[::2], level[1::2], strict=True)]
    return level[0][::-1].hex()


def compact(number: int) -> bytes:
    """A length, in one to nine bytes."""
    if number < 0xFD:  # noqa: PLR2004 - the format's own marks
        return bytes([number])
    if number <= 0xFFFF:  # noqa: PLR2004
        return b"\xfd" + struct.pack("<H", number)
    if number <= 0xFFFFFFFF:  # noqa: PLR2004
        return b"\xfe" + struct.pack("<I", number)
    return b"\xff" + struct.pack("<Q", number)


def sized(data: bytes) -> bytes:
    """Bytes behind their length."""
    return compact(len(data)) + data


class _Reader:
    """Takes bytes from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self._data):
            raise Malformed("it ends too soon")
        taken = self._data[self.at : end]
        self.at = end
        return taken

    def number(self, form: str) -> int:
        value: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value

    def size(self) -> int:
        first = self.number("<B")
        if first < 0xFD:  # noqa: PLR2004 - the format's own marks
            return first
        form, least = {0xFD: ("<H", 0xFD), 0xFE: ("<I", 0x10000), 0xFF: ("<Q", 0x100000000)}[first]
        value = self.number(form)
        if value < least:
            raise Malformed("a length is written in more bytes than it takes")
        return value

    def count(self, *, least: int) -> int:
        """How many things follow, of at least so many bytes each: nobody makes us prepare for more than there is."""
        value = self.size()
        if value * least > len(self._data) - self.at:
            raise Malformed("it ends too soon")
        return value

    def sized(self) -> bytes:
        return self.take(self.size())

    def hash(self) -> str:
        return self.take(_HASH_BYTES)[::-1].hex()

    def peek(self, count: int) -> bytes:
        return self._data[self.at : self.at + count]

    def since(self, start: int) -> bytes:
        return self._data[start : self.at]

    def end(self) -> None:
        if self.at != len(self._data):
            raise Malformed("there is more than belongs to it")


def _transaction(reader: _Reader) -> Transaction:
    start = reader.at
    version = reader.number("<i")
    segwit = reader.peek(2) == b"\x00\x01"
    if segwit:
        reader.take(2)
    body = reader.at
    inputs = [
        Input(reader.hash(), reader.number("<I"), reader.sized(), reader.number("<I"))
        for _ in range(reader.count(least=41))
    ]
    outputs = [Output(reader.number("<q"), reader.sized()) for _ in range(reader.count(least=9))]
    stripped = reader.since(body)
    if segwit:
        inputs = [_with_witness(each, reader) for each in inputs]
        if not any(each.witness for each in inputs):
            raise Malformed("it says that it has witnesses, and has none")
    locktime = reader.number("<I")
    raw = reader.since(start)
    plain = struct.pack("<i", version) + stripped + struct.pack("<I", locktime)
    return Transaction(
        version=version,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        locktime=locktime,
        raw=raw,
        txid=hashed(plain),
        wtxid=hashed(raw),
        weight=3 * len(plain) + len(raw),
    )


def _with_witness(bare: Input, reader: _Reader) -> Input:
    witness = tuple(reader.sized() for _ in range(reader.count(least=1)))
    return Input(bare.txid, bare.vout, bare.script, bare.sequence, witness)


def _twice(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()
