"""Envelopes as they are handed in: read to the last byte, plain or with a fee bump around."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from stellar_sdk import DecoratedSignature, FeeBumpTransactionEnvelope, Transaction, TransactionEnvelope
from stellar_sdk.exceptions import SdkError
from stellar_sdk.operation import Operation
from xdrlib3 import Error as XdrError

#: Of the protocol.
OPERATIONS_MAX = 100
SIGNATURES_MAX = 20
#: Horizon's own limit is larger; nothing that this ledger knows comes near.
ENVELOPE_BYTES_MAX = 64 * 1024


class Malformed(Exception):
    """It is no envelope."""


@dataclass(frozen=True)
class Envelope:
    """What is handed in."""

    raw: bytes
    hash: bytes
    transaction: Transaction
    signatures: tuple[DecoratedSignature, ...]
    #: Of one with a fee bump: the inner transaction's hash, the signatures of who pays, and their account.
    inner_hash: bytes | None
    fee_signatures: tuple[DecoratedSignature, ...]
    fee_account: str
    #: The most that may be charged.
    fee: int

    @property
    def source(self) -> str:
        """Whose sequence number it uses up."""
        return self.transaction.source.account_id

    @property
    def operations(self) -> list[Operation]:
        return self.transaction.operations

    @property
    def signed(self) -> bytes:
        """The hash that the signatures of the inner transaction are over."""
        return self.inner_hash or self.hash

    @property
    def charged_operations(self) -> int:
        """A fee bump counts as one more."""
        return len(self.operations) + (self.inner_hash is not None)

    def text(self) -> str:
        """As Horizon shows it."""
        return base64.b64encode(self.raw).decode()


def read(text: str, *, passphrase: str) -> Envelope:
    """The envelope of a text.

    Raises:
        Malformed: it is none, or there is more than it.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed from None
    if len(raw) > ENVELOPE_BYTES_MAX:
        raise Malformed
    try:
        found = _read(raw, text, passphrase)
    except (ValueError, KeyError, TypeError, EOFError, NotImplementedError, AssertionError, SdkError, XdrError):
        # Whatever the SDK stumbles over was no envelope.
        raise Malformed from None
    if max(len(found.signatures), len(found.fee_signatures)) > SIGNATURES_MAX:
        raise Malformed
    return found


def _read(raw: bytes, text: str, passphrase: str) -> Envelope:
    if FeeBumpTransactionEnvelope.is_fee_bump_transaction_envelope(text):
        outer = FeeBumpTransactionEnvelope.from_xdr(text, passphrase)
        if outer.to_xdr_object().to_xdr_bytes() != raw:
            raise Malformed
        inner = outer.transaction.inner_transaction_envelope
        return Envelope(
            raw=raw,
            hash=outer.hash(),
            transaction=inner.transaction,
            signatures=tuple(inner.signatures),
            inner_hash=inner.hash(),
            fee_signatures=tuple(outer.signatures),
            fee_account=outer.transaction.fee_source.account_id,
            fee=outer.transaction.fee,
        )
    plain = TransactionEnvelope.from_xdr(text, passphrase)
    if plain.to_xdr_object().to_xdr_bytes() != raw:
        raise Malformed
    return Envelope(
        raw=raw,
        hash=plain.hash(),
        transaction=plain.transaction,
        signatures=tuple(plain.signatures),
        inner_hash=None,
        fee_signatures=(),
        fee_account=plain.transaction.source.account_id,
        fee=plain.transaction.fee,
    )
