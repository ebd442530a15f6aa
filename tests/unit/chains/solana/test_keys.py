from __future__ import annotations

import bip_utils
import pytest

from billfold.chains.errors import PayloadRefused
from billfold.chains.signing_port import Place
from billfold.chains.solana import keys

#: https://github.com/satoshilabs/slips/blob/master/slip-0010.md, "Test vector 1 for ed25519" and 2.
ONE = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
TWO = bytes.fromhex(
    "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a8784817e7b7875726f6c696663605d5a"
    "5754514e4b484542"
)
VECTORS = [
    (ONE, (), "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7"),
    (ONE, (0,), "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3"),
    (ONE, (0, 1), "b1d0bad404bf35da785a64ca1ac54b2617211d2777696fbffaf208f746ae84f2"),
    (ONE, (0, 1, 2), "92a5b23c0b8a99e37d07df3fb9966917f5d06e02ddbd909c7e184371463e9fc9"),
    (ONE, (0, 1, 2, 2), "30d1dc7e5fc04c31219ab25a27ae00b50f6fd66622f6e9c913253d6511d1e662"),
    (ONE, (0, 1, 2, 2, 1_000_000_000), "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793"),
    (TWO, (), "171cb88b1b3c1db25add599712e36245d75bc65a1a5c9e18d76f9f2b1eab4012"),
    (TWO, (0,), "1559eb2bbec5790b0c65d8693e4d0875b1747f4970ae8b650486ed7470845635"),
    (TWO, (0, 2_147_483_647), "ea4f5bfe8694d8bb74b7b59404632fd5968b774ed545e810de9c32a4fb4192f4"),
]
MNEMONIC = "abandon " * 11 + "about"
SEED = bip_utils.Bip39SeedGenerator(MNEMONIC).Generate()


@pytest.mark.parametrize(("seed", "numbers", "private"), VECTORS)
def test_the_published_vectors_come_out(seed: bytes, numbers: tuple[int, ...], private: str) -> None:
    assert keys.private(seed, numbers).hex() == private


def test_deposits_are_where_another_library_and_other_wallets_look_for_them() -> None:
    coin = bip_utils.Bip44.FromSeed(SEED, bip_utils.Bip44Coins.SOLANA).Purpose().Coin()
    theirs = [
        coin.Account(index).Change(bip_utils.Bip44Changes.CHAIN_EXT).PublicKey().ToAddress() for index in (0, 1, 7)
    ]

    ours = keys.addresses(SEED, purpose="deposit", first=0, count=8, network="main")

    assert [ours[0], ours[1], ours[7]] == theirs
    assert ours[0] == "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk"


def test_hot_addresses_are_others_and_the_signers_key_is_the_address() -> None:
    (hot,) = keys.addresses(SEED, purpose="hot", first=3, count=1, network="main")

    theirs = bip_utils.Bip32Slip10Ed25519.FromSeedAndPath(SEED, "m/44'/501'/3'/1'").PublicKey()
    assert hot == bip_utils.SolAddrEncoder.EncodeKey(theirs.KeyObject())
    assert hot == str(keys.keypair(SEED, Place(purpose="hot", index=3)).pubkey())
    assert hot not in keys.addresses(SEED, purpose="deposit", first=0, count=10, network="main")


def test_a_path_is_told() -> None:
    assert keys.path(Place(purpose="deposit", index=7), network="main") == "m/44'/501'/7'/0'"
    assert keys.path(Place(purpose="hot", index=0), network="sandbox") == "m/44'/501'/0'/1'"
    assert keys.public(SEED, network="main") is None


@pytest.mark.parametrize("place", [Place(purpose="change", index=0), Place(purpose="hot", index=2**31)])
def test_what_solana_does_not_have_is_refused(place: Place) -> None:
    with pytest.raises(PayloadRefused):
        keys.keypair(SEED, place)
