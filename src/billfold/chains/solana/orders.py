"""What a transaction of ours looks like, made and read.

What is read is made again and must come out the same, byte for byte: so nothing can be in it that is not shown of it.

A version-0 message of one signer, without address tables: limit and price of computing, then the payments one after
the other. Lamports are one `transfer`; tokens are `create idempotent` of the receiver's associated account, which also
says whose it is, and `transfer checked`. The memo of a payment comes right after it. Where a durable nonce stands in
the place of a recent block, `advance nonce account` by the payer comes before all else, and there may be no payment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, CompiledInstruction, Instruction
from solders.message import MessageV0, from_bytes_versioned, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import AdvanceNonceAccountParams, TransferParams, advance_nonce_account, transfer
from solders.token.associated import get_associated_token_address

from billfold.chains.errors import PayloadRefused, PaymentInvalid

SYSTEM = Pubkey.default()
TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022 = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
ASSOCIATED = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
COMPUTE = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
TOKEN_ACCOUNT_BYTES = 165
MINT_BYTES = 82
#: What a block takes for a signature, in lamports.
SIGNATURE_FEE = 5_000
#: What stays in a token account as long as there is one: 3,480 lamports for a byte and year, two years, of its data and
#: 128 bytes more (Solana's rent).
TOKEN_ACCOUNT_RENT = 3_480 * 2 * (128 + TOKEN_ACCOUNT_BYTES)
#: A transaction is one packet (PACKET_DATA_SIZE).
BYTES_MAX = 1232
#: What an account without data must hold, if it is to be there at all.
ACCOUNT_RENT = 3_480 * 2 * 128
AMOUNT_MAX = 2**64 - 1
#: Prices of computing are in millionths of a lamport.
MICRO = 1_000_000
UNITS_MAX = 1_400_000
#: What is reserved for computing, with room: what each takes is less, but differs with the chain's versions and, for an
#: account's address, with chance.
UNITS_BASE = 1_000
_UNITS_TRANSFER = 500
UNITS_TOKEN = 10_000
UNITS_OPEN = 60_000
_UNITS_MEMO = 20_000
_UNITS_MEMO_BYTE = 300
_SIGNATURE_BYTES = 64

_TRANSFER = (2).to_bytes(4, "little")
ADVANCE = (4).to_bytes(4, "little")
_CREATE_IDEMPOTENT = b"\1"
TRANSFER_CHECKED = b"\x0c"
LIMIT = b"\2"
PRICE = b"\3"

T = TypeVar("T")


class Pay(msgspec.Struct, frozen=True, kw_only=True):
    """A payment with all that its instructions need. `decimals` are the token's."""

    address: str
    amount: int
    token: str | None = None
    decimals: int = 0
    memo: str | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction: who pays whom, with which recent block, and what it may cost.

    Where `nonce` is the account of a durable nonce, `blockhash` is its value.
    """

    payer: str
    blockhash: str
    units: int
    micro_lamports: int
    pays: Sequence[Pay]
    nonce: str | None = None

    @property
    def fee(self) -> int:
        """What it costs in lamports, whether it succeeds or not."""
        return SIGNATURE_FEE + -(-self.units * self.micro_lamports // MICRO)

    @property
    def fee_max(self) -> int:
        """What it costs if all token accounts have to be opened."""
        return self.fee + TOKEN_ACCOUNT_RENT * sum(pay.token is not None for pay in self.pays)


def units(pays: Sequence[Pay]) -> int:
    """What such payments may compute. A durable nonce, which takes 150 units, costs nothing more."""
    found = UNITS_BASE
    for pay in pays:
        found += _UNITS_TRANSFER if pay.token is None else UNITS_TOKEN + UNITS_OPEN
        if pay.memo is not None:
            found += _UNITS_MEMO + _UNITS_MEMO_BYTE * len(pay.memo.encode())
    return min(found, UNITS_MAX)


def message(order: Order) -> bytes:
    """The message that is signed.

    Raises:
        PaymentInvalid: it is too large for one transaction.
    """
    payer = Pubkey.from_string(order.payer)
    instructions = [] if order.nonce is None else [_advancing(payer, order.nonce)]
    instructions += [set_compute_unit_limit(order.units), set_compute_unit_price(order.micro_lamports)]
    for pay in order.pays:
        instructions += _instructions(payer, pay)
    made = to_bytes_versioned(MessageV0.try_compile(payer, instructions, [], Hash.from_string(order.blockhash)))
    if 1 + _SIGNATURE_BYTES + len(made) > BYTES_MAX:
        raise PaymentInvalid("This is too much for one transaction of Solana; a shorter memo or fewer payments fit.")
    return made


def read(payload: bytes) -> Order:
    """The order of a message.

    Raises:
        PayloadRefused: it is not exactly one that `message` makes.
    """
    return exactly(payload, _order, message)


def exactly(payload: bytes, reads: Callable[[bytes], T], makes: Callable[[T], bytes]) -> T:
    """What is read of a message, if the same is made of it again.

    Raises:
        PayloadRefused.
    """
    if len(payload) > BYTES_MAX:
        raise PayloadRefused("The message is longer than a transaction of Solana.")
    try:
        found = reads(payload)
        same = makes(found) == payload
    except PayloadRefused:
        raise
    except Exception as error:
        # Solana's codes raise errors of many kinds and no common base for what is no message.
        raise PayloadRefused from error
    if not same:
        raise PayloadRefused
    return found


def token_account(owner: str, mint: str) -> Pubkey:
    """Where an owner has a token (the associated token account)."""
    return get_associated_token_address(Pubkey.from_string(owner), Pubkey.from_string(mint), TOKEN)


def opening(payer: Pubkey, owner: Pubkey, *, mint: str) -> Instruction:
    """Makes an owner's token account where there is none; the payer puts its rent there."""
    accounts = [
        AccountMeta(payer, is_signer=True, is_writable=True),
        AccountMeta(token_account(str(owner), mint), is_signer=False, is_writable=True),
        *[
            AccountMeta(key, is_signer=False, is_writable=False)
            for key in (owner, Pubkey.from_string(mint), SYSTEM, TOKEN)
        ],
    ]
    return Instruction(ASSOCIATED, _CREATE_IDEMPOTENT, accounts)


