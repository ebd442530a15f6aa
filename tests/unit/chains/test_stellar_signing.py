"""What Stellar's signing shows, signs, and refuses."""

import base64
import hashlib
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from stellar_sdk import (
    AccountMerge,
    Asset,
    BumpSequence,
    ChangeTrust,
    CreateAccount,
    FeeBumpTransaction,
    FeeBumpTransactionEnvelope,
    HashMemo,
    IdMemo,
    Keypair,
    LedgerBounds,
    ManageData,
    MuxedAccount,
    Payment,
    Preconditions,
    ReturnHashMemo,
    SetOptions,
    TextMemo,
    TimeBounds,
    Transaction,
    TransactionEnvelope,
)
from stellar_sdk.operation import Operation

from billfold.chains import port
from billfold.chains.errors import PayloadRefused
from billfold.chains.signing_port import Place
from billfold.chains.stellar import amounts, keys, memos, signing
from billfold.chains.stellar.networks import PASSPHRASES

SEED = hashlib.sha512(b"signing").digest()
HOT, CHANNEL = Place(purpose="hot", index=0), Place(purpose="channel", index=3)
PLACES = {keys.pair(SEED, place, network="test").address: place for place in (HOT, CHANNEL)}
ours, channel = PLACES
THERE = Keypair.random().public_key
ISSUER = Keypair.random().public_key
BOUNDS = Preconditions(time_bounds=TimeBounds(1, 2_000_000_000))


def paying(**told: Any) -> Payment:
    usual: dict[str, Any] = {"destination": THERE, "asset": Asset.native(), "amount": "1.5", "source": ours}
    return Payment(**usual | told)


def payload(
    *operations: Operation,
    memo: Any = None,
    conditions: Preconditions | None = BOUNDS,
    inner_fee: int = 0,
    source: Any = channel,
    payer: Any = ours,
    signer: Keypair | None = None,
) -> bytes:
    """As `building` makes it, unless told otherwise."""
    transaction = Transaction(source, 5, inner_fee, list(operations), memo, conditions)
    inner = TransactionEnvelope(transaction, PASSPHRASES["test"])
    if signer is not None:
        inner.sign(signer)
    outer = FeeBumpTransactionEnvelope(FeeBumpTransaction(payer, 400, inner), PASSPHRASES["test"])
    return outer.to_xdr_object().to_xdr_bytes()


def test_everything_that_it_pays_is_shown() -> None:
    asset = Asset("USDC", ISSUER)
    shown = signing.read(
        payload(paying(), CreateAccount(THERE, "2", ours), paying(asset=asset, amount="0.0000001"), memo=IdMemo(7)),
        network="test",
    )
    assert list(shown.payments) == [
        port.Payment(address=THERE, amount=15_000_000, memo="id:7"),
        port.Payment(address=THERE, amount=20_000_000, memo="id:7"),
        port.Payment(address=THERE, amount=1, token=f"USDC:{ISSUER}", memo="id:7"),
    ]
    assert (list(shown.sources), shown.fee_max, shown.kind) == ([channel, ours], 400, "pay")


def test_a_trustline_and_a_cancellation_pay_nothing() -> None:
    opening = signing.read(payload(ChangeTrust(Asset("USDC", ISSUER), source=ours)), network="test")
    assert opening.kind == "open"
    assert list(opening.payments) == [port.Payment(address=ours, amount=0, token=f"USDC:{ISSUER}")]
    cancelling = signing.read(payload(BumpSequence(0)), network="test")
    assert (cancelling.kind, list(cancelling.payments)) == ("cancel", [port.Payment(address=channel, amount=0)])


def test_the_signatures_are_those_of_the_accounts_and_of_this_network() -> None:
    raw = payload(paying())
    signed = signing.sign(raw, SEED, places=PLACES, network="test")
    assert signed == signing.sign(raw, SEED, places=PLACES, network="test")
    outer = FeeBumpTransactionEnvelope.from_xdr(base64.b64encode(signed.raw).decode(), PASSPHRASES["test"])
    assert signed.chain_tx == outer.hash_hex()
    Keypair.from_public_key(ours).verify(outer.hash(), outer.signatures[0].signature)
    inner = outer.transaction.inner_transaction_envelope
    for address, one in zip((channel, ours), inner.signatures, strict=True):
        Keypair.from_public_key(address).verify(inner.hash(), one.signature)
    assert signing.sign(raw, SEED, places=PLACES, network="main").chain_tx != signed.chain_tx


def test_one_account_that_does_both_signs_once_for_each() -> None:
    signed = signing.sign(payload(paying(), source=ours), SEED, places=PLACES, network="test")
    outer = FeeBumpTransactionEnvelope.from_xdr(base64.b64encode(signed.raw).decode(), PASSPHRASES["test"])
    assert len(outer.signatures) == len(outer.transaction.inner_transaction_envelope.signatures) == 1


