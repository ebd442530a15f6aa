"""What a sweep of tokens looks like, made and read: whose they are signs, and who gets them pays the fee.

As with `orders`, what is read is made again and must come out the same, byte for byte. A version-0 message of two
signers, first the payer and then the owner, without address tables: limit and price of computing; where it is not there
yet, `create idempotent` of the payer's own associated account; and `transfer checked` from the owner's to that. So the
payer gives nothing but the fee and the rent of an account of its own, and the owner nothing to anybody else.
"""

from __future__ import annotations

import msgspec
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.message import MessageV0, from_bytes_versioned, to_bytes_versioned
from solders.pubkey import Pubkey

from billfold.chains.errors import PayloadRefused, PaymentInvalid
from billfold.chains.solana import orders

#: The payer and the owner.
_SIGNERS = 2
#: The first byte of a message of version 0; the next one counts its signers.
_VERSION = 0x80


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of `owner` that go to `payer`. `decimals` are the token's."""

    payer: str
    owner: str
    token: str
    amount: int
    decimals: int
    #: Whether the payer's account for the token may have to be opened.
    opens: bool
    blockhash: str
    units: int
    micro_lamports: int

    @property
    def fee(self) -> int:
        """What it costs in lamports, whether it succeeds or not."""
        return fee(units=self.units, micro_lamports=self.micro_lamports)

    @property
    def fee_max(self) -> int:
        """What it costs with the rent of the account, if that has to be opened."""
        return self.fee + orders.TOKEN_ACCOUNT_RENT * self.opens


def fee(*, units: int, micro_lamports: int) -> int:
    """What a sweep costs in lamports that may compute so much at this price."""
    return _SIGNERS * orders.SIGNATURE_FEE + -(-units * micro_lamports // orders.MICRO)


def units(*, opens: bool) -> int:
    """What a sweep may compute."""
    return orders.UNITS_BASE + orders.UNITS_TOKEN + orders.UNITS_OPEN * opens


def is_sweep(payload: bytes) -> bool:
    """Whether it may be one, by how many sign it; `read` has the last word."""
    return payload[:2] == bytes([_VERSION, _SIGNERS])


def message(sweep: Sweep) -> bytes:
    """The message that is signed.

    Raises:
        PaymentInvalid: it moves nothing, or more than can be written, or to whom it is already.
    """
    if not 0 < sweep.amount <= orders.AMOUNT_MAX or sweep.owner == sweep.payer:
        raise PaymentInvalid("A sweep of Solana moves from one unit up to 2^64 - 1, from one owner to another.")
    payer, owner = Pubkey.from_string(sweep.payer), Pubkey.from_string(sweep.owner)
    instructions = [
        set_compute_unit_limit(sweep.units),
        set_compute_unit_price(sweep.micro_lamports),
        *([orders.opening(payer, payer, mint=sweep.token)] if sweep.opens else []),
        orders.moving(owner, payer, mint=sweep.token, amount=sweep.amount, decimals=sweep.decimals),
    ]
    return to_bytes_versioned(MessageV0.try_compile(payer, instructions, [], Hash.from_string(sweep.blockhash)))


def read(payload: bytes) -> Sweep:
    """The sweep of a message.

    Raises:
        PayloadRefused: it is not exactly one that `message` makes.
    """
    return orders.exactly(payload, _sweep, message)


def _sweep(payload: bytes) -> Sweep:
    """What a message seems to move; whether it does and nothing else is for the caller to see."""
    given = from_bytes_versioned(payload)
    if not isinstance(given, MessageV0) or given.address_table_lookups:
        raise PayloadRefused("The message is none of version 0, or takes addresses from a table.")
    keys = given.account_keys
    limit, price, *opening, moving = given.instructions
    orders.want(limit, keys, orders.COMPUTE, orders.LIMIT)
    orders.want(price, keys, orders.COMPUTE, orders.PRICE)
    orders.want(moving, keys, orders.TOKEN, orders.TRANSFER_CHECKED)
    return Sweep(
        payer=str(keys[0]),
        owner=str(keys[1]),
        token=str(keys[moving.accounts[1]]),
        amount=int.from_bytes(moving.data[1:9], "little"),
        decimals=moving.data[9],
        opens=bool(opening),
        blockhash=str(given.recent_blockhash),
        units=int.from_bytes(limit.data[1:], "little"),
        micro_lamports=int.from_bytes(price.data[1:], "little"),
    )
