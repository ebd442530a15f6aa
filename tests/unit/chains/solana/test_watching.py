"""What is read of a block, from answers as nodes give them and as they had better not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from solders.keypair import Keypair

from billfold.chains.errors import AddressInvalid, NodeWrong
from billfold.chains.port import Block
from billfold.chains.solana import addresses, fees, orders, watching

PAYER, OWNER, MINT, FAKE, ELSEWHERE = (str(Keypair.from_seed(bytes([one] * 32)).pubkey()) for one in range(5))
#: Where OWNER has the token.
ACCOUNT = str(orders.token_account(OWNER, MINT))
SIGNATURE = "5" * 88


def held(index: int, owner: str, amount: int, mint: str = MINT) -> dict[str, Any]:
    told = {"amount": str(amount), "decimals": 6, "uiAmount": None, "uiAmountString": "?"}
    return {"accountIndex": index, "owner": owner, "mint": mint, "uiTokenAmount": told}


def block(**meta: Any) -> dict[str, Any]:
    """A block with one transaction, in which PAYER has paid 5 lamports to OWNER for a fee of 10."""
    usual = {
        "err": None,
        "fee": 10,
        "preBalances": [100, 0, 7, 7],
        "postBalances": [85, 5, 7, 7],
        "preTokenBalances": [],
        "postTokenBalances": [],
    }
    keys = [{"pubkey": key, "signer": key == PAYER, "writable": True} for key in (PAYER, OWNER, ACCOUNT, ELSEWHERE)]
    return {
        "blockHeight": 5,
        "blockTime": 1_700_000_000,
        "blockhash": FAKE,
        "parentSlot": 8,
        "previousBlockhash": MINT,
        "transactions": [{"meta": usual | meta, "transaction": {"signatures": [SIGNATURE], "accountKeys": keys}}],
    }


def read(answer: Any) -> Block:
    return watching.reader(9, {MINT})(answer)


def seen(answer: Any) -> list[tuple[str, str | None, int, str]]:
    return [(one.address, one.token, one.amount, one.index) for one in read(answer).movements]


def test_lamports_that_arrived_are_a_movement() -> None:
    (movement,) = read(block()).movements
    assert (movement.chain_tx, movement.address, movement.amount) == (SIGNATURE, OWNER, 5)
    assert (movement.index, movement.sender, movement.token) == ("native:1", PAYER, None)


def test_what_failed_has_moved_nothing() -> None:
    assert seen(block(err={"InstructionError": [0, {"Custom": 1}]})) == []


def test_of_tokens_what_an_owner_has_more_counts_whatever_was_sent() -> None:
    fee_on_transfer = block(
        preTokenBalances=[held(2, OWNER, 100), held(0, PAYER, 1_000)],
        postTokenBalances=[held(2, OWNER, 190), held(0, PAYER, 900)],
    )
    assert seen(fee_on_transfer)[1:] == [(OWNER, MINT, 90, "token:2")]
    assert read(fee_on_transfer).movements[1].sender == PAYER


def test_a_token_account_that_gets_another_owner_brings_them_what_is_in_it() -> None:
    given = block(preTokenBalances=[held(2, PAYER, 70)], postTokenBalances=[held(2, OWNER, 70)])
    assert seen(given)[1:] == [(OWNER, MINT, 70, "token:2")]


def test_what_comes_to_another_account_of_an_owner_is_no_deposit_and_says_why() -> None:
    given = block(
        preTokenBalances=[held(0, PAYER, 100), held(2, OWNER, 5)],
        postTokenBalances=[held(0, PAYER, 23), held(2, OWNER, 12), held(3, OWNER, 70)],
    )
    _, deposit, beside = read(given).movements
    assert (deposit.address, deposit.amount, deposit.index, deposit.ignored) == (OWNER, 7, "token:2", None)
    assert (beside.address, beside.amount, beside.index, beside.sender) == (OWNER, 70, "token:3", PAYER)
    assert beside.ignored == "not_the_associated_account"


@pytest.mark.parametrize(
    ("before", "after", "deposits"),
    [
        ([held(3, OWNER, 70), held(2, OWNER, 5)], [held(3, OWNER, 0), held(2, OWNER, 75)], [70]),
        ([held(3, OWNER, 0), held(2, OWNER, 75)], [held(3, OWNER, 70), held(2, OWNER, 5)], []),
        # It is somebody else's account now, though its address is still where OWNER's tokens are looked for.
        ([held(2, OWNER, 5)], [held(2, PAYER, 500)], []),
        ([held(2, PAYER, 500)], [held(2, OWNER, 500)], [500]),
        # Closed, and opened anew.
        ([held(2, OWNER, 5)], [], []),
        ([], [held(2, OWNER, 5)], [5]),
    ],
)
def test_a_deposit_is_what_the_associated_account_has_more_for_its_owner(
    before: list[dict[str, Any]], after: list[dict[str, Any]], deposits: list[int]
) -> None:
    movements = read(block(preTokenBalances=before, postTokenBalances=after)).movements
    found = [one for one in movements if one.token == MINT and one.address == OWNER and one.ignored is None]
    assert [one.amount for one in found] == deposits


def test_tokens_of_another_mint_count_for_nothing_whatever_they_call_themselves() -> None:
    assert len(seen(block(postTokenBalances=[held(2, OWNER, 10**12, mint=FAKE)]))) == 1


def _meta(answer: Any) -> Any:
    return answer["transactions"][0]["meta"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda answer: answer.pop("transactions"),
        lambda answer: answer.update(transactions={}),
        lambda answer: answer.update(transactions=[None]),
        lambda answer: answer.update(blockTime=None),
        lambda answer: answer.update(blockTime=10**18),
        lambda answer: answer.update(blockTime=-1),
        lambda answer: answer.update(blockHeight="5"),
        lambda answer: answer.update(blockhash="x" * 1_000),
        lambda answer: answer.update(blockhash=7),
        lambda answer: answer.update(parentSlot=10),
        lambda answer: answer["transactions"][0].update(meta=None),
        lambda answer: answer["transactions"][0]["transaction"].update(signatures=[]),
        lambda answer: answer["transactions"][0]["transaction"].update(accountKeys=[]),
        lambda answer: _meta(answer).pop("err"),
        lambda answer: _meta(answer).update(preBalances=[100, 0, 7]),
        lambda answer: _meta(answer).update(postBalances=[85, 5, 7, 7, 1]),
        lambda answer: _meta(answer).update(postBalances=[85, -5, 7, 7]),
        lambda answer: _meta(answer).update(postBalances=[85, 2**64, 7, 7]),
        lambda answer: _meta(answer).update(postBalances=[85, 5.5, 7, 7]),
        lambda answer: _meta(answer).update(postBalances=[85, True, 7, 7]),
        lambda answer: _meta(answer).update(postTokenBalances=[held(4, OWNER, 1)]),
        lambda answer: _meta(answer).update(postTokenBalances=[held(2, OWNER, 1), held(2, OWNER, 1)]),
        lambda answer: _meta(answer).update(postTokenBalances=[held(2, "nobody", 1)]),
        lambda answer: _meta(answer).update(postTokenBalances=[held(2, OWNER, -1)]),
        lambda answer: _meta(answer).update(postTokenBalances=[held(2, OWNER, 2**64)]),
        lambda answer: _meta(answer).update(postTokenBalances=[held(2, OWNER, 1) | {"owner": None}]),
        lambda answer: _meta(answer).update(postTokenBalances=[{"mint": MINT}]),
    ],
)
def test_what_can_not_be_is_not_believed(spoil: Callable[[Any], object]) -> None:
    answer = copy.deepcopy(block())
    spoil(answer)
    with pytest.raises(NodeWrong):
        read(answer)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "GAAZI4TCR3TY5OJHCTJC2A4QSY6CJWJH5IAJTGKIN2ER7LBNVKOCCWN7",
        PAYER + "1",
        PAYER[:-1] + "0",
        PAYER[:-1] + "l",
        " " + PAYER,
        PAYER[:-1] + "\u0430",
        "1" * 44,
        "z" * 44,
    ],
)
def test_what_is_no_address_is_refused_and_says_why(text: str) -> None:
    with pytest.raises(AddressInvalid):
        addresses.canonical(text)


def test_an_address_has_one_form() -> None:
    assert addresses.canonical(PAYER) == PAYER
    assert addresses.canonical("1" * 32) == "1" * 32


@pytest.mark.parametrize("recent", [[], [0] * 150, [1, 2, 3], [2**64 - 1] * 150, [0] * 100 + [30_000] * 50])
def test_whatever_nodes_say_of_fees_three_speeds_are_bounded_and_in_order(recent: list[int]) -> None:
    rates = fees.rates(recent)
    prices = [rates[speed].numbers["micro_lamports"] for speed in ("slow", "normal", "fast")]
    assert prices == sorted(prices)
    assert prices[0] >= 1_000
    assert prices[2] <= 5_000_000
