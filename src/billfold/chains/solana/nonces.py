"""Accounts of the house that keep a durable nonce: where they are, what is in them, and what opens one.

A transaction with such a nonce in the place of a recent block can happen until the nonce goes on, which it does with
the first one that has it, also where that fails. The account follows from the address whose it is, so nothing but that
has to be known, and its key alone opens it: the rent is put there, the room is taken, and the nonce begins.

As with `orders`, what is read is made again and must come out the same, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import MessageV0, from_bytes_versioned, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import (
    AllocateWithSeedParams,
    InitializeNonceAccountParams,
    TransferParams,
    allocate_with_seed,
    initialize_nonce_account,
    transfer,
)

from billfold.chains.errors import PayloadRefused, PaymentInvalid
from billfold.chains.port import Payment
from billfold.chains.solana import orders
from billfold.chains.solana.records import Account

#: An address has no more of them: whoever signs by hand has not so many papers in hand.
COUNT_MAX = 16
#: So many are opened by one transaction; a fifth would still fit its packet.
AT_ONCE = 4
#: Layout of the account: version, state, authority, nonce, fee (solana-nonce).
_BYTES = 80
_INITIALIZED = (1).to_bytes(4, "little") * 2
_AUTHORITY, _VALUE = slice(8, 40), slice(40, 72)
#: What stays in the account as long as there is one, as `orders` has it of others.
RENT = 3_480 * 2 * (128 + _BYTES)
#: Paying the rent, taking the room, and beginning the nonce.
_STEPS = 3
_UNITS_STEP = 1_000


class Nonce(msgspec.Struct, frozen=True):
    """Who may use it, and what it is now."""

    authority: str
    value: str


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction that opens some, by their places."""

    payer: str
    places: Sequence[int]
    blockhash: str
    units: int
    micro_lamports: int

    @property
    def fee(self) -> int:
        """What it costs in lamports, whether it succeeds or not."""
        return orders.SIGNATURE_FEE + -(-self.units * self.micro_lamports // orders.MICRO)

    @property
    def fee_max(self) -> int:
        """What it costs with the rent."""
        return self.fee + RENT * len(self.places)


def account(source: str, place: int) -> str:
    """The account at a place of an address."""
    return str(_account(Pubkey.from_string(source), place))


def accounts(source: str, *, count: int = COUNT_MAX) -> Sequence[str]:
    """The first of an address."""
    return [account(source, place) for place in range(min(count, COUNT_MAX))]


def nonce(found: Account | None) -> Nonce | None:
    """What is in an account; None where no nonce is."""
    if found is None or found.owner != str(orders.SYSTEM) or len(found.data) != _BYTES:
        return None
    if not found.data.startswith(_INITIALIZED):
        return None
    authority, value = Pubkey.from_bytes(found.data[_AUTHORITY]), Hash.from_bytes(found.data[_VALUE])
    return Nonce(str(authority), str(value))


def opens(payments: Sequence[Payment]) -> bool:
    """Whether these open accounts: nobody else is paid nothing."""
    return bool(payments) and all(payment.amount == 0 and payment.token is None for payment in payments)


def opening(payments: Sequence[Payment], *, payer: str, blockhash: str, micro_lamports: int) -> Opening:
    """What opens the accounts that these payments name.

    Raises:
        PaymentInvalid: one is none of the payer's, or they are too many.
    """
    known = list(accounts(payer))
    if len(payments) > AT_ONCE or any(payment.address not in known for payment in payments):
        raise PaymentInvalid(f"One transaction of Solana opens up to {AT_ONCE} accounts of its payer for nonces.")
    return Opening(
        payer=payer,
        places=tuple(known.index(payment.address) for payment in payments),
        blockhash=blockhash,
        units=units(len(payments)),
        micro_lamports=micro_lamports,
    )


def units(count: int) -> int:
    """What opening so many may compute."""
    return orders.UNITS_BASE + _STEPS * _UNITS_STEP * count


def message(given: Opening) -> bytes:
    """The message that is signed."""
    payer = Pubkey.from_string(given.payer)
    instructions = [set_compute_unit_limit(given.units), set_compute_unit_price(given.micro_lamports)]
    for place in given.places:
        instructions += _steps(payer, place)
    return to_bytes_versioned(MessageV0.try_compile(payer, instructions, [], Hash.from_string(given.blockhash)))


def read(payload: bytes) -> Opening:
    """What a message opens.

    Raises:
        PayloadRefused: it is not exactly one that `message` makes.
    """
    return orders.exactly(payload, _opening, message)


def is_opening(payload: bytes) -> bool:
    """Whether a message opens such accounts."""
    try:
        read(payload)
    except PayloadRefused:
        return False
    return True


def _account(source: Pubkey, place: int) -> Pubkey:
    return Pubkey.create_with_seed(source, _seed(place), orders.SYSTEM)


def _seed(place: int) -> str:
    return f"nonce-{place}"


def _steps(payer: Pubkey, place: int) -> list[Instruction]:
    """One after the other, where `create account` would fail if anybody had paid something there before."""
    there = _account(payer, place)
    room = AllocateWithSeedParams(address=there, base=payer, seed=_seed(place), space=_BYTES, owner=orders.SYSTEM)
    return [
        transfer(TransferParams(from_pubkey=payer, to_pubkey=there, lamports=RENT)),
        allocate_with_seed(room),
        initialize_nonce_account(InitializeNonceAccountParams(nonce_pubkey=there, authority=payer)),
    ]


def _opening(payload: bytes) -> Opening:
    """What a message seems to open; whether it does and nothing else is for the caller to see."""
    given = from_bytes_versioned(payload)
    if not isinstance(given, MessageV0) or given.address_table_lookups:
        raise PayloadRefused("The message is none of version 0, or takes addresses from a table.")
    keys = given.account_keys
    limit, price, *rest = given.instructions
    orders.want(limit, keys, orders.COMPUTE, orders.LIMIT)
    orders.want(price, keys, orders.COMPUTE, orders.PRICE)
    known = list(accounts(str(keys[0])))
    paid = [str(keys[rest[place].accounts[1]]) for place in range(0, len(rest), _STEPS)]
    if not paid or not set(paid) <= set(known):
        raise PayloadRefused("The message opens no account for a nonce of its payer.")
    return Opening(
        payer=str(keys[0]),
        places=tuple(known.index(one) for one in paid),
        blockhash=str(given.recent_blockhash),
        units=int.from_bytes(limit.data[1:], "little"),
        micro_lamports=int.from_bytes(price.data[1:], "little"),
    )
