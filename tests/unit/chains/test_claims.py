"""What keys of addresses sign for a proof of reserves: made by us, read by libraries that others wrote, and back."""

from __future__ import annotations

import base64
from hashlib import sha256
from importlib import import_module
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from embit import ec
from eth_account import Account
from eth_account.messages import encode_defunct
from solders.keypair import Keypair as SolanaPair
from solders.message import from_bytes_versioned
from stellar_sdk import Keypair as StellarPair

from billfold.chains import claims
from billfold.chains.bitcoin import addresses as bitcoin_addresses
from billfold.chains.bitcoin import claims as bitcoin_claims
from billfold.chains.claims import Claim
from billfold.chains.errors import PayloadRefused
from billfold.chains.ethereum import claims as ethereum_claims
from billfold.chains.signing_port import Keys, Place, Signing
from billfold.chains.solana import claims as solana_claims

SEED = bytes(range(64))
HOT = Place(purpose="hot", index=0)
SNAPSHOT = UUID("019aa2c6-7a00-7000-8000-000000000001")
ROOT = sha256(b"root").digest()

#: BIP-322, "Test vectors": the key of an address, and signatures of two sentences by it.
VECTOR_ADDRESS = "bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l"
VECTOR_KEY = "L3VFeEujGtevx9w18HD1fhRbCH67Az2dpCymeRE1SoPK6XQtaN2k"
VECTORS = {
    "": "AkcwRAIgM2gBAQqvZX15ZiysmKmQpDrG83avLIT492QBzLnQIxYCIBaTpOaD20qRlEylyxFSeEA2ba9YOixpX8z46TSDtS40ASECx/"
    "EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=",
    "Hello World": "AkcwRAIgZRfIY3p7/DoVTty6YZbWS71bc5Vct9p9Fia83eRmw2QCICK/ENGfwLtptFluMGs2KsqoNSk89pO7F29zJLUx9a/"
    "sASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=",
}
#: The ids of the two transactions, of the same place.
VECTOR_IDS = {
    "": (
        "c5680aa69bb8d860bf82d4e9cd3504b55dde018de765a91bb566283c545a99a7",
        "1e9654e951a5ba44c8604c4de6c67fd78a27e81dcadcfe1edf638ba3aaebaed6",
    ),
    "Hello World": (
        "b79d196740ad5217771c1098fc4a4b51e0535c32236c71f1ea4d61a2d603352b",
        "88737ae86f2077145f93cc4b153ae9a1cb8d56afa511988c149c5c8c9d93bddf",
    ),
}


def signing(chain: str) -> Signing:
    return cast("Signing", import_module(f"billfold.chains.{chain}.signing"))


def made(chain: str) -> tuple[Claim, str]:
    """A claim of the hot address, and its signature."""
    keys = cast("Keys", import_module(f"billfold.chains.{chain}.keys"))
    (address,) = keys.addresses(SEED, purpose="hot", first=0, count=1, network="main")
    claim = Claim(snapshot=SNAPSHOT, root=ROOT, chain=chain, network="main", address=address)
    return claim, by_own_key(claim, address)


def by_own_key(claim: Claim, address: str) -> str:
    """The sentence of a claim, signed by the key of the hot address, whatever address the claim names."""
    return signing(claim.chain).claim(claim.text(), SEED, address=address, place=HOT, network="main")


@pytest.mark.parametrize("chain", claims.CHAINS)
def test_a_claim_holds_for_its_own_words_alone(chain: str) -> None:
    claim, signature = made(chain)
    assert claims.is_signed(claim, signature)
    # A repeat is the same, so that nobody learns anything from two.
    assert made(chain)[1] == signature
    others: list[dict[str, Any]] = [
        {"snapshot": UUID(int=1)},
        {"root": bytes(32)},
        {"chain": "doge"},
        {"network": "test"},
    ]
    for other in others:
        assert not claims.is_signed(msgspec.structs.replace(claim, **other), signature)
    for text in ("", "0x", signature[:-2], signature[2:], signature + "A", "z" * 300, "0x" + "00" * 65, "é"):
        assert not claims.is_signed(claim, text), text


