"""Stellar's keys: the vectors of SEP-5, and another library's opinion."""

import hashlib

import pytest
from bip_utils import Bip44, Bip44Coins
from stellar_sdk import Keypair

from billfold.chains import errors
from billfold.chains.signing_port import Place, Purpose
from billfold.chains.stellar import keys

#: https://github.com/stellar/stellar-protocol/blob/master/ecosystem/sep-0005.md, test 1.
WORDS = b"illness spike retreat truth genius clock brain pass fit cave bargain toe"
SEED = hashlib.pbkdf2_hmac("sha512", WORDS, b"mnemonic", 2048)
VECTORS = {
    0: (
        "GDRXE2BQUC3AZNPVFSCEZ76NJ3WWL25FYFK6RGZGIEKWE4SOOHSUJUJ6",
        "SBGWSG6BTNCKCOB3DIFBGCVMUPQFYPA2G4O34RMTB343OYPXU5DJDVMN",
    ),
    1: (
        "GBAW5XGWORWVFE2XTJYDTLDHXTY2Q2MO73HYCGB3XMFMQ562Q2W2GJQX",
        "SCEPFFWGAG5P2VX5DHIYK3XEMZYLTYWIPWYEKXFHSK25RVMIUNJ7CTIS",
    ),
}


def hot(index: int) -> Place:
    return Place(purpose="hot", index=index)


@pytest.mark.parametrize("index", VECTORS)
def test_keys_are_those_of_sep_5(index: int) -> None:
    pair = keys.pair(SEED, hot(index), network="main")
    assert (pair.address, Keypair.from_raw_ed25519_seed(pair._secret[:32]).secret) == VECTORS[index]
    assert keys.path(hot(index), network="main") == f"m/44'/148'/{index}'"


def test_another_library_derives_the_same_addresses() -> None:
    seed = hashlib.sha512(b"any").digest()
    account = Bip44.FromSeed(seed, Bip44Coins.STELLAR).Purpose().Coin()
    theirs = [str(account.Account(number).PublicKey().ToAddress()) for number in (0, 1, 2, 1_000, 1_001)]
    ours = [
        *keys.addresses(seed, purpose="hot", first=0, count=3, network="main"),
        *keys.addresses(seed, purpose="channel", first=0, count=2, network="main"),
    ]
    assert ours == theirs


def test_hot_accounts_and_channels_never_meet() -> None:
    assert keys.path(Place(purpose="channel", index=0), network="test") == "m/44'/148'/1000'"
    with pytest.raises(errors.AddressInvalid):
        keys.path(hot(1_000), network="test")


@pytest.mark.parametrize(("purpose", "index"), [("deposit", 0), ("change", 0), ("hot", -1), ("channel", 2**31)])
def test_there_are_no_other_places(purpose: Purpose, index: int) -> None:
    with pytest.raises(errors.AddressInvalid):
        keys.path(Place(purpose=purpose, index=index), network="main")


def test_nothing_public_derives_addresses() -> None:
    assert keys.public(SEED, network="main") is None