REFUSED: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no envelope": lambda: b"\x00" * 200,
    "one byte more": lambda: payload(paying()) + b"\x00",
    "one byte less": lambda: payload(paying())[:-1],
    "too large": lambda: payload(paying()) + b"\x00" * 40_000,
    "no operation": payload,
    "another's operation": lambda: payload(paying(source=THERE)),
    "an operation of the channel": lambda: payload(paying(source=None)),
    "a muxed destination": lambda: payload(paying(destination=MuxedAccount(THERE, 5))),
    "a muxed payer": lambda: payload(paying(), payer=MuxedAccount(ours, 5)),
    "a muxed source": lambda: payload(paying(), source=MuxedAccount(channel, 5)),
    "no time bounds": lambda: payload(paying(), conditions=None),
    "no end": lambda: payload(paying(), conditions=Preconditions(time_bounds=TimeBounds(5, 0))),
    "more conditions": lambda: payload(
        paying(), conditions=Preconditions(time_bounds=TimeBounds(1, 9), ledger_bounds=LedgerBounds(1, 2))
    ),
    "an inner fee": lambda: payload(paying(), inner_fee=100),
    "signed already": lambda: payload(paying(), signer=Keypair.random()),
    "options": lambda: payload(SetOptions(master_weight=0, source=ours)),
    "a merge": lambda: payload(AccountMerge(THERE, ours)),
    "data": lambda: payload(ManageData("a", "b", ours)),
    "a leap of the sequence": lambda: payload(BumpSequence(9)),
    "another's sequence": lambda: payload(BumpSequence(0, source=ours)),
    "a limited trustline": lambda: payload(ChangeTrust(Asset("USDC", ISSUER), "5", ours)),
    "payment and trustline": lambda: payload(paying(), ChangeTrust(Asset("USDC", ISSUER), source=ours)),
    "payment and cancellation": lambda: payload(paying(), BumpSequence(0)),
    "nothing paid": lambda: payload(paying(amount="0")),
    "no fee bump": lambda: (
        TransactionEnvelope(Transaction(ours, 5, 100, [paying()], None, BOUNDS), PASSPHRASES["test"])
        .to_xdr_object()
        .to_xdr_bytes()
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_understood_is_not_signed(what: str) -> None:
    made = REFUSED[what]()
    with pytest.raises(PayloadRefused):
        signing.sign(made, SEED, places=PLACES, network="test")


CASES: dict[str, bytes] = {
    "a number": payload(paying(), CreateAccount(THERE, "2", ours), memo=IdMemo(7)),
    "a text of odd length": payload(paying(asset=Asset("USDC", ISSUER)), memo=TextMemo("seven")),
    "a hash": payload(paying(asset=Asset("LONGER", ISSUER)), memo=HashMemo("ab" * 32)),
    "a hash to return": payload(paying(), memo=ReturnHashMemo("cd" * 32)),
    "a trustline": payload(ChangeTrust(Asset("USD", ISSUER), source=ours)),
    "a cancellation": payload(BumpSequence(0)),
}


def test_each_byte_that_is_changed_shows_or_is_refused() -> None:
    good = payload(paying(), memo=IdMemo(7))
    shown = signing.read(good, network="test")
    inner = signing.sign(good, SEED, places=PLACES, network="test")
    for place in range(0, len(good), 3):
        changed = good[:place] + bytes([good[place] ^ 0x40]) + good[place + 1 :]
        try:
            other = signing.read(changed, network="test")
            assert other != shown or _numbers(changed) != _numbers(good), place
        except PayloadRefused:
            continue
    assert inner.chain_tx


@pytest.mark.parametrize("name", CASES)
def test_what_is_read_is_what_the_sdk_reads(name: str) -> None:
    made = CASES[name]
    # The last byte of each word of XDR, which counts things and says of which kind they are; of the others some.
    for place, bit in itertools.chain(
        ((last, 0x01) for last in range(3, len(made), 4)), ((each, 0x40) for each in range(0, len(made), 11))
    ):
        changed = made[:place] + bytes([made[place] ^ bit]) + made[place + 1 :]
        try:
            shown = signing.read(changed, network="test")
        except PayloadRefused:
            continue
        text = base64.b64encode(changed).decode()
        outer = FeeBumpTransactionEnvelope.from_xdr(text, PASSPHRASES["test"])
        assert outer.to_xdr_object().to_xdr_bytes() == changed
        inner = outer.transaction.inner_transaction_envelope.transaction
        assert list(shown.sources) == list(
            dict.fromkeys([inner.source.account_id, outer.transaction.fee_source.account_id])
        )
        assert [one.memo for one in shown.payments] == [memos.shown(inner.memo)] * len(inner.operations)
        assert (shown.fee_max, list(map(_said, inner.operations))) == (
            outer.transaction.fee,
            [(one.address, one.amount, one.token) if one.amount else None for one in shown.payments],
        )


def _said(operation: Operation) -> tuple[str, int, str | None] | None:
    """Address, amount and token, as the SDK has them."""
    match operation:
        case Payment():
            told = (operation.destination.account_id, operation.amount, amounts.token(operation.asset))
        case CreateAccount():
            told = (operation.destination, operation.starting_balance, None)
        case _:
            return None
    return told[0], Operation.to_xdr_amount(told[1]), told[2]


def _numbers(raw: bytes) -> Sequence[int | None]:
    """What a signature covers and nobody is shown: sequence number and time."""
    envelope = FeeBumpTransactionEnvelope.from_xdr(base64.b64encode(raw).decode(), PASSPHRASES["test"])
    inner = envelope.transaction.inner_transaction_envelope.transaction
    bounds = inner.preconditions and inner.preconditions.time_bounds
    return [inner.sequence, bounds.min_time if bounds else None, bounds.max_time if bounds else None]


@pytest.mark.parametrize("places", [{}, {ours: HOT}, {ours: CHANNEL, channel: CHANNEL}])
def test_a_place_that_is_missing_or_of_another_address_signs_nothing(places: dict[str, Place]) -> None:
    with pytest.raises(PayloadRefused):
        signing.sign(payload(paying()), SEED, places=places, network="test")


def test_an_error_shows_no_key() -> None:
    with pytest.raises(PayloadRefused) as refused:
        signing.sign(payload(paying()), SEED, places={ours: CHANNEL, channel: CHANNEL}, network="test")
    secret = Keypair.from_raw_ed25519_seed(keys.pair(SEED, CHANNEL, network="test")._secret[:32]).secret
    assert secret not in repr(refused.value)
    assert SEED.hex() not in repr(refused.value)