@pytest.mark.parametrize("chain", claims.CHAINS)
def test_a_claim_is_not_taken_for_another_address(chain: str) -> None:
    claim, signature = made(chain)
    keys = cast("Keys", import_module(f"billfold.chains.{chain}.keys"))
    (other,) = keys.addresses(SEED, purpose="hot", first=1, count=1, network="main")
    assert not claims.is_signed(msgspec.structs.replace(claim, address=other), signature)
    assert not claims.is_signed(msgspec.structs.replace(claim, address="nobody"), signature)
    with pytest.raises(PayloadRefused):
        signing(chain).claim(claim.text(), SEED, address=other, place=HOT, network="main")


@pytest.mark.parametrize("chain", claims.CHAINS)
def test_an_address_in_another_form_has_signed_nothing(chain: str) -> None:
    claim, _ = made(chain)
    for form in (claim.address.upper(), claim.address.lower(), f" {claim.address}", f"{claim.address}\n"):
        if form != claim.address:
            other = msgspec.structs.replace(claim, address=form)
            assert not claims.is_signed(other, by_own_key(other, claim.address))


def test_the_sentence_is_one_line_of_printable_ascii_that_names_everything() -> None:
    claim, _ = made("bitcoin")
    text = claim.text()
    assert text.isascii()
    assert text.isprintable()
    for part in (str(SNAPSHOT), ROOT.hex(), "bitcoin", "main", claim.address):
        assert part in text


@pytest.mark.parametrize("text", VECTORS)
def test_bitcoin_signs_as_bip_322_does(text: str) -> None:
    key = ec.PrivateKey.from_wif(VECTOR_KEY)
    script = bitcoin_addresses.script_of(VECTOR_ADDRESS, "main")
    pair = bitcoin_claims.spend(text, script)
    assert (pair.spent.txid().hex(), pair.signed.txid().hex()) == VECTOR_IDS[text]
    assert bitcoin_claims.is_signed(text, VECTORS[text], address=VECTOR_ADDRESS, network="main")
    made = key.sign(bitcoin_claims.digest(text, script)).serialize() + b"\x01"
    ours = bitcoin_claims.encoded(made, key.sec())
    assert bitcoin_claims.is_signed(text, ours, address=VECTOR_ADDRESS, network="main")
    assert not bitcoin_claims.is_signed(text + ".", ours, address=VECTOR_ADDRESS, network="main")


def test_what_bitcoin_signs_spends_a_coin_that_can_not_be() -> None:
    claim, _ = made("bitcoin")
    pair = bitcoin_claims.spend(claim.text(), bitcoin_addresses.script_of(claim.address, "main"))
    (spent,), (signed,) = pair.spent.vin, pair.signed.vin
    assert (spent.txid, spent.vout) == (bytes(32), 0xFFFFFFFF)
    assert (signed.txid, signed.vout) == (pair.spent.txid(), 0)
    assert pair.signed.vout[0].value == 0


def test_ethereum_signs_what_wallets_sign_for_personal_sign() -> None:
    claim, signature = made("ethereum")
    said = encode_defunct(text=claim.text())
    assert Account.recover_message(said, signature=signature) == claim.address
    theirs = Account.create()
    by_them = theirs.sign_message(said).signature.to_0x_hex()
    assert ethereum_claims.is_signed(claim.text(), by_them, address=theirs.address, network="main")
    assert not ethereum_claims.is_signed(claim.text(), by_them, address=claim.address, network="main")


def test_what_solana_signs_is_no_message_of_a_transaction() -> None:
    said = solana_claims.message("words", signer=bytes(SolanaPair().pubkey()))
    assert said[:16] == b"\xffsolana offchain"
    with pytest.raises(Exception, match=r".+"):
        from_bytes_versioned(said)


def test_stellar_signs_as_sep_53_does() -> None:
    #: SEP-53, "Test cases".
    pair = StellarPair.from_secret("SAKICEVQLYWGSOJS4WW7HZJWAHZVEEBS527LHK5V4MLJALYKICQCJXMW")
    vector = "fO5dbYhXUhBMhe6kId/cuVq/AfEnHRHEvsP8vXh03M1uLpi5e46yO2Q8rEBzu3feXQewcQE5GArp88u6ePK6BA=="
    assert base64.b64encode(pair.sign_message("Hello, World!")).decode() == vector
    claim, signature = made("stellar")
    StellarPair.from_public_key(claim.address).verify_message(claim.text(), base64.b64decode(signature))
