from __future__ import annotations

from functools import partial

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import (
    AdvanceNonceAccountParams,
    AuthorizeNonceAccountParams,
    InitializeNonceAccountParams,
    TransferParams,
    WithdrawNonceAccountParams,
    advance_nonce_account,
    authorize_nonce_account,
    initialize_nonce_account,
    transfer,
    withdraw_nonce_account,
)
from solders.transaction import VersionedTransaction

from billfold.chains.errors import PayloadRefused, PaymentInvalid
from billfold.chains.port import Payment
from billfold.chains.signing_port import Place
from billfold.chains.solana import keys, nonces, orders, signing
from billfold.chains.solana.records import Account

SEED = bytes(range(64))
HOT = Place(purpose="hot", index=0)
PAYER = keys.keypair(SEED, HOT).pubkey()
OTHER = Keypair.from_seed(bytes([5] * 32)).pubkey()
VALUE = Hash(bytes([7] * 32))
NONCE = Pubkey.from_string(nonces.account(str(PAYER), 3))
ORDER = orders.Order(
    payer=str(PAYER),
    blockhash=str(VALUE),
    units=1_500,
    micro_lamports=20_000,
    pays=(orders.Pay(address=str(OTHER), amount=1_000_000, memo="invoice 7"),),
    nonce=str(NONCE),
)
OPENING = nonces.Opening(
    payer=str(PAYER), places=(0, 3), blockhash=str(VALUE), units=nonces.units(2), micro_lamports=20_000
)
LIMITS = [set_compute_unit_limit(1_500), set_compute_unit_price(20_000)]
PAYING = transfer(TransferParams(from_pubkey=PAYER, to_pubkey=OTHER, lamports=5))


def advance(nonce: Pubkey = NONCE, authority: Pubkey = PAYER) -> Instruction:
    return advance_nonce_account(AdvanceNonceAccountParams(nonce_pubkey=nonce, authorized_pubkey=authority))


def compiled(*instructions: Instruction) -> bytes:
    return to_bytes_versioned(MessageV0.try_compile(PAYER, instructions, [], VALUE))


ADVANCE = advance()
SIGNER = ADVANCE.accounts[2]
WITHDRAW = withdraw_nonce_account(
    WithdrawNonceAccountParams(nonce_pubkey=NONCE, authorized_pubkey=PAYER, to_pubkey=OTHER, lamports=5)
)
AUTHORIZE = authorize_nonce_account(
    AuthorizeNonceAccountParams(nonce_pubkey=NONCE, authorized_pubkey=PAYER, new_authority=OTHER)
)
BEGIN = initialize_nonce_account(InitializeNonceAccountParams(nonce_pubkey=NONCE, authority=OTHER))


def test_the_signer_shows_and_signs_a_payment_with_a_nonce_of_its_own() -> None:
    message = orders.message(ORDER)
    shown = signing.read(message, network="main")

    assert shown.sources == [str(PAYER)]
    assert shown.payments == [Payment(address=str(OTHER), amount=1_000_000, memo="invoice 7")]
    assert shown.fee_max == 5_000 + 30
    signed = signing.sign(message, SEED, places={str(PAYER): HOT}, network="main")
    transaction = VersionedTransaction.from_bytes(signed.raw)
    assert transaction.verify_with_results() == [True]
    first = transaction.message.instructions[0]
    assert transaction.message.account_keys[first.program_id_index] == orders.SYSTEM
    assert str(transaction.message.recent_blockhash) == str(VALUE)


