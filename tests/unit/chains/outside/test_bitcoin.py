"""A PSBT that others sign: what a hardware wallet is told, and everything that is refused when it comes back."""

from __future__ import annotations

import base64
from collections.abc import Callable

import bdkpython
import pytest
from bip_utils import Bip44Changes, Bip84, Bip84Coins
from embit import bip32
from embit.networks import NETWORKS
from embit.psbt import PSBT

from billfold.chains import errors
from billfold.chains.bitcoin import addresses, outside, psbt, transactions
from billfold.chains.bitcoin.transactions import Input, Output
from billfold.chains.outside_port import PublicKey
from billfold.chains.signing_port import Place

MNEMONIC = " ".join(["abandon"] * 11 + ["about"])
SEED = bytes.fromhex(
    "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc1"
    "9a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4"
)
ROOT = bip32.HDKey.from_seed(SEED, version=NETWORKS["regtest"]["xprv"])
#: Of the vectors of BIP-84.
ZPUB = "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs"
VPUB = ROOT.derive("m/84h/1h/0h").to_public().to_base58(version=NETWORKS["regtest"]["zpub"])
KEY = PublicKey(text=VPUB, fingerprint=ROOT.child(0).fingerprint.hex())
#: Where the coins lie, and where the rest goes.
PLACES = {
    outside.addresses(VPUB, purpose=place.purpose, first=place.index, count=1, network="sandbox")[0]: place
    for place in (
        Place(purpose="deposit", index=4),
        Place(purpose="deposit", index=5),
        Place(purpose="change", index=0),
    )
}
FIRST, SECOND, CHANGE = PLACES
OTHER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def script(address: str) -> bytes:
    return addresses.script_of(address, "sandbox")


def payload(*, paid: int = 150_000, to: str = OTHER) -> bytes:
    """Two coins, a payment and a change."""
    parents = [
        transactions.write(
            inputs=[Input(f"{number}" * 64, 0, b"", 0)], outputs=[Output(100_000, script(each)), Output(1, b"\x51")]
        )
        for number, each in ((1, FIRST), (2, SECOND))
    ]
    inputs = [(Input(each.txid, 0, b"", psbt.SEQUENCE), each) for each in parents]
    return psbt.written(psbt.made(inputs, [Output(40_000, script(CHANGE)), Output(paid, script(to))]))


GOOD = payload()


def exported(of: bytes = GOOD) -> PSBT:
    return PSBT.from_string(outside.shown(of, network="sandbox", public=KEY, places=PLACES))


def signed(of: bytes = GOOD, root: bip32.HDKey = ROOT) -> PSBT:
    made = exported(of)
    made.sign_with(root)
    return made


def accepted(given: str) -> str:
    return outside.accepted(GOOD, given, network="sandbox").chain_tx


def raw() -> transactions.Transaction:
    return transactions.transaction(outside.accepted(GOOD, str(signed()), network="sandbox").raw)


def with_witness(number: int, witness: tuple[bytes, ...]) -> str:
    """The final transaction with something else in one of its inputs."""
    done = raw()
    inputs = [
        Input(each.txid, each.vout, each.script, each.sequence, witness if at == number else each.witness)
        for at, each in enumerate(done.inputs)
    ]
    return transactions.write(inputs=inputs, outputs=done.outputs).raw.hex()


def test_addresses_are_those_that_another_library_derives_from_the_same_key() -> None:
    account = Bip84.FromSeed(SEED, Bip84Coins.BITCOIN).Purpose().Coin().Account(0)
    assert outside.checked(ZPUB, network="main") == account.PublicKey().ToExtended() == ZPUB
    for purpose, branch, stride, offset in (
        ("deposit", Bip44Changes.CHAIN_EXT, 1, 0),
        ("change", Bip44Changes.CHAIN_INT, 2, 0),
        ("hot", Bip44Changes.CHAIN_INT, 2, 1),
    ):
        theirs = [account.Change(branch).AddressIndex(i * stride + offset).PublicKey().ToAddress() for i in range(5)]
        assert outside.addresses(ZPUB, purpose=purpose, first=0, count=5, network="main") == theirs  # type: ignore[arg-type]
    assert outside.path(ZPUB, Place(purpose="hot", index=0), network="main") == "m/84'/0'/0'/1/1"


