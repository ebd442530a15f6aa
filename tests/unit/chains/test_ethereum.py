"""Ethereum without a node: addresses, keys, and what the signer understands of a transaction."""

import hashlib

import pytest
import rlp  # type: ignore[import-untyped]  # it has no types
from bip_utils import Bip44, Bip44Coins
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from billfold.chains import errors
from billfold.chains.ethereum import addresses, keys, signing, transactions
from billfold.chains.port import Network, Payment
from billfold.chains.signing_port import Place

#: BIP-39: PBKDF2 over the mnemonic that all tools for local chains share.
SEED = hashlib.pbkdf2_hmac("sha512", b" ".join([b"test"] * 11 + [b"junk"]), b"mnemonic", 2048)
#: Its first accounts, as hardhat and anvil print them.
FIRST = [
    "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
]
#: From the text of EIP-55.
CHECKSUMMED = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]
USDC = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
HOT = Place(purpose="hot", index=0)


def call(**other: object) -> transactions.Call:
    fields = {
        "chain_id": 1,
        "nonce": 7,
        "max_priority_fee_per_gas": 10**9,
        "max_fee_per_gas": 3 * 10**9,
        "gas": 21_000,
        "to": FIRST[1],
        "value": 5,
        "data": b"",
    }
    return transactions.Call(**fields | other)  # type: ignore[arg-type]  # each test says what it is about


def payload(made: transactions.Call, sender: str = FIRST[0]) -> bytes:
    return addresses.raw(sender) + transactions.encode(made)


@pytest.mark.parametrize("address", CHECKSUMMED)
def test_an_address_is_taken_with_its_checksum_or_without_any(address: str) -> None:
    for written in (address, address.lower(), "0x" + address[2:].upper()):
        assert addresses.canonical(written) == address


@given(st.binary(min_size=20, max_size=20), st.integers(2, 41))
def test_a_letter_in_the_wrong_case_is_found(raw: bytes, place: int) -> None:
    right = addresses.checksummed(raw)
    wrong = right[:place] + right[place].swapcase() + right[place + 1 :]
    if wrong == right or wrong[2:] in (wrong[2:].lower(), wrong[2:].upper()):
        return
    with pytest.raises(errors.AddressInvalid):
        addresses.canonical(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        FIRST[0][2:],
        FIRST[0] + "0",
        FIRST[0][:-1],
        FIRST[0] + "\n",
        " " + FIRST[0],
        FIRST[0].replace("a", "\N{CYRILLIC SMALL LETTER A}"),
        "0X" + FIRST[0][2:],
        "vitalik.eth",
        "0x" + 64 * "1",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "0x" + 39 * "1" + "g",
    ],
)
def test_what_is_no_address_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(errors.AddressInvalid) as refused:
        addresses.canonical(text)
    assert refused.value.detail.endswith(".")


@pytest.mark.parametrize(
    ("ours", "alike"),
    [
        ("a", "\N{CYRILLIC SMALL LETTER A}"),
        ("c", "\N{CYRILLIC SMALL LETTER ES}"),
        ("e", "\N{CYRILLIC SMALL LETTER IE}"),
        ("B", "\N{CYRILLIC CAPITAL LETTER VE}"),
        ("E", "\N{GREEK CAPITAL LETTER EPSILON}"),
        ("0", "\N{FULLWIDTH DIGIT ZERO}"),
        ("5", "\N{ARABIC-INDIC DIGIT FIVE}"),
        ("x", "\N{CYRILLIC SMALL LETTER HA}"),
    ],
)
def test_letters_that_only_look_like_those_of_an_address_are_named_as_what_is_wrong(ours: str, alike: str) -> None:
    right = "0x00a5Bc" + "eE" * 17
    right = right.lower() if ours.islower() else right[:2] + right[2:].upper()
    assert addresses.canonical(right)
    assert ours in right
    with pytest.raises(errors.AddressInvalid, match="only look like") as refused:
        addresses.canonical(right.replace(ours, alike, 1))
    assert refused.value.code == "address_invalid"


@pytest.mark.parametrize("network", ["main", "test", "sandbox"])
def test_keys_are_where_bip_44_has_them(network: Network) -> None:
    assert keys.addresses(SEED, purpose="deposit", first=0, count=3, network=network) == FIRST
    assert keys.path(Place(purpose="deposit", index=7), network=network) == "m/44'/60'/0'/0/7"
    assert keys.path(Place(purpose="hot", index=7), network=network) == "m/44'/60'/1'/0/7"
    account = Bip44.FromSeed(SEED, Bip44Coins.ETHEREUM).Purpose().Coin()
    assert keys.public(SEED, network=network) == account.Account(0).PublicKey().ToExtended()


@given(st.binary(min_size=64, max_size=64), st.integers(0, 2**31 - 1), st.sampled_from(["deposit", "hot"]))
def test_another_library_derives_the_same(seed: bytes, index: int, purpose: str) -> None:
    place = Place(purpose=purpose, index=index)  # type: ignore[arg-type]  # it is sampled from them
    account = Bip44.FromSeed(seed, Bip44Coins.ETHEREUM).Purpose().Coin().Account(int(purpose == "hot"))
    branch = account.Bip32Object().ChildKey(0)
    other = Account.from_key(branch.ChildKey(index).PrivateKey().Raw().ToBytes())
    assert keys.addresses(seed, purpose=place.purpose, first=index, count=1, network="main") == [other.address]


