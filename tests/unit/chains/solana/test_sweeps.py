from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import AdvanceNonceAccountParams, TransferParams, advance_nonce_account, transfer
from solders.transaction import VersionedTransaction

from billfold.chains.errors import PayloadRefused, PaymentInvalid
from billfold.chains.port import Payment
from billfold.chains.signing_port import Place
from billfold.chains.solana import keys, orders, signing, sweeps
from tests.unit.chains.solana.test_signing import BLOCKHASH, LIMITS, MINT, OTHER, SEED

HOT, DEPOSIT = Place(purpose="hot", index=0), Place(purpose="deposit", index=3)
PAYER, OWNER = (keys.keypair(SEED, place).pubkey() for place in (HOT, DEPOSIT))
PLACES = {str(PAYER): HOT, str(OWNER): DEPOSIT}
SWEEP = sweeps.Sweep(
    payer=str(PAYER),
    owner=str(OWNER),
    token=MINT,
    amount=5_000_000,
    decimals=6,
    opens=False,
    blockhash=str(BLOCKHASH),
    units=11_000,
    micro_lamports=20_000,
)
OPENING = msgspec.structs.replace(SWEEP, opens=True)

made = st.builds(
    sweeps.Sweep,
    payer=st.just(SWEEP.payer),
    owner=st.binary(min_size=32, max_size=32)
    .map(lambda raw: str(Pubkey.from_bytes(raw)))
    .filter(lambda owner: owner != SWEEP.payer),
    token=st.just(MINT),
    amount=st.integers(1, 2**64 - 1),
    decimals=st.integers(0, 255),
    opens=st.booleans(),
    blockhash=st.just(SWEEP.blockhash),
    units=st.integers(0, 2**32 - 1),
    micro_lamports=st.integers(0, 2**64 - 1),
)


def test_it_shows_whose_signatures_it_takes_and_that_the_payer_gets_the_tokens() -> None:
    shown = signing.read(sweeps.message(SWEEP), network="main")

    assert shown.sources == [str(PAYER), str(OWNER)]
    assert shown.payments == [Payment(address=str(PAYER), amount=5_000_000, token=MINT)]
    assert shown.fee_max == 2 * 5_000 + 220
    assert signing.read(sweeps.message(OPENING), network="main").fee_max == shown.fee_max + 2_039_280


@given(made)
def test_whatever_is_swept_is_read_from_its_bytes(sweep: sweeps.Sweep) -> None:
    assert sweeps.read(sweeps.message(sweep)) == sweep


