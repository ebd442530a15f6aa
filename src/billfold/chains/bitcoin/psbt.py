"""The unsigned form of our transactions: a PSBT (BIP-174) with the coins that are spent, where they come from, no more.

A signature of version 0 says what its own input is worth and nothing of the others. Whoever may ask for signatures
could have two PSBTs signed, with a false amount of another input in each, and put the signatures together: the fee
would be more than was ever shown. So each input brings the transaction that made its coin, whose hash proves it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import msgspec
from embit.psbt import PSBT

from billfold.chains import errors
from billfold.chains.bitcoin import transactions
from billfold.chains.bitcoin.transactions import Input, Malformed, Output, Transaction

MAGIC = b"psbt\xff"
_UNSIGNED_TX, _PARENT, _WITNESS_UTXO, _END = b"\x00", b"\x00", b"\x01", b"\x00"
_INPUT_KEY, _OUTPUT_KEY = b"\x06", b"\x02"
#: The version that all wallets write, and the sequence that says that a transaction may be replaced (BIP-125).
VERSION = 2
SEQUENCE = 0xFFFFFFFD
#: As much as the signer takes. A coin brings some hundred bytes, one of an exchange's payments to many up to 100,000:
#: that is as much as nodes pass on, without witnesses. A hundred such coins can be merged, each with its own copy.
BYTES_MAX = 12_000_000


class Spending(msgspec.Struct, frozen=True):
    """An unsigned transaction, and the transactions that its inputs spend from, without their witnesses."""

    transaction: Transaction
    parents: tuple[Transaction, ...]

    @property
    def spent(self) -> list[Output]:
        """What each input spends."""
        inputs = zip(self.transaction.inputs, self.parents, strict=True)
        return [parent.outputs[each.vout] for each, parent in inputs]

    @property
    def fee(self) -> int:
        """What is left for whoever mines it, in satoshi."""
        return sum(each.value for each in self.spent) - sum(each.value for each in self.transaction.outputs)


def made(inputs: Sequence[tuple[Input, Transaction]], outputs: Sequence[Output]) -> Spending:
    """A transaction of inputs, each with the transaction that it spends from, and outputs."""
    unsigned = transactions.write(inputs=[each for each, _ in inputs], outputs=outputs, version=VERSION)
    return Spending(unsigned, tuple(transactions.bare(parent) for _, parent in inputs))


class Origin(msgspec.Struct, frozen=True):
    """Where a key comes from: the fingerprint of its master key, and the steps from there."""

    public: bytes
    fingerprint: bytes
    steps: tuple[int, ...]


def written(spending: Spending, origins: Mapping[bytes, Origin] | None = None) -> bytes:
    """The PSBT; `origins` are those of keys by the scripts that they unlock, for who signs elsewhere."""
    known = origins or {}
    parts = [MAGIC, _pair(_UNSIGNED_TX, spending.transaction.raw), _END]
    for parent, each in zip(spending.parents, spending.spent, strict=True):
        utxo = struct.pack("<q", each.value) + transactions.sized(each.script)
        parts += [_pair(_PARENT, parent.raw), _pair(_WITNESS_UTXO, utxo), _origin(_INPUT_KEY, known, each), _END]
    for each in spending.transaction.outputs:
        parts += [_origin(_OUTPUT_KEY, known, each), _END]
    return b"".join(parts)


def read(payload: bytes) -> Spending:
    """What a PSBT spends and pays. Whatever is in it beside that is not understood.

    Raises:
        PayloadRefused.
    """
    if len(payload) > BYTES_MAX:
        raise errors.PayloadRefused(f"The transaction has more than {BYTES_MAX} bytes.")
    try:
        parsed = PSBT.parse(payload)
        parents = tuple(transactions.transaction(each.non_witness_utxo.serialize()) for each in parsed.inputs)
        spending = Spending(transactions.transaction(parsed.tx.serialize()), parents)
        again = written(spending)
    except Malformed as error:
        raise errors.PayloadRefused(f"The transaction can't be read: {error}.") from error
    except Exception as error:
        # embit raises whatever it stumbles over.
        raise errors.PayloadRefused("This is no PSBT that says of each input where its coin comes from.") from error
    if again != payload:
        raise errors.PayloadRefused("The PSBT says something else, or more, than a transaction and what it spends.")
    for each, parent in zip(spending.transaction.inputs, parents, strict=True):
        if each.txid != parent.txid:
            raise errors.PayloadRefused("An input brings another transaction than it spends from.")
    return spending


def _origin(key: bytes, known: Mapping[bytes, Origin], output: Output) -> bytes:
    origin = known.get(output.script)
    if origin is None:
        return b""
    steps = b"".join(struct.pack("<I", step) for step in origin.steps)
    return _pair(key + origin.public, origin.fingerprint + steps)


def _pair(key: bytes, value: bytes) -> bytes:
    return transactions.sized(key) + transactions.sized(value)