def test_a_plain_key_of_the_account_is_written_as_that_of_bip_84() -> None:
    plain = ROOT.derive("m/84h/1h/0h").to_public().to_base58(version=NETWORKS["regtest"]["xpub"])
    assert outside.checked(plain, network="sandbox") == VPUB


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (ZPUB[:-1] + "t", "mistyped"),
        ("zpub", "mistyped"),
        (ROOT.derive("m/84h/1h/0h").to_base58(), "private key"),
        (ROOT.derive("m/84h/1h").to_public().to_base58(), "key of an account"),
        (ROOT.derive("m/84h/1h/0").to_public().to_base58(), "key of an account"),
        (ZPUB, "vpub or tpub"),
        (ROOT.derive("m/49h/1h/0h").to_public().to_base58(version=NETWORKS["regtest"]["ypub"]), "vpub or tpub"),
        ("z" * 500, "no extended"),
    ],
)
def test_what_is_no_public_key_of_an_account_here_is_refused(text: str, why: str) -> None:
    with pytest.raises(errors.PublicKeyInvalid) as refused:
        outside.checked(text, network="sandbox")
    assert why in refused.value.detail
    assert text not in str(refused.value)


def test_only_addresses_of_single_keys_are_listed() -> None:
    assert outside.listed(OTHER.upper(), network="sandbox") == OTHER
    for text in ("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", OTHER[:-1]):
        with pytest.raises(errors.AddressInvalid):
            outside.listed(text, network="sandbox")


def test_a_hardware_wallet_is_told_what_it_spends_and_which_keys_are_its_own() -> None:
    made = exported()
    for each in made.inputs:
        assert each.witness_utxo.value == 100_000
        assert each.non_witness_utxo is not None
        ((public, origin),) = each.bip32_derivations.items()
        assert ROOT.derive(origin.derivation).get_public_key() == public
        assert origin.fingerprint.hex() == KEY.fingerprint
    (change,) = [each for each in made.outputs if each.bip32_derivations]
    (origin,) = change.bip32_derivations.values()
    assert bip32.path_to_str(origin.derivation) == "m/84h/1h/0h/1/0"
    without = PublicKey(text=VPUB, fingerprint=None)
    plain = outside.shown(GOOD, network="sandbox", public=without, places=PLACES)
    assert base64.b64decode(plain) == GOOD


def test_a_psbt_that_another_library_signed_is_taken_final_or_not() -> None:
    kind = bdkpython.NetworkKind.TEST
    secret = bdkpython.DescriptorSecretKey(kind, bdkpython.Mnemonic.from_string(MNEMONIC), None)
    external, internal = (
        bdkpython.Descriptor.new_bip84(secret, each, kind)
        for each in (bdkpython.KeychainKind.EXTERNAL, bdkpython.KeychainKind.INTERNAL)
    )
    wallet = bdkpython.Wallet(external, internal, bdkpython.Network.REGTEST, bdkpython.Persister.new_in_memory())
    theirs = bdkpython.Psbt(str(exported()))
    assert wallet.sign(theirs)
    final = theirs.extract_tx()
    expected = psbt.read(GOOD).transaction.txid
    assert accepted(theirs.serialize()) == accepted(bytes(final.serialize()).hex()) == expected
    assert accepted(str(signed())) == str(final.compute_txid())


def test_what_is_taken_is_what_was_handed_out_with_its_signatures_and_nothing_else() -> None:
    done = raw()
    assert transactions.bare(done).raw == psbt.read(GOOD).transaction.raw
    assert [len(each.witness) for each in done.inputs] == [2, 2]


