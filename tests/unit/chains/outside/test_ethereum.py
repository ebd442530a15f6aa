"""A transaction of Ethereum that others sign, and everything that is refused when it comes back."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from bip_utils import Bip44, Bip44Changes, Bip44Coins
from eth_account import Account

from billfold.chains import errors
from billfold.chains.ethereum import addresses, outside, transactions
from billfold.chains.signing_port import Place

SEED = bytes(range(64))
ACCOUNT = Bip44.FromSeed(SEED, Bip44Coins.ETHEREUM).Purpose().Coin().Account(0)
XPUB = ACCOUNT.PublicKey().ToExtended()
KEY = Account.from_key(ACCOUNT.Change(Bip44Changes.CHAIN_INT).AddressIndex(0).PrivateKey().Raw().ToBytes())
OTHER = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"
CALL = transactions.Call(
    chain_id=1,
    nonce=7,
    max_priority_fee_per_gas=10**9,
    max_fee_per_gas=3 * 10**9,
    gas=21_000,
    to=OTHER,
    value=5,
    data=b"",
)
GOOD = addresses.raw(KEY.address) + transactions.encode(CALL)


def signed(key: Account = KEY, **other: int | str | bytes) -> str:
    call = msgspec.structs.asdict(msgspec.structs.replace(CALL, **other))
    names = {
        "chain_id": "chainId",
        "max_priority_fee_per_gas": "maxPriorityFeePerGas",
        "max_fee_per_gas": "maxFeePerGas",
    }
    fields = {names.get(name, name): value for name, value in call.items()}
    return str(key.sign_transaction({"type": 2, **fields}).raw_transaction.hex())


def changed(*, s: int | None = None, parity: int | None = None) -> str:
    call, was, r, half = transactions.decode_signature(bytes.fromhex(signed()))
    turned = half if s is None else s
    return transactions.encode_signed(call, parity=was if parity is None else parity, r=r, s=turned).hex()


def high_s() -> str:
    """The same signature turned round, which the curve takes and nodes don't."""
    _, parity, _, s = transactions.decode_signature(bytes.fromhex(signed()))
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    return changed(s=order - s, parity=1 - parity)


def test_addresses_are_those_that_another_library_derives_from_the_same_key() -> None:
    assert outside.checked(XPUB, network="main") == XPUB
    for purpose, change in (("deposit", Bip44Changes.CHAIN_EXT), ("hot", Bip44Changes.CHAIN_INT)):
        theirs = [ACCOUNT.Change(change).AddressIndex(index).PublicKey().ToAddress() for index in range(4)]
        assert outside.addresses(XPUB, purpose=purpose, first=0, count=4, network="main") == theirs  # type: ignore[arg-type]
    assert outside.path(XPUB, Place(purpose="hot", index=3), network="main") == "m/44'/60'/0'/1/3"


def test_other_keys_and_addresses_without_a_checksum_are_refused() -> None:
    with pytest.raises(errors.PublicKeyInvalid):
        outside.checked(ACCOUNT.PrivateKey().ToExtended(), network="main")
    with pytest.raises(errors.AddressInvalid):
        outside.addresses(XPUB, purpose="change", first=0, count=1, network="main")
    assert outside.listed(OTHER, network="main") == OTHER
    for text in (OTHER.lower(), OTHER[:-1], OTHER.replace("d8dA", "D8Da")):
        with pytest.raises(errors.AddressInvalid):
            outside.listed(text, network="main")


def test_what_another_library_signs_is_taken_as_it_is() -> None:
    assert outside.shown(GOOD, network="main", public=None, places={}) == "0x" + transactions.encode(CALL).hex()
    for text in (signed(), "0x" + signed(), f" {signed()}\n"):
        found = outside.accepted(GOOD, text, network="main")
        assert found.raw.hex() == signed()
        assert found.chain_tx == transactions.hash_of(found.raw)


REFUSED: dict[str, tuple[Callable[[], str], type[errors.ChainError]]] = {
    "nothing": (lambda: "", errors.SignedUnreadable),
    "no hexadecimal": (lambda: "0xzz", errors.SignedUnreadable),
    "not signed": (lambda: transactions.encode(CALL).hex(), errors.SignedUnreadable),
    "one byte more": (lambda: signed() + "00", errors.SignedUnreadable),
    "another type": (lambda: "01" + signed()[2:], errors.SignedUnreadable),
    "very long": (lambda: signed() + "00" * 10_000, errors.SignedUnreadable),
    "another destination": (lambda: signed(to=KEY.address), errors.SignedDiffers),
    "another amount": (lambda: signed(value=6), errors.SignedDiffers),
    "another fee": (lambda: signed(max_fee_per_gas=4 * 10**9), errors.SignedDiffers),
    "another number": (lambda: signed(nonce=8), errors.SignedDiffers),
    "another network": (lambda: signed(chain_id=11155111), errors.SignedDiffers),
    "something called": (lambda: signed(data=b"\x01"), errors.SignedDiffers),
    "a stranger's key": (lambda: signed(Account.from_key(b"\x05" * 32)), errors.SignatureWrong),
    "a malleated signature": (high_s, errors.SignatureWrong),
    "another parity": (lambda: changed(parity=2), errors.SignatureWrong),
    "no signature": (lambda: changed(s=0), errors.SignatureWrong),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_exactly_that_is_refused(name: str) -> None:
    made, refusal = REFUSED[name]
    with pytest.raises(refusal):
        outside.accepted(GOOD, made(), network="main")
