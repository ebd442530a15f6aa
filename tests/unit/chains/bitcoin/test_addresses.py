import contextlib

import pytest
from embit import bech32
from hypothesis import given
from hypothesis import strategies as st

from billfold.chains import errors
from billfold.chains.bitcoin import addresses
from billfold.chains.port import Network

#: Address and script: BIP-173, BIP-350, BIP-86, and the address of the first block.
KNOWN: list[tuple[Network, str, str]] = [
    ("main", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
    (
        "test",
        "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
        "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
    ),
    (
        "main",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    ),
    ("main", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac"),
    ("main", "3P14159f73E4gFr7JterCCQh9QjiTjiZrG", "a914e9c3dd0c07aac76179ebc76a6c78d4d67c6c160a87"),
    ("sandbox", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
]


@pytest.mark.parametrize(("network", "address", "script"), KNOWN)
def test_an_address_stands_for_its_script_and_back(network: Network, address: str, script: str) -> None:
    assert addresses.script_of(address, network).hex() == script
    assert addresses.address_of(bytes.fromhex(script), network) == address


def test_capital_letters_are_the_same_address() -> None:
    assert addresses.canonical(KNOWN[0][1].upper(), "main") == KNOWN[0][1]


@given(program=st.one_of(st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32)))
def test_our_quick_encoder_says_what_embit_says(program: bytes) -> None:
    assert addresses.address_of(bytes([0, len(program)]) + program, "main") == bech32.encode("bc", 0, program)
    if len(program) == 32:
        assert addresses.address_of(b"\x51\x20" + program, "sandbox") == bech32.encode("bcrt", 1, program)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a Bitcoin address"),
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "checksum"),
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3T4", "checksum"),
        ("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "another network"),
        ("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "another network"),
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "mistyped"),
        # Witness version 16, which has no meaning (BIP-350).
        ("bc1sw50qgdz25j", "not in use yet"),
        # Version 1 with the checksum of version 0.
        ("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd", "checksum"),
        ("bc1" + "q" * 1000, "so long"),
        ("0x52908400098527886E0F7030069857D2E4169EE7", "not a Bitcoin address"),
        # A Cyrillic letter that looks like a Latin one.
        ("bc1qw508d6qejxtdg4y5r3zаrvary0c5xw7kv8f3t4", "checksum"),  # noqa: RUF001
    ],
)
def test_what_is_no_address_here_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(errors.AddressInvalid, match=said):
        addresses.script_of(text, "main")


@given(text=st.text(max_size=100))
def test_whatever_is_typed_is_an_address_or_refused(text: str) -> None:
    with contextlib.suppress(errors.AddressInvalid):
        assert addresses.script_of(text, "main")
