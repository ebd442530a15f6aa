"""A fee bump as bytes: read to the last one, and put together again with its signatures.

This reads only what `building` makes, by the XDR of https://github.com/stellar/stellar-xdr (Stellar-transaction.x) and
RFC 4506. Each thing has one form there, and any other is refused, so what was read is all that the bytes say. The SDK
would do the same by making an object of every field, ten times slower than the signature itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from billfold.chains.errors import PayloadRefused
from billfold.chains.port import Network
from billfold.chains.stellar import strkey
from billfold.chains.stellar.networks import PASSPHRASES

#: A hundred operations of the kinds that are known here are shorter.
PAYLOAD_MAX = 32 * 1024
#: Of the protocol.
OPERATIONS_MAX = 100
INT64_MAX = 2**63 - 1
_ENVELOPE_TX, _ENVELOPE_FEE_BUMP = 2, 5
_PRECONDITIONS_TIME = 1
_MUXED = 0x100
_MEMO_TEXT_MAX = 28
_CREATE_ACCOUNT, _PAYMENT, _CHANGE_TRUST, _BUMP_SEQUENCE = 0, 1, 6, 11
_CODE = re.compile(rb"([A-Za-z0-9]{1,12})\x00*")
#: A signature of ed25519 in XDR has its length before it.
_SIGNATURE = (64).to_bytes(4)
_HINT = 4


class Operation(NamedTuple):
    """One thing that the transaction does."""

    #: `pay`, `create` (an account), `trust` (makes a trustline), `bump` (uses the number up).
    kind: str
    #: None is the transaction's own.
    source: str | None
    #: What is paid, and to whom; of a trustline its token.
    address: str | None = None
    amount: int = 0
    token: str | None = None


class FeeBump(NamedTuple):
    """A fee bump that nobody has signed yet, with the bytes that signatures cover."""

    payer: str
    fee: int
    source: str
    memo: str | None
    operations: Sequence[Operation]
    inner: bytes
    head: bytes

    def inner_hash(self, network: Network) -> bytes:
        """What is signed of the transaction within: TransactionSignaturePayload."""
        return _hash(network, _ENVELOPE_TX, self.inner)

    def outer_hash(self, network: Network, signatures: Sequence[bytes]) -> bytes:
        """What is signed of the fee bump, and its id on the chain. It covers the signatures within."""
        return _hash(network, _ENVELOPE_FEE_BUMP, self._body(signatures))

    def signed(self, within: Sequence[bytes], without: Sequence[bytes]) -> bytes:
        """The whole envelope."""
        return _word(_ENVELOPE_FEE_BUMP) + self._body(within) + _listed(without)

    def _body(self, within: Sequence[bytes]) -> bytes:
        return self.head + _word(_ENVELOPE_TX) + self.inner + _listed(within) + _word(0)


def decorated(public: bytes, signature: bytes) -> bytes:
    """A signature with the hint of whose it is."""
    return public[-_HINT:] + _SIGNATURE + signature


def read(payload: bytes) -> FeeBump:
    """The fee bump that these bytes are.

    Raises:
        PayloadRefused: they are anything else.
    """
    if len(payload) > PAYLOAD_MAX:
        raise PayloadRefused("The transaction is larger than any of ours.")
    reader = _Reader(payload)
    reader.expect(_ENVELOPE_FEE_BUMP, "The transaction is no fee bump.")
    payer, fee = reader.account(), reader.signed64()
    if fee <= 0:
        raise PayloadRefused("The fee is not above 0.")
    head = payload[4 : reader.at]
    reader.expect(_ENVELOPE_TX, "The transaction within the fee bump is of a kind that is not known.")
    begins = reader.at
    source, memo, operations = _transaction(reader)
    inner = payload[begins : reader.at]
    signed = "The transaction is signed already."
    reader.expect(0, signed)
    reader.expect(0, "The fee bump has something that is not known.")
    reader.expect(0, signed)
    reader.end()
    return FeeBump(payer, fee, source, memo, operations, inner, head)


def _transaction(reader: _Reader) -> tuple[str, str | None, list[Operation]]:
    source = reader.account()
    reader.expect(0, "The transaction within the fee bump offers a fee of its own.")
    # The sequence number: whoever allocates them has seen to it.
    reader.signed64()
    _bounded(reader)
    memo = _memo(reader)
    count = reader.unsigned32()
    if count > OPERATIONS_MAX:
        raise PayloadRefused("The transaction has more operations than there may be.")
    operations = [_operation(reader) for _ in range(count)]
    reader.expect(0, "The transaction belongs to a contract.")
    return source, memo, operations


def _bounded(reader: _Reader) -> None:
    reader.expect(_PRECONDITIONS_TIME, "The transaction has no end of its time, or conditions beside it.")
    begins, ends = reader.unsigned64(), reader.unsigned64()
    if not ends or begins > ends:
        raise PayloadRefused("The transaction has no end of its time.")


def _memo(reader: _Reader) -> str | None:
    """In the form of `memos`."""
    kind = reader.unsigned32()
    if kind not in _MEMOS:
        raise PayloadRefused("This kind of memo is not known.")
    return _MEMOS[kind](reader)


def _memo_text(reader: _Reader) -> str:
    try:
        return f"text:{reader.opaque(_MEMO_TEXT_MAX).decode()}"
    except UnicodeDecodeError:
        raise PayloadRefused("The memo is no text.") from None


def _operation(reader: _Reader) -> Operation:
    source = reader.account() if reader.flag() else None
    kind = reader.unsigned32()
    if kind not in _OPERATIONS:
        raise PayloadRefused("An operation is none of those that are known.")
    return _OPERATIONS[kind](reader, source)


def _payment(reader: _Reader, source: str | None) -> Operation:
    return Operation("pay", source, reader.account(), token=_asset(reader), amount=reader.signed64())


def _create_account(reader: _Reader, source: str | None) -> Operation:
    return Operation("create", source, reader.public_key(), amount=reader.signed64())


def _change_trust(reader: _Reader, source: str | None) -> Operation:
    token, limit = _asset(reader), reader.signed64()
    # A trustline that takes whatever comes; of lumens there is none.
    if token is None or limit != INT64_MAX:
        raise PayloadRefused("The trustline has a limit, or is one for lumens.")
    return Operation("trust", source, token=token)


def _bump_sequence(reader: _Reader, source: str | None) -> Operation:
    if source is not None or reader.signed64():
        raise PayloadRefused("The transaction changes the number of an account.")
    return Operation("bump", None)


def _asset(reader: _Reader) -> str | None:
    """CODE:ISSUER; None is lumens. A code of up to four letters has the short form alone."""
    kind = reader.unsigned32()
    if kind == 0:
        return None
    if kind not in _CODE_BYTES:
        raise PayloadRefused("This kind of asset is not known.")
    size, least = _CODE_BYTES[kind]
    code = _CODE.fullmatch(reader.take(size))
    if code is None or len(code[1]) < least:
        raise PayloadRefused("The code of an asset is not in its one form.")
    return f"{code[1].decode()}:{reader.public_key()}"


#: By the number of their kind.
_MEMOS: Mapping[int, Callable[[_Reader], str | None]] = {
    0: lambda _: None,
    1: _memo_text,
    2: lambda reader: f"id:{reader.unsigned64()}",
    3: lambda reader: f"hash:{reader.take(32).hex()}",
    4: lambda reader: f"return:{reader.take(32).hex()}",
}
_OPERATIONS: Mapping[int, Callable[[_Reader, str | None], Operation]] = {
    _CREATE_ACCOUNT: _create_account,
    _PAYMENT: _payment,
    _CHANGE_TRUST: _change_trust,
    _BUMP_SEQUENCE: _bump_sequence,
}
#: How many bytes a code takes, and how many of them are letters at least.
_CODE_BYTES: Mapping[int, tuple[int, int]] = {1: (4, 1), 2: (12, 5)}


class _Reader:
    """XDR from its beginning on: big-endian, in fours."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.at = 0

    def take(self, size: int) -> bytes:
        found = self._content[self.at : self.at + size]
        if len(found) != size:
            raise PayloadRefused("The transaction ends too early.")
        self.at += size
        return found

    def unsigned32(self) -> int:
        return int.from_bytes(self.take(4))

    def unsigned64(self) -> int:
        return int.from_bytes(self.take(8))

    def signed64(self) -> int:
        return int.from_bytes(self.take(8), signed=True)

    def flag(self) -> bool:
        found = self.unsigned32()
        if found > 1:
            raise PayloadRefused("The transaction has bytes that mean nothing.")
        return bool(found)

    def opaque(self, longest: int) -> bytes:
        size = self.unsigned32()
        if size > longest:
            raise PayloadRefused("The transaction has bytes that mean nothing.")
        found = self.take(size)
        if any(self.take(-size % 4)):
            raise PayloadRefused("The transaction has bytes that mean nothing.")
        return found

    def account(self) -> str:
        """Of an address with a number in it the number would be lost."""
        kind = self.unsigned32()
        if kind == _MUXED:
            raise PayloadRefused("An address has a number in it, which belongs into the memo.")
        return self._key(kind)

    def public_key(self) -> str:
        return self._key(self.unsigned32())

    def _key(self, kind: int) -> str:
        if kind:
            raise PayloadRefused("This kind of key is not known.")
        return strkey.account(self.take(strkey.KEY_BYTES))

    def expect(self, value: int, otherwise: str) -> None:
        if self.unsigned32() != value:
            raise PayloadRefused(otherwise)

    def end(self) -> None:
        if self.at != len(self._content):
            raise PayloadRefused("The transaction has bytes that mean nothing.")


def _word(value: int) -> bytes:
    return value.to_bytes(4)


def _listed(signatures: Sequence[bytes]) -> bytes:
    return _word(len(signatures)) + b"".join(signatures)


def _hash(network: Network, kind: int, body: bytes) -> bytes:
    return sha256(sha256(PASSPHRASES[network].encode()).digest() + _word(kind) + body).digest()
