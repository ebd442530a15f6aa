"""The unsigned form of our transactions: a PSBT (BIP-174) with the coins that are spent, and nothing else."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec
from embit.psbt import PSBT

from billfold.chains import errors
from billfold.chains.bitcoin import transactions
from billfold.chains.bitcoin.transactions import Input, Malformed, Output, Transaction

_MAGIC = b"psbt\xff"
_UNSIGNED_TX, _WITNESS_UTXO, _END = b"\x00", b"\x01", b"\x00"
#: The version that all wallets write, and the sequence that says that a transaction may be replaced (BIP-125).
VERSION = 2
SEQUENCE = 0xFFFFFFFD
#: Such a transaction with as many coins as `selecting` takes and as many outputs is smaller.
BYTES_MAX = 1_000_000


class Spending(msgspec.Struct, frozen=True):
    """An unsigned transaction, and what each of its inputs spends."""

    transaction: Transaction
    spent: tuple[Output, ...]

    @property
    def fee(self) -> int:
        """What is left for whoever mines it, in satoshi."""
        return sum(each.value for each in self.spent) - sum(each.value for each in self.transaction.outputs)


def written(spending: Spending) -> bytes:
    """The PSBT."""
    parts = [_MAGIC, _pair(_UNSIGNED_TX, spending.transaction.raw), _END]
    for each in spending.spent:
        parts += [_pair(_WITNESS_UTXO, struct.pack("<q", each.value) + transactions.sized(each.script)), _END]
    return b"".join([*parts, _END * len(spending.transaction.outputs)])


def read(payload: bytes) -> Spending:
    """What a PSBT spends and pays. Whatever is in it beside that is not understood.

    Raises:
        PayloadRefused.
    """
    if len(payload) > BYTES_MAX:
        raise errors.PayloadRefused(f"The transaction has more than {BYTES_MAX} bytes.")
    try:
        parsed = PSBT.parse(payload)
        spent = tuple(Output(each.witness_utxo.value, each.witness_utxo.script_pubkey.data) for each in parsed.inputs)
        spending = Spending(transactions.transaction(parsed.tx.serialize()), spent)
    except Malformed as error:
        raise errors.PayloadRefused(f"The transaction can't be read: {error}.") from error
    except Exception as error:
        # embit raises whatever it stumbles over.
        raise errors.PayloadRefused("This is no PSBT that says of each input what it spends.") from error
    if written(spending) != payload:
        raise errors.PayloadRefused("The PSBT has more in it than a transaction and the coins that it spends.")
    return spending


def made(inputs: Sequence[tuple[Input, Output]], outputs: Sequence[Output]) -> Spending:
    """A transaction of these parts."""
    unsigned = transactions.write(inputs=[each for each, _ in inputs], outputs=outputs)
    return Spending(unsigned, tuple(spent for _, spent in inputs))


def _pair(key: bytes, value: bytes) -> bytes:
    return transactions.sized(key) + transactions.sized(value)