def test_it_is_made_as_others_make_it() -> None:
    order = msgspec.structs.replace(ORDER, pays=(orders.Pay(address=str(OTHER), amount=5),))

    assert orders.message(order) == compiled(ADVANCE, *LIMITS, PAYING)
    assert orders.read(compiled(ADVANCE, *LIMITS, PAYING)) == order


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(compiled(ADVANCE, *LIMITS), id="it pays nothing"),
        pytest.param(compiled(*LIMITS, ADVANCE, PAYING), id="the nonce is not used so, and a recent block is"),
        pytest.param(compiled(ADVANCE, ADVANCE, *LIMITS, PAYING), id="two nonces"),
        pytest.param(compiled(ADVANCE, *LIMITS, PAYING, ADVANCE), id="another at the end"),
        pytest.param(compiled(advance(authority=OTHER), *LIMITS, PAYING), id="another's signature"),
        pytest.param(compiled(advance(OTHER), *LIMITS, PAYING), id="an account of somebody else"),
        pytest.param(
            compiled(advance(Pubkey.from_string(nonces.account(str(OTHER), 3))), *LIMITS, PAYING),
            id="a nonce of somebody else",
        ),
        pytest.param(
            compiled(advance(Pubkey.from_string(nonces.account(str(PAYER), nonces.COUNT_MAX))), *LIMITS, PAYING),
            id="one nonce more than there are",
        ),
        pytest.param(compiled(advance(PAYER), *LIMITS, PAYING), id="the payer itself"),
        pytest.param(compiled(WITHDRAW, *LIMITS, PAYING), id="what lies there is taken, first"),
        pytest.param(compiled(ADVANCE, *LIMITS, PAYING, WITHDRAW), id="what lies there is taken, last"),
        pytest.param(compiled(AUTHORIZE, *LIMITS, PAYING), id="given to another, first"),
        pytest.param(compiled(ADVANCE, *LIMITS, PAYING, AUTHORIZE), id="given to another, last"),
        pytest.param(compiled(BEGIN, *LIMITS, PAYING), id="begun for another"),
        pytest.param(
            compiled(Instruction(orders.SYSTEM, ADVANCE.data + b"\0", ADVANCE.accounts), *LIMITS, PAYING),
            id="a byte more",
        ),
        pytest.param(
            compiled(
                Instruction(orders.SYSTEM, ADVANCE.data, [*ADVANCE.accounts, ADVANCE.accounts[0]]), *LIMITS, PAYING
            ),
            id="an account more",
        ),
        pytest.param(
            compiled(
                Instruction(
                    orders.SYSTEM,
                    ADVANCE.data,
                    [ADVANCE.accounts[0], AccountMeta(OTHER, is_signer=False, is_writable=False), ADVANCE.accounts[2]],
                ),
                *LIMITS,
                PAYING,
            ),
            id="another list of blocks",
        ),
        pytest.param(nonces.message(OPENING), id="it opens accounts"),
    ],
)
def test_the_signer_refuses_every_other_use_of_a_nonce(payload: bytes) -> None:
    with pytest.raises(PayloadRefused):
        signing.read(payload, network="main")
    with pytest.raises(PayloadRefused):
        signing.sign(payload, SEED, places={str(PAYER): HOT}, network="main")


@settings(max_examples=200)
@given(st.integers(0, len(orders.message(ORDER)) - 1), st.integers(1, 255))
def test_a_byte_that_is_changed_is_seen(place: int, by: int) -> None:
    message = bytearray(orders.message(ORDER))
    message[place] ^= by
    try:
        read = orders.read(bytes(message))
    except PayloadRefused:
        return
    assert read != ORDER


def test_an_opening_is_read_from_its_bytes_and_from_no_others() -> None:
    message = nonces.message(OPENING)

    assert nonces.read(message) == OPENING
    assert nonces.is_opening(message)
    assert OPENING.fee_max == OPENING.fee + 2 * 1_447_680
    for place in range(len(message)):
        changed = bytearray(message)
        changed[place] ^= 1
        assert not nonces.is_opening(bytes(changed)) or nonces.read(bytes(changed)) != OPENING
    assert not nonces.is_opening(orders.message(ORDER))
    assert not nonces.is_opening(compiled(*LIMITS))
    assert not nonces.is_opening(compiled(*LIMITS, PAYING))


def test_as_many_as_are_opened_at_once_fit_a_packet() -> None:
    wanted = [Payment(address=one, amount=0) for one in nonces.accounts(str(PAYER), count=nonces.AT_ONCE)]
    make = partial(nonces.opening, payer=str(PAYER), blockhash=str(VALUE), micro_lamports=5_000_000)

    assert 1 + 64 + len(nonces.message(make(wanted))) <= orders.BYTES_MAX
    for refused in ([*wanted, wanted[0]], [Payment(address=str(OTHER), amount=0)]):
        with pytest.raises(PaymentInvalid):
            make(refused)


def held(data: bytes, owner: str = str(orders.SYSTEM)) -> Account:
    return Account(lamports=1, owner=owner, executable=False, space=len(data), data=data)


def test_an_account_is_read_only_where_a_nonce_has_begun() -> None:
    begun = b"\1\0\0\0\1\0\0\0" + bytes(PAYER) + bytes(VALUE) + bytes(8)

    assert nonces.nonce(held(begun)) == nonces.Nonce(str(PAYER), str(VALUE))
    for other in (None, held(b""), held(bytes(80)), held(begun[:-1]), held(begun, str(OTHER)), held(b"\0" + begun[1:])):
        assert nonces.nonce(other) is None