@settings(max_examples=100)
@given(st.sampled_from([SWEEP, OPENING]), st.data())
def test_a_byte_of_a_sweep_that_is_changed_is_seen(sweep: sweeps.Sweep, data: st.DataObject) -> None:
    message = bytearray(sweeps.message(sweep))
    message[data.draw(st.integers(0, len(message) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        shown = sweeps.read(bytes(message))
    except PayloadRefused:
        return
    assert shown != sweep


def test_both_sign_so_that_the_chain_takes_it() -> None:
    signed = signing.sign(sweeps.message(SWEEP), SEED, places=PLACES, network="main")

    transaction = VersionedTransaction.from_bytes(signed.raw)
    assert transaction.verify_with_results() == [True, True]
    assert str(transaction.signatures[0]) == signed.chain_tx
    assert to_bytes_versioned(transaction.message) == sweeps.message(SWEEP)


@pytest.mark.parametrize("missing", [str(PAYER), str(OWNER)])
def test_a_sweep_takes_the_keys_of_both_and_no_others(missing: str) -> None:
    rest = {address: place for address, place in PLACES.items() if address != missing}
    for places in (rest, rest | {missing: Place(purpose="deposit", index=4)}):
        with pytest.raises(PayloadRefused):
            signing.sign(sweeps.message(SWEEP), SEED, places=places, network="main")


def compiled(
    *instructions: Instruction, payer: Pubkey = PAYER, tables: list[AddressLookupTableAccount] | None = None
) -> bytes:
    return to_bytes_versioned(MessageV0.try_compile(payer, [*LIMITS, *instructions], tables or [], BLOCKHASH))


STRANGER = Pubkey.from_string(OTHER)
MOVING = orders.moving(OWNER, PAYER, mint=MINT, amount=5, decimals=6)
#: What an owner's key must never sign with it: it gives its account to somebody, or lets them move what is in it.
CLOSING, APPROVING, AUTHORIZING = (
    Instruction(
        orders.TOKEN,
        data,
        [
            AccountMeta(orders.token_account(str(OWNER), MINT), is_signer=False, is_writable=True),
            AccountMeta(to, is_signer=False, is_writable=True),
            AccountMeta(OWNER, is_signer=True, is_writable=False),
        ],
    )
    for data, to in (
        (b"\x09", STRANGER),
        (b"\x04" + (5).to_bytes(8, "little"), STRANGER),
        (b"\x06\x02\x01" + bytes(STRANGER), STRANGER),
    )
)
TO_PAYER = AccountMeta(PAYER, is_signer=True, is_writable=True)
CLOSED_TO_PAYER = Instruction(orders.TOKEN, b"\x09", [CLOSING.accounts[0], TO_PAYER, CLOSING.accounts[2]])


def paying(source: Pubkey, to: Pubkey) -> Instruction:
    return transfer(TransferParams(from_pubkey=source, to_pubkey=to, lamports=5))


@pytest.mark.parametrize(
    "payload",
    [
        # The payer's coin goes to somebody in the same message, before or after; or the owner's does.
        compiled(MOVING, paying(PAYER, STRANGER)),
        compiled(paying(PAYER, STRANGER), MOVING),
        compiled(MOVING, paying(PAYER, OWNER)),
        compiled(MOVING, paying(OWNER, STRANGER)),
        compiled(MOVING, paying(OWNER, PAYER)),
        compiled(paying(OWNER, PAYER)),
        # The tokens go elsewhere, or twice, or the payer's go too.
        compiled(orders.moving(OWNER, STRANGER, mint=MINT, amount=5, decimals=6), paying(PAYER, STRANGER)),
        compiled(orders.opening(PAYER, STRANGER, mint=MINT), orders.moving(OWNER, STRANGER, mint=MINT, amount=5, decimals=6)),  # noqa: E501
        compiled(orders.moving(OWNER, STRANGER, mint=MINT, amount=5, decimals=6)),
        compiled(MOVING, MOVING),
        compiled(MOVING, orders.moving(PAYER, STRANGER, mint=MINT, amount=5, decimals=6)),
        compiled(orders.moving(PAYER, OWNER, mint=MINT, amount=5, decimals=6), MOVING),
        # The payer opens an account for somebody else.
        compiled(orders.opening(PAYER, STRANGER, mint=MINT), MOVING),
        compiled(orders.opening(PAYER, OWNER, mint=MINT), MOVING),
        compiled(orders.opening(PAYER, PAYER, mint=OTHER), MOVING),
        compiled(orders.opening(PAYER, PAYER, mint=MINT), orders.opening(PAYER, PAYER, mint=MINT), MOVING),
        # The account of the owner is closed, or somebody else may use it.
        compiled(MOVING, CLOSING),
        compiled(CLOSING, MOVING),
        compiled(CLOSING),
        compiled(MOVING, CLOSED_TO_PAYER),
        compiled(APPROVING, MOVING),
        compiled(MOVING, AUTHORIZING),
        # Another program, a memo, a nonce by which it would never grow old.
        compiled(MOVING, Instruction(STRANGER, b"", [])),
        compiled(MOVING, Instruction(STRANGER, b"", [TO_PAYER])),
        compiled(MOVING, Instruction(orders.MEMO, b"note", [])),
        compiled(advance_nonce_account(AdvanceNonceAccountParams(nonce_pubkey=STRANGER, authorized_pubkey=PAYER)), MOVING),  # noqa: E501
        # A third signs, or the fee is another's who gets nothing.
        compiled(MOVING, paying(STRANGER, PAYER)),
        compiled(MOVING, payer=STRANGER),
        compiled(MOVING, tables=[AddressLookupTableAccount(Pubkey.from_string(MINT), [Pubkey.from_string(MINT)])]),
        # The bytes are not exactly those.
        compiled(Instruction(orders.TOKEN, bytes(MOVING.data) + b"\0", MOVING.accounts)),
        compiled(Instruction(orders.TOKEN, b"\x03" + bytes(MOVING.data)[1:], MOVING.accounts)),
        compiled(MOVING) + b"\0",
        compiled(MOVING)[:-1],
        compiled(),
        b"\x80\x02",
        b"\x80\x02" + bytes(2_000),
    ],
)  # fmt: skip
def test_a_message_of_two_signers_that_does_anything_else_is_refused(payload: bytes) -> None:
    with pytest.raises(PayloadRefused):
        signing.read(payload, network="main")


def test_what_this_test_compiles_by_itself_is_a_sweep_when_nothing_is_added() -> None:
    assert sweeps.read(compiled(MOVING)).owner == str(OWNER)
    assert sweeps.read(compiled(orders.opening(PAYER, PAYER, mint=MINT), MOVING)).opens


def test_a_sweep_of_nothing_or_to_its_owner_is_not_made() -> None:
    for wrong in ({"amount": 0}, {"amount": 2**64}, {"owner": str(PAYER)}):
        with pytest.raises(PaymentInvalid):
            sweeps.message(msgspec.structs.replace(SWEEP, **wrong))


def test_its_size_does_not_depend_on_what_it_moves() -> None:
    large = msgspec.structs.replace(
        OPENING, amount=2**64 - 1, owner=str(Keypair().pubkey()), blockhash=str(Hash.default())
    )
    assert len(sweeps.message(large)) + 1 + 2 * 64 < orders.BYTES_MAX