def rewritten(*, script: bytes = b"", locktime: int = 0) -> str:
    done = raw()
    inputs = [Input(each.txid, each.vout, script, each.sequence, each.witness) for each in done.inputs]
    return transactions.write(inputs=inputs, outputs=done.outputs, locktime=locktime).raw.hex()


def half_signed() -> str:
    made = signed()
    made.inputs[1].partial_sigs.clear()
    return str(made)


def another_hash_type() -> str:
    made = exported()
    made.sign_with(ROOT, sighash=None)
    for number, each in enumerate(made.inputs):
        each.partial_sigs.clear()
        key = ROOT.derive(next(iter(each.bip32_derivations.values())).derivation).key
        digest = made.sighash(number, sighash=2)
        each.partial_sigs[key.get_public_key()] = key.sign(digest).serialize() + b"\x02"
    return str(made)


def foreign_key() -> str:
    stranger = bip32.HDKey.from_seed(b"\x05" * 64).derive("m/0/0").key
    made = signed()
    made.inputs[0].partial_sigs.clear()
    made.inputs[0].partial_sigs[stranger.get_public_key()] = stranger.sign(made.sighash(0)).serialize() + b"\x01"
    return str(made)


def two_signatures() -> str:
    made = signed()
    (one,) = made.inputs[1].partial_sigs.items()
    made.inputs[0].partial_sigs[one[0]] = one[1]
    return str(made)


def high_s() -> str:
    """The same signature in the form that nodes do not pass on, which would change what it is sent as."""
    signature, key = raw().inputs[0].witness
    length = signature[3]
    r, s = signature[4 : 4 + length], int.from_bytes(signature[6 + length : -1], "big")
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    turned = (order - s).to_bytes(33, "big")
    body = b"\x02" + bytes([length]) + r + b"\x02" + bytes([len(turned)]) + turned
    return with_witness(0, (b"\x30" + bytes([len(body)]) + body + b"\x01", key))


REFUSED: dict[str, tuple[Callable[[], str], type[errors.ChainError]]] = {
    "nothing": (lambda: "", errors.SignedUnreadable),
    "no base64": (lambda: "§", errors.SignedUnreadable),
    "no transaction": (lambda: "00" * 100, errors.SignedUnreadable),
    "half a PSBT": (lambda: base64.b64encode(GOOD[:60]).decode(), errors.SignedUnreadable),
    "too large": (lambda: "00" * 1_500_000, errors.SignedUnreadable),
    "another destination": (lambda: str(signed(payload(to=FIRST))), errors.SignedDiffers),
    "another amount, so another fee": (lambda: str(signed(payload(paid=150_001))), errors.SignedDiffers),
    "a lock time": (lambda: rewritten(locktime=1), errors.SignedDiffers),
    "a script beside the witness": (lambda: rewritten(script=b"\x51"), errors.SignedDiffers),
    "not signed": (lambda: str(exported()), errors.SignatureMissing),
    "half signed": (half_signed, errors.SignatureMissing),
    "not signed, as a transaction": (lambda: f"{psbt.read(GOOD).transaction.raw.hex()}", errors.SignatureMissing),
    "a stranger's key": (foreign_key, errors.SignatureWrong),
    "a signature of another input": (lambda: with_witness(0, raw().inputs[1].witness), errors.SignatureWrong),
    "a broken signature": (
        lambda: with_witness(0, (b"\x30\x00\x01", raw().inputs[0].witness[1])),
        errors.SignatureWrong,
    ),
    "more than a signature and a key": (
        lambda: with_witness(0, (*raw().inputs[0].witness, b"")),
        errors.SignatureWrong,
    ),
    "two signatures": (two_signatures, errors.SignatureWrong),
    "a signature that leaves outputs open": (another_hash_type, errors.SignatureWrong),
    "a malleated signature": (high_s, errors.SignatureWrong),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_exactly_that_is_refused(name: str) -> None:
    made, refusal = REFUSED[name]
    with pytest.raises(refusal):
        accepted(made())