def moving(owner: Pubkey, to: Pubkey, *, mint: str, amount: int, decimals: int) -> Instruction:
    """Moves tokens from an owner's token account, by the owner's signature, to another's."""
    accounts = [
        AccountMeta(token_account(str(owner), mint), is_signer=False, is_writable=True),
        AccountMeta(Pubkey.from_string(mint), is_signer=False, is_writable=False),
        AccountMeta(token_account(str(to), mint), is_signer=False, is_writable=True),
        AccountMeta(owner, is_signer=True, is_writable=False),
    ]
    return Instruction(TOKEN, TRANSFER_CHECKED + amount.to_bytes(8, "little") + bytes([decimals]), accounts)


def _advancing(payer: Pubkey, nonce: str) -> Instruction:
    params = AdvanceNonceAccountParams(nonce_pubkey=Pubkey.from_string(nonce), authorized_pubkey=payer)
    return advance_nonce_account(params)


def _instructions(payer: Pubkey, pay: Pay) -> list[Instruction]:
    if not 0 < pay.amount <= AMOUNT_MAX:
        raise PaymentInvalid("Solana pays from one unit up to 2^64 - 1.")
    to = Pubkey.from_string(pay.address)
    noted = [] if pay.memo is None else [Instruction(MEMO, pay.memo.encode(), [])]
    if pay.token is None:
        return [transfer(TransferParams(from_pubkey=payer, to_pubkey=to, lamports=pay.amount)), *noted]
    moved = moving(payer, to, mint=pay.token, amount=pay.amount, decimals=pay.decimals)
    return [opening(payer, to, mint=pay.token), moved, *noted]


def _order(payload: bytes) -> Order:
    """What a message seems to order; whether it does and nothing else is for the caller to see."""
    read_message = from_bytes_versioned(payload)
    if not isinstance(read_message, MessageV0) or read_message.address_table_lookups:
        raise PayloadRefused("The message is none of version 0, or takes addresses from a table.")
    keys = read_message.account_keys
    first, *others = read_message.instructions
    nonce = str(keys[first.accounts[0]]) if keys[first.program_id_index] == SYSTEM else None
    if nonce is not None:
        want(first, keys, SYSTEM, ADVANCE)
    limit, price, *rest = others if nonce is not None else read_message.instructions
    want(limit, keys, COMPUTE, LIMIT)
    want(price, keys, COMPUTE, PRICE)
    pays: list[Pay] = []
    place = 0
    while place < len(rest):
        program = keys[rest[place].program_id_index]
        if program == SYSTEM:
            pays.append(_lamports(rest[place], keys))
            place += 1
        elif program == ASSOCIATED:
            pays.append(_tokens(rest[place], rest[place + 1], keys))
            place += 2
        elif program == MEMO and pays and pays[-1].memo is None:
            pays[-1] = msgspec.structs.replace(pays[-1], memo=rest[place].data.decode())
            place += 1
        else:
            raise PayloadRefused("The message has an instruction that is not understood.")
    return Order(
        payer=str(keys[0]),
        blockhash=str(read_message.recent_blockhash),
        units=int.from_bytes(limit.data[1:], "little"),
        micro_lamports=int.from_bytes(price.data[1:], "little"),
        pays=tuple(pays),
        nonce=nonce,
    )


def _lamports(given: CompiledInstruction, keys: Sequence[Pubkey]) -> Pay:
    want(given, keys, SYSTEM, _TRANSFER)
    return Pay(address=str(keys[given.accounts[1]]), amount=int.from_bytes(given.data[4:], "little"))


def _tokens(opening: CompiledInstruction, moving: CompiledInstruction, keys: Sequence[Pubkey]) -> Pay:
    want(moving, keys, TOKEN, TRANSFER_CHECKED)
    return Pay(
        address=str(keys[opening.accounts[2]]),
        amount=int.from_bytes(moving.data[1:9], "little"),
        token=str(keys[opening.accounts[3]]),
        decimals=moving.data[9],
    )


def want(given: CompiledInstruction, keys: Sequence[Pubkey], program: Pubkey, data: bytes) -> None:
    """Pass if an instruction is of this program and its data begin so.

    Raises:
        PayloadRefused.
    """
    if keys[given.program_id_index] != program or not given.data.startswith(data):
        raise PayloadRefused("The message has an instruction that is not understood.")
