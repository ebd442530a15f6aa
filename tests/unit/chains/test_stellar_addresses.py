"""Addresses of Stellar as people write them, and memos."""

import pytest
from stellar_sdk import Keypair, MuxedAccount, StrKey

from billfold.chains import errors, stellar
from billfold.chains.nodes import Nodes
from billfold.chains.stellar import addresses, memos

ACCOUNT = "GDRXE2BQUC3AZNPVFSCEZ76NJ3WWL25FYFK6RGZGIEKWE4SOOHSUJUJ6"
SECRET = "SBGWSG6BTNCKCOB3DIFBGCVMUPQFYPA2G4O34RMTB343OYPXU5DJDVMN"


def test_an_account_is_itself_and_a_muxed_one_has_its_number_taken_out() -> None:
    assert addresses.canonical(f" {ACCOUNT}\n") == (ACCOUNT, None)
    for number in (0, 1, 2**64 - 1):
        muxed = MuxedAccount(ACCOUNT, number).account_muxed
        assert muxed is not None
        assert addresses.canonical(muxed) == (ACCOUNT, f"id:{number}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "G",
        ACCOUNT[:-1],
        ACCOUNT[:-1] + "7",
        ACCOUNT.lower(),
        ACCOUNT.replace("G", "\u0413", 1),
        ACCOUNT + ACCOUNT,
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "4Nd1mYQZ8sGzT9bHhM5hY7fJvP6mQ5c8XxXxXxXxXxXx",
        "G" * 10_000,
        "\x00" * 56,
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(errors.AddressInvalid):
        addresses.canonical(text)


def test_a_contract_can_not_be_paid_and_says_so() -> None:
    with pytest.raises(errors.AddressInvalid, match="contract"):
        addresses.canonical(StrKey.encode_contract(b"\x07" * 32))


def test_a_secret_that_somebody_pastes_is_not_repeated() -> None:
    with pytest.raises(errors.AddressInvalid) as refused:
        addresses.canonical(SECRET)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "memo", [None, "text:", "text:ü€", "id:0", f"id:{2**64 - 1}", f"hash:{'0f' * 32}", f"return:{'a0' * 32}"]
)
def test_a_memo_comes_back_as_it_went(memo: str | None) -> None:
    assert memos.shown(memos.parsed(memo)) == memo


@pytest.mark.parametrize(
    "memo", ["", "5", "id:-1", "id:007", f"id:{2**64}", "id:\u0665", "text:" + "x" * 29, "hash:00", "HASH:" + "0" * 64]
)
def test_a_memo_that_stellar_does_not_have_is_refused(memo: str) -> None:
    with pytest.raises(errors.PaymentInvalid):
        memos.parsed(memo)


async def test_the_adapter_tells_what_kind_of_chain_it_is() -> None:
    chain = stellar.open(Nodes(network="main", urls=["http://127.0.0.1:9"]))
    assert (chain.name, chain.coin, chain.model, chain.network) == ("stellar", "XLM", "nonce", "main")
    assert chain.canonical(Keypair.from_secret(SECRET).public_key) == (ACCOUNT, None)
    await chain.close()
