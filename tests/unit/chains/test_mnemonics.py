"""Mnemonics are BIP-39's: its published vectors, and a second library that agrees."""

import secrets

import pytest
from bip_utils import Bip39MnemonicGenerator, Bip39SeedGenerator

from billfold.chains import mnemonics

#: github.com/trezor/python-mnemonic/blob/master/vectors.json, which BIP-39 names: entropy, words, seed with "TREZOR".
VECTORS = [
    (
        "00000000000000000000000000000000",
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
        (
            "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f"
            "001698e7463b04"
        ),
    ),
    (
        "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
        "legal winner thank year wave sausage worth useful legal winner thank yellow",
        (
            "2e8905819b8723fe2c1d161860e5ee1830318dbf49a83bd451cfb8440c28bd6fa457fe1296106559a3c80937a1c1069be3a3a5bd381ee6260e"
            "8d9739fce1f607"
        ),
    ),
    (
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote",
        (
            "dd48c104698c30cfe2b6142103248622fb7bb0ff692eebb00089b32d22484e1613912f0a5b694407be899ffd31ed3992c456cdf60f5d4564b8"
            "ba3f05a69890ad"
        ),
    ),
]


@pytest.mark.parametrize(("entropy", "words", "seed"), VECTORS)
def test_the_published_vectors_come_out(entropy: str, words: str, seed: str) -> None:
    assert mnemonics.words(bytes.fromhex(entropy)) == words
    assert mnemonics.entropy(words).hex() == entropy
    assert mnemonics.seed(words, "TREZOR").hex() == seed


@pytest.mark.parametrize("length", mnemonics.ENTROPY_BYTES)
def test_another_library_says_the_same(length: int) -> None:
    entropy = secrets.token_bytes(length)
    words = mnemonics.words(entropy)
    assert words == str(Bip39MnemonicGenerator().FromEntropy(entropy))
    assert mnemonics.seed(words, "gött") == bytes(Bip39SeedGenerator(words).Generate("gött"))


@pytest.mark.parametrize(
    "words",
    [
        "",
        "abandon",
        "abandon " * 11 + "abandon",
        "abandon " * 11 + "notaword",
        "abandon " * 12 + "about",
        "abandon " * 26 + "about",
        "ABANDON " * 11 + "about",
    ],
)
def test_what_is_no_mnemonic_is_refused_without_being_repeated(words: str) -> None:
    with pytest.raises(mnemonics.MnemonicInvalid) as met:
        mnemonics.seed(words)
    assert "notaword" not in repr(met.value)
    assert met.value.__cause__ is None


def test_spaces_do_not_matter() -> None:
    words = VECTORS[0][1]
    assert mnemonics.seed("\n  " + words.replace(" ", "  ") + "\n") == mnemonics.seed(words)
