"""Whom the signer may be told to pay is written as it is read in transactions."""

from __future__ import annotations

import pytest
from stellar_sdk import MuxedAccount

from billfold.chains.errors import AddressInvalid
from billfold.signer.service import chains

BITCOIN = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
ETHEREUM = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
SOLANA = "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk"
STELLAR = "GDRXE2BQUC3AZNPVFSCEZ76NJ3WWL25FYFK6RGZGIEKWE4SOOHSUJUJ6"


@pytest.mark.parametrize(
    ("chain", "given", "one"),
    [
        ("bitcoin", BITCOIN.upper(), BITCOIN),
        ("ethereum", ETHEREUM.lower(), ETHEREUM),
        ("solana", SOLANA, SOLANA),
        ("stellar", STELLAR, STELLAR),
    ],
)
def test_an_address_has_one_form(chain: str, given: str, one: str) -> None:
    assert chains.of(chain).signing.destination(given, network="main") == one


@pytest.mark.parametrize(
    ("chain", "given"),
    [
        ("bitcoin", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"),
        ("bitcoin", ETHEREUM),
        ("ethereum", ETHEREUM.replace("A", "a", 1)),
        ("ethereum", BITCOIN),
        ("solana", ETHEREUM),
        ("solana", SOLANA[:-4]),
        ("stellar", STELLAR[:-1] + "A"),
        ("stellar", MuxedAccount(STELLAR, 7).account_muxed),
    ],
)
def test_what_nothing_is_paid_to_is_refused(chain: str, given: str) -> None:
    with pytest.raises(AddressInvalid):
        chains.of(chain).signing.destination(given, network="main")
