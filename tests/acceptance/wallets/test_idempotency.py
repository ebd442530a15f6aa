"""What an idempotency key keeps, as docs/reference/api.md says it."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from tests.acceptance.wallets.api import Api

MONEY = {"amount": "1.00", "asset": "USD"}
UNKNOWN = "019aa2c6-7a00-7000-8000-000000000000"

Undo = Callable[[], Awaitable[Any]]


class Scene:
    """A request that the ledger refuses with each code, and what takes the reason away or at least brings money."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def insufficient_funds(self) -> tuple[str, Any, Undo]:
        mine = await self.api.ada.wallet()
        return f"/wallets/{mine}/withdrawals", {"money": MONEY}, lambda: self.api.ada.deposit(mine, "5.00")

    async def wallet_frozen(self) -> tuple[str, Any, Undo]:
        mine = await self.api.ada.wallet(holding="5.00")
        await self.api.ada.post(f"/wallets/{mine}/freeze")
        path = f"/wallets/{mine}/unfreeze"
        return f"/wallets/{mine}/withdrawals", {"money": MONEY}, lambda: self.api.operator.post(path)

    async def settlement_exceeds_hold(self) -> tuple[str, Any, Undo]:
        mine = await self.api.ada.wallet(holding="5.00")
        hold = (await self.api.ada.post("/holds", {"wallet": mine, "money": MONEY})).json()["id"]
        body = {"to": "outside", "money": {"amount": "1.01", "asset": "USD"}}
        return f"/holds/{hold}/settle", body, lambda: self.api.ada.deposit(mine, "5.00")

    async def reversal_exceeds_transfer(self) -> tuple[str, Any, Undo]:
        mine = await self.api.ada.wallet()
        paid = await self.api.ada.deposit(mine, "5.00")
        body = {"money": {"amount": "5.01", "asset": "USD"}}
        return f"/transfers/{paid['id']}/reverse", body, lambda: self.api.ada.deposit(mine, "5.00")


@pytest.mark.parametrize(
    "code", ["insufficient_funds", "wallet_frozen", "settlement_exceeds_hold", "reversal_exceeds_transfer"]
)
async def test_what_the_ledger_refuses_is_refused_again_after_the_reason_has_gone(api: Api, code: str) -> None:
    path, body, mend = await getattr(Scene(api), code)()
    refused = await api.ada.post(path, body, key="k")
    await mend()
    again = await api.ada.post(path, body, key="k")
    assert (refused.json()["code"], again.json()["code"]) == (code, code)
    assert [answer.headers.get("idempotency-replayed") for answer in (refused, again)] == [None, "true"]
    other = {"money": {"amount": "0.01", "asset": "USD"}} | ({"to": "outside"} if "settle" in path else {})
    reused = await api.ada.post(path, other, key="k")
    assert reused.json()["code"] == "idempotency_key_reused"


async def test_what_is_refused_before_the_ledger_is_asked_leaves_the_key_unused(api: Api) -> None:
    mine, theirs = await api.ada.wallet(holding="9.00"), await api.bob.wallet(holding="9.00")
    order = {"from": mine, "to": theirs, "money": MONEY}
    hold = {"wallet": mine, "money": MONEY}
    paid = (await api.ada.post("/transfers", order)).json()["id"]
    for number, (path, body, code) in enumerate(
        (
            ("/transfers", order | {"to": UNKNOWN}, "wallet_unknown"),
            ("/transfers", order | {"from": theirs, "to": mine}, "wallet_unknown"),
            ("/transfers", order | {"money": MONEY | {"amount": "1.001"}}, "amount_too_precise"),
            ("/transfers", order | {"money": MONEY | {"asset": "XXX"}}, "asset_unknown"),
            ("/transfers", order | {"extra": 1}, "unknown_field"),
            ("/transfers/bulk", {"items": [order, order | {"to": "x"}]}, "invalid_id"),
            (f"/wallets/{theirs}/withdrawals", {"money": MONEY}, "wallet_unknown"),
            ("/holds", hold | {"wallet": theirs}, "wallet_unknown"),
            (f"/holds/{UNKNOWN}/release", None, "hold_unknown"),
            (f"/transfers/{UNKNOWN}/reverse", {}, "transfer_unknown"),
            (f"/transfers/{paid}/reverse", {}, "reversal_not_allowed"),
        )
    ):
        refused = await api.ada.post(path, body, key=f"k-{number}")
        assert refused.json()["code"] == code, path
        mended = await api.ada.post("/holds", hold | {"money": MONEY | {"amount": "0.10"}}, key=f"k-{number}")
        assert mended.status_code == 201, (path, mended.text)


async def test_a_bulk_answer_is_kept_with_whatever_is_in_it(api: Api) -> None:
    mine, other = await api.ada.wallet(holding="9.00"), await api.ada.wallet()
    order = {"from": mine, "to": other, "money": MONEY}
    items = [order | {"to": UNKNOWN}, order]
    first = await api.ada.post("/transfers/bulk", {"items": items}, key="b")
    again = await api.ada.post("/transfers/bulk", {"items": items}, key="b")
    assert results(first) == results(again) == ["wallet_unknown", "posted"]
    assert again.headers["idempotency-replayed"] == "true"
    mended = await api.ada.post("/transfers/bulk", {"items": [order, order]}, key="b")
    assert mended.json()["code"] == "idempotency_key_reused"
    keyed = [order | {"to": UNKNOWN, "idempotency_key": "i"}]
    assert results(await api.ada.post("/transfers/bulk", {"items": keyed})) == ["wallet_unknown"]
    assert (await api.ada.post("/transfers", order, key="i")).json()["code"] == "idempotency_key_reused"


async def test_an_items_key_is_that_of_the_same_order_alone(api: Api) -> None:
    mine, other = await api.ada.wallet(holding="9.00"), await api.ada.wallet()
    order = {"from": mine, "to": other, "money": MONEY}
    alone = await api.ada.post("/transfers", order, key="i")
    listed = await api.ada.post("/transfers/bulk", {"items": [order | {"idempotency_key": "i"}]})
    (found,) = listed.json()["results"]
    assert found["transfer"]["id"] == alone.json()["id"]
    assert await api.ada.posted(mine) == "8.00"


async def test_keys_of_different_owners_never_meet(api: Api) -> None:
    for caller in (api.ada, api.bob):
        mine = await caller.wallet()
        made = await caller.post(f"/wallets/{mine}/deposits", {"money": MONEY}, key="same")
        assert (made.status_code, made.headers.get("idempotency-replayed")) == (201, None)


def results(answer: httpx2.Response) -> list[str]:
    return [result["refusal"]["code"] if result.get("refusal") else "posted" for result in answer.json()["results"]]
