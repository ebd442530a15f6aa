import base64
import contextlib
import struct

import bdkpython
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold.chains import errors
from billfold.chains.bitcoin import addresses, keys, psbt, signing, transactions
from billfold.chains.bitcoin.transactions import Input, Output, Transaction
from billfold.chains.port import Payment
from billfold.chains.signing_port import Place

SEED = bytes(range(64))
PLACE = Place(purpose="hot", index=0)
[MINE] = keys.addresses(SEED, purpose="hot", first=0, count=1, network="sandbox")
OTHER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def parent(spent: int = 100_000, source: str = MINE) -> Transaction:
    made = [Output(1, b"\x51"), Output(spent, addresses.script_of(source, "sandbox"))]
    return transactions.write(inputs=[Input("11" * 32, 0, b"", 0, (b"witness",))], outputs=made)


def payload(
    *,
    spent: int = 100_000,
    paid: int = 90_000,
    source: str = MINE,
    sequence: int = psbt.SEQUENCE,
    coins: int = 1,
    version: int = 2,
    locktime: int = 0,
    to: bytes | None = None,
) -> bytes:
    script = addresses.script_of(OTHER, "sandbox") if to is None else to
    made = transactions.bare(parent(spent, source))
    unsigned = transactions.write(
        inputs=[Input(made.txid, 1, b"", sequence)] * coins,
        outputs=[Output(paid, script)],
        version=version,
        locktime=locktime,
    )
    return psbt.written(psbt.Spending(unsigned, (made,) * coins))


def test_what_is_read_is_what_is_paid_and_what_it_costs() -> None:
    shown = signing.read(payload(), network="sandbox")

    assert list(shown.sources) == [MINE]
    assert list(shown.payments) == [Payment(address=OTHER, amount=90_000)]
    assert (shown.fee_max, shown.kind) == (10_000, "pay")


def test_another_library_reads_the_same() -> None:
    assert bdkpython.Psbt(base64.b64encode(payload()).decode()).fee() == 10_000


def test_a_signed_transaction_is_the_one_that_was_read() -> None:
    signed = signing.sign(payload(), SEED, places={MINE: PLACE}, network="sandbox")
    theirs = bdkpython.Transaction(signed.raw)

    assert str(theirs.compute_txid()) == signed.chain_tx == psbt.read(payload()).transaction.txid
    assert theirs.output()[0].script_pubkey.to_bytes() == addresses.script_of(OTHER, "sandbox")
    assert [len(each.witness) for each in theirs.input()] == [2]


def test_the_same_is_signed_the_same() -> None:
    first, second = (signing.sign(payload(), SEED, places={MINE: PLACE}, network="sandbox") for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (payload(paid=100_001), "more than it spends"),
        (payload(paid=0), "none that can be"),
        (payload(spent=2**62), "none that can be"),
        (payload(sequence=0xFFFFFFFF), "another sequence"),
        (payload(sequence=0), "something else|another sequence"),
        (payload(version=1), "version 2"),
        (payload(locktime=800_000), "lock time"),
        (payload(coins=2), "spent twice"),
        (payload(to=b"\x6a\x04data"), "has no address"),
        (payload(to=b"\x51"), "has no address"),
        (payload(source="2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc"), "single key"),
        (payload() + b"\x00", "can't be read|something else|no PSBT"),
        (payload()[:-1], "no PSBT"),
        (b"psbt\xff", "no PSBT"),
        (b"", "no PSBT"),
        (psbt.read(payload()).transaction.raw, "no PSBT"),
    ],
)
def test_what_is_not_understood_is_not_signed(wrong: bytes, said: str) -> None:
    with pytest.raises(errors.PayloadRefused, match=said):
        signing.sign(wrong, SEED, places={MINE: PLACE}, network="sandbox")


def test_a_false_amount_is_seen_by_the_hash_of_what_made_the_coin() -> None:
    true = psbt.read(payload())
    richer = transactions.bare(parent(spent=900_000))
    with pytest.raises(errors.PayloadRefused, match="another transaction than it spends from"):
        psbt.read(psbt.written(psbt.Spending(true.transaction, (richer,))))
    amount = struct.pack("<q", 100_000) + transactions.sized(addresses.script_of(MINE, "sandbox"))
    lie = struct.pack("<q", 900_000) + amount[8:]
    assert payload().count(amount) == 2
    at = payload().rindex(amount)
    with pytest.raises(errors.PayloadRefused, match="something else"):
        psbt.read(payload()[:at] + lie + payload()[at + len(lie) :])


def inserted(into: bytes, key: bytes, value: bytes) -> bytes:
    """A further field of the first input."""
    unsigned = psbt.read(into).transaction.raw
    at = len(b"psbt\xff") + len(transactions.sized(b"\x00")) + len(transactions.sized(unsigned)) + 1
    return into[:at] + transactions.sized(key) + transactions.sized(value) + into[at:]


@pytest.mark.parametrize("sighash", [0x01, 0x02, 0x03, 0x81, 0x83])
def test_no_other_way_of_signing_can_be_asked_for(sighash: int) -> None:
    with pytest.raises(errors.PayloadRefused):
        signing.read(inserted(payload(), b"\x03", struct.pack("<I", sighash)), network="sandbox")


def test_fields_that_are_not_known_are_refused() -> None:
    with pytest.raises(errors.PayloadRefused):
        signing.read(inserted(payload(), b"\xfc\x01x", b"hidden"), network="sandbox")


def test_a_transaction_of_another_network_is_refused_by_the_key() -> None:
    [elsewhere] = keys.addresses(SEED, purpose="hot", first=0, count=1, network="main")
    assert list(signing.read(payload(), network="main").sources) != [elsewhere]
    with pytest.raises(errors.PayloadRefused):
        signing.sign(payload(), SEED, places={MINE: PLACE}, network="main")


def test_a_key_that_is_not_the_address_s_signs_nothing() -> None:
    with pytest.raises(errors.PayloadRefused, match="not its key"):
        signing.sign(payload(), SEED, places={MINE: Place(purpose="hot", index=1)}, network="sandbox")
    with pytest.raises(errors.PayloadRefused, match="No key was named"):
        signing.sign(payload(), SEED, places={}, network="sandbox")


@given(noise=st.binary(max_size=300), at=st.integers(0, 200))
def test_whatever_comes_is_read_whole_or_refused(noise: bytes, at: int) -> None:
    for tried in (noise, b"psbt\xff" + noise, payload()[:at] + noise + payload()[at:]):
        with contextlib.suppress(errors.PayloadRefused):
            assert psbt.written(psbt.read(tried)) == tried