def test_there_are_no_addresses_for_change_and_none_above_the_last() -> None:
    for purpose, first, count in (("change", 0, 1), ("channel", 0, 1), ("deposit", -1, 1), ("deposit", 2**31 - 1, 2)):
        with pytest.raises(errors.AddressInvalid):
            keys.addresses(SEED, purpose=purpose, first=first, count=count, network="main")  # type: ignore[arg-type]


def test_the_signer_shows_what_a_payment_does() -> None:
    coin = signing.read(payload(call()), network="main")
    assert (list(coin.sources), coin.fee_max, coin.kind) == ([FIRST[0]], 21_000 * 3 * 10**9, "pay")
    assert list(coin.payments) == [Payment(address=FIRST[1], amount=5)]
    token = signing.read(
        payload(call(to=USDC, value=0, data=transactions.transfer(FIRST[2], 77), gas=100_000)), network="main"
    )
    assert list(token.payments) == [Payment(address=FIRST[2], amount=77, token=USDC)]
    nothing = signing.read(payload(call(to=FIRST[0], value=0)), network="main")
    assert (nothing.kind, list(nothing.payments)) == ("cancel", [Payment(address=FIRST[0], amount=0)])


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**256 - 1), st.integers(0, 2**64), st.booleans())
def test_another_library_signs_the_same_bytes(nonce: int, value: int, fee: int, is_token: bool) -> None:  # noqa: FBT001
    data = transactions.transfer(FIRST[2], value) if is_token else b""
    made = call(nonce=nonce, value=0 if is_token else value, max_fee_per_gas=fee, max_priority_fee_per_gas=0, data=data)
    sender = keys.addresses(SEED, purpose="hot", first=0, count=1, network="main")[0]
    signed = signing.sign(payload(made, sender), SEED, places={sender: HOT}, network="main")
    theirs = {"type": 2, "chainId": 1, "nonce": nonce, "gas": made.gas, "to": made.to, "value": made.value}
    theirs |= {"maxFeePerGas": fee, "maxPriorityFeePerGas": 0, "data": data}
    other = Account.sign_transaction(theirs, keys.secret(SEED, HOT))
    assert (signed.raw, signed.chain_tx) == (bytes(other.raw_transaction), "0x" + bytes(other.hash).hex())
    assert transactions.decode_signed(signed.raw) == made


@pytest.mark.parametrize(
    "made",
    [
        call(chain_id=5),
        call(chain_id=31337),
        call(max_priority_fee_per_gas=4 * 10**9),
        call(data=b"\0"),
        call(to=USDC, value=1, data=transactions.transfer(FIRST[2], 77)),
        call(to=USDC, value=0, data=transactions.transfer(FIRST[2], 77) + b"\0"),
        call(to=USDC, value=0, data=transactions.transfer(FIRST[2], 77)[:-1]),
        call(to=USDC, value=0, data=bytes.fromhex("095ea7b3") + transactions.transfer(FIRST[2], 77)[4:]),
        call(to=USDC, value=0, data=transactions.transfer(FIRST[2], 77)[:4] + b"\1" + bytes(63)),
    ],
)
def test_what_is_not_a_payment_of_this_network_is_not_signed(made: transactions.Call) -> None:
    with pytest.raises(errors.PayloadRefused):
        signing.read(payload(made), network="main")


def test_what_is_not_understood_to_the_last_byte_is_not_signed() -> None:
    good = payload(call())
    fields = rlp.decode(good[21:])
    access = [[addresses.raw(USDC), []]]
    others = [
        [*fields[:8], access],
        [*fields[:5], b"", *fields[6:]],
        [*fields[:5], fields[5][1:], *fields[6:]],
        [*fields[:6], b"\0\5", *fields[7:]],
        fields[:8],
        [*fields, b""],
        [[], *fields[1:]],
    ]
    broken = [good[:20] + b"\x02" + rlp.encode(each) for each in others]
    broken += [b"", good[:20], good[:-1], good + b"\0", good[:20] + b"\x01" + good[21:], good[:20] + good[21:]]
    # A length that says in two bytes what one could: the same to some readers, and other bytes.
    broken.append(good[:21] + b"\xf8" + bytes([good[21] - 0xC0]) + good[22:])
    for each in broken:
        with pytest.raises(errors.PayloadRefused):
            signing.read(each, network="main")


@given(st.binary(max_size=200), st.integers(0, 60))
def test_bytes_that_were_changed_are_another_transaction_or_none(noise: bytes, place: int) -> None:
    good = payload(call())
    changed = good[:place] + noise + good[place + len(noise) :]
    for tried in (noise, changed):
        try:
            shown = signing.read(tried, network="main")
        except errors.PayloadRefused:
            continue
        assert tried == good or shown != signing.read(good, network="main") or tried[20:] != good[20:]


def test_a_key_signs_only_for_its_own_address() -> None:
    made = payload(call())
    for places in ({}, {FIRST[0]: HOT}, {FIRST[1]: Place(purpose="deposit", index=1)}):
        with pytest.raises(errors.PayloadRefused):
            signing.sign(made, SEED, places=places, network="main")
    signed = signing.sign(made, SEED, places={FIRST[0]: Place(purpose="deposit", index=0)}, network="main")
    assert Account.recover_transaction(signed.raw) == FIRST[0]
