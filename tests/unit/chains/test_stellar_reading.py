"""What Horizon says is read to the last field, or is wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from stellar_sdk import Keypair

from billfold.chains.errors import NodeWrong
from billfold.chains.stellar import horizon, records, watching

OURS, SENDER = Keypair.random().public_key, Keypair.random().public_key
LEDGER = 7
PLACE = LEDGER << 32 | 1 << 12


def payment(**told: Any) -> dict[str, Any]:
    return {
        "paging_token": str(PLACE | 1),
        "transaction_successful": True,
        "transaction_hash": "ab" * 32,
        "type": "payment",
        "asset_type": "native",
        "from": SENDER,
        "to": OURS,
        "amount": "1.0000000",
        "transaction": {"memo_type": "none"},
    } | told


def page(*records_: dict[str, Any]) -> dict[str, Any]:
    return {"_embedded": {"records": list(records_)}}


WRONG: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no amount": lambda one: one.pop("amount"),
    "a number for an amount": lambda one: one.update(amount=1),
    "a negative amount": lambda one: one.update(amount="-1.0000000"),
    "more than there can be": lambda one: one.update(amount="922337203685.4775808"),
    "too many decimals": lambda one: one.update(amount="1.00000001"),
    "not a number": lambda one: one.update(amount="NaN"),
    "in powers": lambda one: one.update(amount="1e9"),
    "no address": lambda one: one.update(to="G"),
    "another kind of address": lambda one: one.update(to=None),
    "another ledger": lambda one: one.update(paging_token=str((LEDGER + 1) << 32 | 4097)),
    "no place": lambda one: one.update(paging_token="7-1"),
    "no hash": lambda one: one.update(transaction_hash="AB" * 32),
    "perhaps": lambda one: one.update(transaction_successful="true"),
    "no transaction": lambda one: one.pop("transaction"),
    "a memo of another kind": lambda one: one.update(transaction={"memo_type": "secret", "memo": "x"}),
    "a memo that is no number": lambda one: one.update(transaction={"memo_type": "id", "memo": "-1"}),
    "a memo that is too large": lambda one: one.update(transaction={"memo_type": "id", "memo": str(2**64)}),
    "a memo that is no hash": lambda one: one.update(transaction={"memo_type": "hash", "memo": "%"}),
    "a muxed id that is none": lambda one: one.update(to_muxed_id="1.5"),
    "an asset without an issuer": lambda one: one.update(asset_type="credit_alphanum4", asset_code="USD"),
    "a merge without a result": lambda one: one.update(type="account_merge", account=SENDER, into=OURS),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_payment_that_can_not_be_is_an_error(what: str) -> None:
    one = copy.deepcopy(payment())
    WRONG[what](one)
    with pytest.raises(NodeWrong):
        watching.read(page(one), LEDGER)


def test_the_same_payment_twice_is_an_error() -> None:
    with pytest.raises(NodeWrong):
        watching.read(page(payment(), payment()), LEDGER)


@pytest.mark.parametrize(
    "document", [None, [], {}, {"_embedded": []}, page(payment()) | {"_embedded": {"records": {}}}]
)
def test_what_is_no_page_is_an_error(document: Any) -> None:
    with pytest.raises(NodeWrong):
        watching.read(document, LEDGER)


def test_what_a_contract_moves_of_classic_assets_is_read() -> None:
    contract = "CA" + "A" * 54
    changes = [
        {"type": "transfer", "asset_type": "native", "from": contract, "to": OURS, "amount": "2.0000000"},
        {"type": "transfer", "asset_type": "native", "from": OURS, "to": contract, "amount": "9.0000000"},
        {"type": "burn", "asset_type": "native", "from": OURS, "amount": "9.0000000"},
        {
            "type": "mint",
            "asset_type": "credit_alphanum4",
            "asset_code": "USD",
            "asset_issuer": SENDER,
            "to": OURS,
            "amount": "3.0000000",
            "destination_muxed_id": "5",
        },
    ]
    one = payment(type="invoke_host_function", asset_balance_changes=changes)
    found = watching.read(page(one), LEDGER).movements
    assert [(each.index, each.token, each.amount, each.memo) for each in found] == [
        ("0:0", None, 20_000_000, None),
        ("0:3", f"USD:{SENDER}", 30_000_000, "id:5"),
    ]


def test_what_failed_or_is_of_a_kind_that_nobody_knows_brings_nothing() -> None:
    failed = payment(transaction_successful=False)
    other = payment(type="gift", paging_token=str(PLACE | 2))
    assert watching.read(page(failed, other), LEDGER).movements == ()


def test_a_full_page_has_another_after_it() -> None:
    many = [payment(paging_token=str(PLACE + number)) for number in range(1, horizon.PAGE_MAX + 1)]
    found = watching.read(page(*many), LEDGER)
    assert (len(found.movements), found.cursor) == (horizon.PAGE_MAX, many[-1]["paging_token"])
    assert watching.read(page(*many[1:]), LEDGER).cursor is None


def account(**told: Any) -> dict[str, Any]:
    native = {"asset_type": "native", "balance": "5.0000000"}
    return {"sequence": "12", "subentry_count": 0, "balances": [native], "data": {}} | told


def test_an_account_is_read() -> None:
    found = records.account(account(num_sponsored=1, num_sponsoring=3, data={"config.memo_required": "MQ=="}))
    assert (found.sequence, found.entries, found.memo_required) == (12, 2, True)
    assert found.lines[None].balance == 50_000_000


@pytest.mark.parametrize(
    "told",
    [
        {"sequence": 12},
        {"sequence": "-1"},
        {"sequence": str(2**63)},
        {"subentry_count": 10**9},
        {"balances": [{"asset_type": "native", "balance": "x"}]},
        {"balances": [{"asset_type": "credit_alphanum4", "asset_code": "USD", "asset_issuer": SENDER, "balance": "1"}]},
        {"balances": {}},
        {"data": []},
    ],
)
def test_an_account_that_can_not_be_is_an_error(told: dict[str, Any]) -> None:
    with pytest.raises(NodeWrong):
        records.account(account(**told))


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-22T14:00:00", "9" * 50])
def test_an_instant_has_a_time_zone(text: str) -> None:
    with pytest.raises(NodeWrong):
        records.moment(text, "closed_at")
