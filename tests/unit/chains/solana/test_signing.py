from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import request_heap_frame, set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import AssignParams, TransferParams, assign, transfer
from solders.transaction import VersionedTransaction

from billfold.chains.errors import PayloadRefused, PaymentInvalid
from billfold.chains.port import Payment
from billfold.chains.signing_port import Place
from billfold.chains.solana import keys, orders, signing

SEED = bytes(range(64))
HOT = Place(purpose="hot", index=0)
PAYER = keys.keypair(SEED, HOT)
OTHER = str(Keypair.from_seed(bytes([5] * 32)).pubkey())
MINT = str(Keypair.from_seed(bytes([6] * 32)).pubkey())
BLOCKHASH = Hash(bytes([7] * 32))
LIMITS = [set_compute_unit_limit(1_000), set_compute_unit_price(1)]
ORDER = orders.Order(
    payer=str(PAYER.pubkey()),
    blockhash=str(BLOCKHASH),
    units=90_000,
    micro_lamports=20_000,
    pays=(
        orders.Pay(address=OTHER, amount=1_000_000, memo="invoice 7"),
        orders.Pay(address=OTHER, amount=5, token=MINT, decimals=6),
    ),
)

texts = st.text(max_size=40)
pays = st.builds(
    orders.Pay,
    address=st.binary(min_size=32, max_size=32).map(lambda raw: str(Pubkey.from_bytes(raw))),
    amount=st.integers(1, 2**64 - 1),
    token=st.none() | st.just(MINT),
    decimals=st.just(0),
    memo=st.none() | texts,
)
made = st.builds(
    orders.Order,
    payer=st.just(ORDER.payer),
    blockhash=st.just(ORDER.blockhash),
    units=st.integers(0, 2**32 - 1),
    micro_lamports=st.integers(0, 2**64 - 1),
    pays=st.lists(pays, min_size=1, max_size=3).map(tuple),
)


def test_it_shows_what_it_signs() -> None:
    shown = signing.read(orders.message(ORDER), network="main")

    assert shown.sources == [ORDER.payer]
    assert shown.payments == [
        Payment(address=OTHER, amount=1_000_000, memo="invoice 7"),
        Payment(address=OTHER, amount=5, token=MINT),
    ]
    assert shown.fee_max == 5_000 + 1_800 + 2_039_280


@given(made)
def test_whatever_is_ordered_is_read_from_its_bytes(order: orders.Order) -> None:
    assert orders.read(orders.message(order)) == order


@settings(max_examples=200)
@given(st.integers(0, len(orders.message(ORDER)) - 1), st.integers(1, 255))
def test_a_byte_that_is_changed_is_seen(place: int, by: int) -> None:
    message = bytearray(orders.message(ORDER))
    message[place] ^= by
    try:
        shown = orders.read(bytes(message))
    except PayloadRefused:
        return
    assert shown != ORDER


def test_it_signs_so_that_the_chain_takes_it() -> None:
    signed = signing.sign(orders.message(ORDER), SEED, places={ORDER.payer: HOT}, network="main")

    transaction = VersionedTransaction.from_bytes(signed.raw)
    assert transaction.verify_with_results() == [True]
    assert str(transaction.signatures[0]) == signed.chain_tx
    assert to_bytes_versioned(transaction.message) == orders.message(ORDER)


def test_it_signs_with_no_other_key_than_that_of_the_source() -> None:
    message = orders.message(ORDER)
    with pytest.raises(PayloadRefused):
        signing.sign(message, SEED, places={}, network="main")
    with pytest.raises(PayloadRefused):
        signing.sign(message, SEED, places={ORDER.payer: Place(purpose="deposit", index=0)}, network="main")


def compiled(*instructions: Instruction, tables: list[AddressLookupTableAccount] | None = None) -> bytes:
    message = MessageV0.try_compile(PAYER.pubkey(), [*LIMITS, *instructions], tables or [], BLOCKHASH)
    return to_bytes_versioned(message)


def paying(source: Pubkey = PAYER.pubkey()) -> Instruction:  # noqa: B008 - it never changes
    return transfer(TransferParams(from_pubkey=source, to_pubkey=Pubkey.from_string(OTHER), lamports=5))


TABLE = AddressLookupTableAccount(Pubkey.from_string(MINT), [Pubkey.from_string(OTHER)])
LEGACY = Message.new_with_blockhash([*LIMITS, paying()], PAYER.pubkey(), BLOCKHASH)
#: Lamports of others may go to the payer; that takes their signature too.
TWO_SIGNERS = transfer(TransferParams(from_pubkey=Pubkey.from_string(OTHER), to_pubkey=PAYER.pubkey(), lamports=5))
PADDED = transfer(TransferParams(from_pubkey=PAYER.pubkey(), to_pubkey=Pubkey.from_string(OTHER), lamports=5))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x80",
        bytes(2_000),
        bytes(LEGACY),
        compiled(),
        compiled(paying()) + b"\0",
        compiled(paying())[:-1],
        compiled(paying(), tables=[TABLE]),
        compiled(TWO_SIGNERS),
        compiled(paying(), request_heap_frame(32 * 1024)),
        compiled(paying(), assign(AssignParams(pubkey=PAYER.pubkey(), owner=Pubkey.from_string(OTHER)))),
        compiled(paying(), Instruction(Pubkey.from_string(MINT), b"", [])),
        compiled(Instruction(orders.MEMO, b"before any payment", []), paying()),
        compiled(Instruction(orders.SYSTEM, PADDED.data + b"\0", PADDED.accounts)),
        compiled(paying(), Instruction(orders.MEMO, b"\xff", [])),
    ],
)
def test_what_is_not_understood_to_the_last_byte_is_refused(payload: bytes) -> None:
    with pytest.raises(PayloadRefused):
        signing.read(payload, network="main")


def test_tokens_that_go_elsewhere_than_to_the_owner_who_is_named_are_refused() -> None:
    opening, moving = orders._instructions(PAYER.pubkey(), ORDER.pays[1])
    elsewhere = orders._instructions(PAYER.pubkey(), msgspec.structs.replace(ORDER.pays[1], address=MINT))[1]

    assert signing.read(compiled(opening, moving), network="main").payments[0].address == OTHER
    with pytest.raises(PayloadRefused):
        signing.read(compiled(opening, elsewhere), network="main")
    with pytest.raises(PayloadRefused):
        signing.read(compiled(moving), network="main")


def test_what_does_not_fit_a_packet_is_refused() -> None:
    pay = orders.Pay(address=OTHER, amount=1, memo="x" * 1_200)
    with pytest.raises(PaymentInvalid):
        orders.message(msgspec.structs.replace(ORDER, pays=(pay,)))
    with pytest.raises(PaymentInvalid):
        orders.message(msgspec.structs.replace(ORDER, pays=(orders.Pay(address=OTHER, amount=0),)))
