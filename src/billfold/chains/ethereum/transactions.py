"""Transactions of type 2 as bytes (EIP-1559 in the envelope of EIP-2718), and the one call of ERC-20 that pays.

Everything is read to the last byte: what has two forms, or more in it than is understood, is refused.
"""

from __future__ import annotations

from typing import Any

import msgspec
import rlp  # type: ignore[import-untyped]  # it has no types
from eth_utils import crypto

from billfold.chains.ethereum import addresses

#: By network; the first is what Billfold's own local chain has, the second is geth's in its development mode.
CHAIN_IDS = {"main": (1,), "test": (11155111, 560048, 17000), "sandbox": (31337, 1337)}
#: keccak256("transfer(address,uint256)") begins so.
_TRANSFER = bytes.fromhex("a9059cbb")
_TYPE = b"\x02"
_FIELDS = 9
_SIGNED_FIELDS = 12
_WORD = 32
#: A payment has a hundred and some bytes; longer ones are none.
PAYLOAD_MAX = 1_000


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction of type 2 without an access list, to an address."""

    chain_id: int
    nonce: int
    max_priority_fee_per_gas: int
    max_fee_per_gas: int
    gas: int
    to: str
    value: int
    data: bytes

    @property
    def fee_max(self) -> int:
        """The most that it can cost."""
        return self.gas * self.max_fee_per_gas


def transfer(to: str, amount: int) -> bytes:
    """The data that has a token pay somebody (https://eips.ethereum.org/EIPS/eip-20)."""
    return _TRANSFER + bytes(_WORD - addresses.BYTES) + addresses.raw(to) + amount.to_bytes(_WORD, "big")


def transferred(data: bytes) -> tuple[str, int] | None:
    """Whom `transfer` pays how much, if the data is just that."""
    if len(data) != len(_TRANSFER) + 2 * _WORD or not data.startswith(_TRANSFER):
        return None
    to, amount = data[len(_TRANSFER) :][:_WORD], data[-_WORD:]
    if any(to[: -addresses.BYTES]):
        return None
    return addresses.checksummed(to[-addresses.BYTES :]), int.from_bytes(amount, "big")


def encode(call: Call) -> bytes:
    """What is signed."""
    return _TYPE + bytes(rlp.encode(_fields(call)))


def encode_signed(call: Call, *, parity: int, r: int, s: int) -> bytes:
    """What is sent."""
    return _TYPE + bytes(rlp.encode([*_fields(call), _number(parity), _number(r), _number(s)]))


def decode(payload: bytes) -> Call:
    """Read what `encode` made.

    Raises:
        ValueError: it says what is not understood.
    """
    call, rest = _decoded(payload, _FIELDS)
    assert not rest, "there are as many fields as asked for"
    return call


def decode_signed(payload: bytes) -> Call:
    """Read what `encode_signed` made.

    Raises:
        ValueError: it says what is not understood.
    """
    return _decoded(payload, _SIGNED_FIELDS)[0]


def decode_signature(payload: bytes) -> tuple[Call, int, int, int]:
    """The same with the signature: parity, r and s.

    Raises:
        ValueError: it says what is not understood.
    """
    call, (parity, r, s) = _decoded(payload, _SIGNED_FIELDS)
    return call, _whole(parity), _whole(r), _whole(s)


def hash_of(payload: bytes) -> str:
    """What a transaction is known by."""
    return "0x" + crypto.keccak(payload).hex()


def _decoded(payload: bytes, count: int) -> tuple[Call, list[Any]]:
    if len(payload) > PAYLOAD_MAX or not payload.startswith(_TYPE):
        raise ValueError("it is no transaction of type 2 of a payment's size")
    try:
        fields = rlp.decode(payload[1:], strict=True)
    except rlp.exceptions.RLPException:
        raise ValueError("it is not RLP to the last byte") from None
    if not isinstance(fields, list) or len(fields) != count:
        raise ValueError(f"it has not {count} fields")
    *numbers, to, value, data, access = fields[:_FIELDS]
    if access != [] or not all(isinstance(each, bytes) for each in (*numbers, to, value, data, *fields[_FIELDS:])):
        raise ValueError("it has an access list, or lists for numbers")
    if len(to) != addresses.BYTES:
        raise ValueError("it pays nobody: it makes a contract, or its destination is cut")
    chain_id, nonce, priority, fee, gas = map(_whole, numbers)
    call = Call(
        chain_id=chain_id,
        nonce=nonce,
        max_priority_fee_per_gas=priority,
        max_fee_per_gas=fee,
        gas=gas,
        to=addresses.checksummed(to),
        value=_whole(value),
        data=data,
    )
    return call, fields[_FIELDS:]


def _fields(call: Call) -> list[Any]:
    numbers = (call.chain_id, call.nonce, call.max_priority_fee_per_gas, call.max_fee_per_gas, call.gas)
    return [*map(_number, numbers), addresses.raw(call.to), _number(call.value), call.data, []]


def _number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _whole(data: bytes) -> int:
    if len(data) > _WORD or data.startswith(b"\0"):
        raise ValueError("it has a number that is too long or begins with nought")
    return int.from_bytes(data, "big")
