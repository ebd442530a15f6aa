"""Published vectors, and a second library that must agree."""

import pytest
from bip_utils import Bip44Changes, Bip84, Bip84Coins
from embit import bip39
from hypothesis import given, settings
from hypothesis import strategies as st

from billfold.chains import errors
from billfold.chains.bitcoin import keys
from billfold.chains.signing_port import Place, Purpose

#: BIP-84's own mnemonic, and its seed by BIP-39.
MNEMONIC = " ".join(["abandon"] * 11 + ["about"])
SEED = bip39.mnemonic_to_seed(MNEMONIC)


def test_a_seed_is_that_of_the_vectors_of_bip_39() -> None:
    assert bip39.mnemonic_to_seed(MNEMONIC, "TREZOR").hex() == (
        "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e5349553"
        "1f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04"
    )


def test_addresses_are_those_of_the_vectors_of_bip_84() -> None:
    assert keys.addresses(SEED, purpose="deposit", first=0, count=2, network="main") == [
        "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu",
        "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g",
    ]
    assert keys.addresses(SEED, purpose="change", first=0, count=1, network="main") == [
        "bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el"
    ]


def test_the_public_key_of_the_account_is_that_of_the_vectors_of_bip_84() -> None:
    assert keys.public(SEED, network="main") == (
        "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs"
    )


@pytest.mark.parametrize(
    ("place", "network", "path"),
    [
        (Place(purpose="deposit", index=7), "main", "m/84'/0'/0'/0/7"),
        (Place(purpose="change", index=0), "test", "m/84'/1'/0'/1/0"),
        (Place(purpose="hot", index=2), "sandbox", "m/84'/1'/1'/0/2"),
    ],
)
def test_each_purpose_has_a_branch_of_its_own(place: Place, network: str, path: str) -> None:
    assert keys.path(place, network=network) == path  # type: ignore[arg-type] # parametrized text


@settings(max_examples=15)
@given(
    seed=st.binary(min_size=64, max_size=64),
    purpose=st.sampled_from(["deposit", "change", "hot"]),
    first=st.integers(0, 2**31 - 3),
    network=st.sampled_from(["main", "test"]),
)
def test_another_library_finds_the_same_addresses(seed: bytes, purpose: Purpose, first: int, network: str) -> None:
    coin = Bip84Coins.BITCOIN if network == "main" else Bip84Coins.BITCOIN_TESTNET
    account = Bip84.FromSeed(seed, coin).Purpose().Coin().Account(1 if purpose == "hot" else 0)
    branch = account.Change(Bip44Changes.CHAIN_INT if purpose == "change" else Bip44Changes.CHAIN_EXT)
    expected = [branch.AddressIndex(first + number).PublicKey().ToAddress() for number in range(2)]

    found = keys.addresses(seed, purpose=purpose, first=first, count=2, network=network)  # type: ignore[arg-type]

    assert found == expected
    place = Place(purpose=purpose, index=first)
    secret = branch.AddressIndex(first).PrivateKey().Raw().ToBytes()
    assert keys.secret(seed, place, network=network) == secret  # type: ignore[arg-type]
    if purpose != "hot":
        assert keys.public(seed, network=network) == account.PublicKey().ToExtended()  # type: ignore[arg-type]


def test_there_are_no_channels_and_no_places_beyond_the_last() -> None:
    with pytest.raises(errors.AddressInvalid, match="no addresses for channel"):
        keys.addresses(SEED, purpose="channel", first=0, count=1, network="main")
    with pytest.raises(errors.AddressInvalid, match="from 0 to 2147483647"):
        keys.path(Place(purpose="deposit", index=2**31), network="main")
