"""Money to aliases, as callers of the API see it."""

import asyncio
from typing import Any
from urllib.parse import quote

import pytest

from billfold.kernel import ids
from tests.acceptance.wallets.api import Api, Caller, handle

MONEY = {"amount": "1.00", "asset": "USD"}


async def test_ada_pays_bob_by_his_handle(api: Api) -> None:
    mine, his = await api.ada.wallet(holding="10.00"), await api.bob.wallet()
    bob = await api.alias(api.bob, "Bob Bobson")
    shown = (await api.ada.get(f"/aliases/{bob}")).json()
    assert shown == {"alias": bob, "kind": "handle", "payee": "Bob Bobson", "verified": False, "yours": False}
    paid = await api.ada.pay(mine, bob.upper(), payee=shown["payee"])
    assert paid.status_code == 201, paid.text
    assert paid.json()["to"] == his
    assert "to_balance" not in paid.json()
    assert await api.bob.posted(his) == "1.00"
    assert (await api.bob.get(f"/transfers/{paid.json()['id']}")).json()["to_balance"] == "1.00"


async def test_an_alias_leads_to_the_wallet_of_the_asset_then_the_chosen_one_then_the_oldest(api: Api) -> None:
    mine = await api.ada.wallet(holding="10.00")
    await api.ada.deposit(mine, "1.00000000", asset="BTC")
    oldest, chosen, coins = [await api.bob.wallet() for _ in range(3)]
    bob = await api.alias(api.bob)
    assert (await api.ada.pay(mine, bob)).json()["to"] == oldest
    named = await api.bob.request("PUT", f"/aliases/{bob}/wallets", json={"wallet": chosen, "by_asset": {"BTC": coins}})
    assert named.json() == {"alias": bob, "wallet": chosen, "by_asset": {"BTC": coins}}
    assert (await api.bob.get(f"/aliases/{bob}/wallets")).json() == named.json()
    assert (await api.ada.pay(mine, bob)).json()["to"] == chosen
    bitcoin = {"amount": "0.10000000", "asset": "BTC"}
    assert (await api.ada.pay(mine, bob, money=bitcoin)).json()["to"] == coins
    await api.bob.post(f"/wallets/{coins}/freeze")
    refused = await api.ada.pay(mine, bob, money=bitcoin)
    assert refused.json()["code"] == "wallet_frozen"
    await api.bob.post(f"/wallets/{chosen}/close")  # It still has money, so it stays open.
    assert (await api.ada.pay(mine, bob)).json()["to"] == chosen
    assert (await api.bob.request("PUT", f"/aliases/{bob}/wallets", json={})).status_code == 200
    assert (await api.ada.pay(mine, bob, money=bitcoin)).json()["to"] == oldest


async def test_a_closed_wallet_is_passed_over(api: Api) -> None:
    mine = await api.ada.wallet(holding="10.00")
    first, second = await api.bob.wallet(), await api.bob.wallet()
    bob = await api.alias(api.bob)
    await api.bob.request("PUT", f"/aliases/{bob}/wallets", json={"wallet": first})
    assert (await api.bob.post(f"/wallets/{first}/close")).status_code == 200
    assert (await api.ada.pay(mine, bob)).json()["to"] == second
    assert (await api.bob.request("PUT", f"/aliases/{bob}/wallets", json={"wallet": first})).status_code == 404


async def test_nobody_leads_an_alias_to_somebody_elses_wallet(api: Api) -> None:
    hers = await api.ada.wallet()
    bob = await api.alias(api.bob)
    answer = await api.bob.request("PUT", f"/aliases/{bob}/wallets", json={"by_asset": {"USD": hers}})
    assert (answer.status_code, answer.json()["code"]) == (404, "wallet_unknown")
    assert answer.json()["errors"][0]["pointer"] == "/by_asset/USD"


async def test_whoever_has_no_wallet_gets_nothing(api: Api) -> None:
    mine, bob = await api.ada.wallet(holding="10.00"), await api.alias(api.bob)
    refused = await api.ada.pay(mine, bob)
    assert (refused.status_code, refused.json()["code"]) == (409, "alias_has_no_wallet")
    assert refused.json()["errors"][0]["pointer"] == "/to"
    assert await api.ada.posted(mine) == "10.00"


async def test_a_payee_who_is_another_by_now_gets_nothing(api: Api) -> None:
    mine, his = await api.ada.wallet(holding="10.00"), await api.bob.wallet()
    bob = await api.alias(api.bob, "Bob Bobson")
    key = str(ids.new())
    first = await api.ada.pay(mine, bob, payee="Bob Bobson", key=key)
    await api.rename(api.bob, "Mallory")
    refused = await api.ada.pay(mine, bob, payee="Bob Bobson")
    assert (refused.status_code, refused.json()["code"]) == (409, "payee_mismatch")
    assert "Mallory" not in refused.text
    again = await api.ada.pay(mine, bob, payee="Bob Bobson", key=key)
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert await api.bob.posted(his) == "1.00"


async def test_a_masked_payee_is_named_as_it_was_shown(api: Api) -> None:
    mine, _ = await api.ada.wallet(holding="10.00"), await api.bob.wallet()
    bob = await api.alias(api.bob, "Bob Bobson", visibility="masked")
    assert (await api.ada.get(f"/aliases/{bob}")).json()["payee"] == "B••• B•••"
    assert (await api.ada.pay(mine, bob, payee="Bob Bobson")).json()["code"] == "payee_mismatch"
    assert (await api.ada.pay(mine, bob, payee="B••• B•••")).status_code == 201


async def test_a_payee_is_named_for_an_alias_alone(api: Api) -> None:
    mine, his = await api.ada.wallet(holding="10.00"), await api.bob.wallet()
    refused = await api.ada.pay(mine, his, payee="Bob Bobson")
    assert (refused.status_code, refused.json()["code"]) == (422, "payee_not_asked")


async def test_a_repeated_request_is_answered_as_before_wherever_the_alias_leads_by_now(api: Api) -> None:
    mine, first = await api.ada.wallet(holding="10.00"), await api.bob.wallet()
    bob, key = await api.alias(api.bob), str(ids.new())
    items = {"items": [{"from": mine, "to": bob, "money": MONEY}]}
    bulk_key, own = str(ids.new()), {"items": [items["items"][0] | {"idempotency_key": str(ids.new())}]}
    paid = await api.ada.pay(mine, bob, key=key)
    bulk = await api.ada.post("/transfers/bulk", items, key=bulk_key)
    separate = await api.ada.post("/transfers/bulk", own)
    second = await api.bob.wallet()
    await api.bob.request("PUT", f"/aliases/{bob}/wallets", json={"wallet": second})
    for _ in range(2):
        assert (await api.ada.pay(mine, bob, key=key)).content == paid.content
        assert (await api.ada.post("/transfers/bulk", items, key=bulk_key)).content == bulk.content
        again = (await api.ada.post("/transfers/bulk", own)).json()["results"][0]
        assert again == separate.json()["results"][0] | {"replayed": True}
        await api.bob.request("DELETE", f"/aliases/{bob}")
    assert (await api.bob.posted(first), await api.ada.posted(mine)) == ("3.00", "7.00")
    assert (await api.ada.pay(mine, bob, money={"amount": "2.00", "asset": "USD"}, key=key)).status_code == 422
    assert (await api.ada.pay(mine, bob)).json()["code"] == "alias_unknown"


async def test_in_bulk_an_alias_that_leads_nowhere_refuses_its_own_request_alone(api: Api) -> None:
    mine, his = await api.ada.wallet(holding="10.00"), await api.bob.wallet()
    bob, nobody = await api.alias(api.bob), handle()
    good, bad = {"from": mine, "to": bob, "money": MONEY}, {"from": mine, "to": nobody, "money": MONEY}
    answer = await api.ada.post("/transfers/bulk", {"items": [good, bad]})
    assert (answer.status_code, answer.json()["code"]) == (404, "alias_unknown")
    assert answer.json()["errors"][0]["pointer"] == "/items/1/to"
    keyed = [item | {"idempotency_key": str(ids.new())} for item in (bad, good, good, bad)]
    results = (await api.ada.post("/transfers/bulk", {"items": keyed})).json()["results"]
    assert [result.get("refusal", {}).get("code") for result in results] == [
        "alias_unknown",
        None,
        None,
        "alias_unknown",
    ]
    assert [result["refusal"]["pointer"] for result in (results[0], results[3])] == ["/items/0/to", "/items/3/to"]
    assert await api.bob.posted(his) == "2.00"


async def test_one_deposits_to_and_withdraws_from_ones_own_alias(api: Api) -> None:
    mine, ada = await api.ada.wallet(), await api.alias(api.ada)
    deposited = await api.ada.post(f"/wallets/{quote(ada)}/deposits", {"money": MONEY})
    assert (deposited.status_code, deposited.json()["to"]) == (201, mine)
    other = await api.bob.wallet()
    sent = await api.ada.pay(ada, other, money={"amount": "0.25", "asset": "USD"})
    assert sent.json()["from"] == mine
    withdrawn = await api.ada.post(f"/wallets/{ada}/withdrawals", {"money": {"amount": "0.75", "asset": "USD"}})
    assert (withdrawn.status_code, withdrawn.json()["from_balance"]) == (201, "0.00")


async def test_nobody_moves_money_out_of_or_into_somebody_elses_alias_but_by_a_transfer_to_it(api: Api) -> None:
    hers, ada = await api.ada.wallet(holding="10.00"), await api.alias(api.ada)
    his = await api.bob.wallet(holding="10.00")
    asked = [
        await api.bob.pay(ada, his),
        await api.bob.post(f"/wallets/{ada}/deposits", {"money": MONEY}),
        await api.bob.post(f"/wallets/{ada}/withdrawals", {"money": MONEY}),
        await api.bob.post("/transfers/bulk", {"items": [{"kind": "deposit", "to": ada, "money": MONEY}]}),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in asked] == [(404, "alias_unknown")] * 4
    assert await api.ada.posted(hers) == "10.00"


async def test_a_hold_is_settled_to_an_alias(api: Api) -> None:
    mine, his = await api.ada.wallet(holding="10.00"), await api.bob.wallet()
    bob, key = await api.alias(api.bob, "Bob Bobson"), str(ids.new())
    hold = (await api.ada.post("/holds", {"wallet": mine, "money": MONEY})).json()["id"]
    wrong = await api.ada.post(f"/holds/{hold}/settle", {"to": bob, "payee": "Mallory"})
    assert wrong.json()["code"] == "payee_mismatch"
    body = {"to": bob, "payee": "Bob Bobson"}
    settled = await api.ada.post(f"/holds/{hold}/settle", body, key=key)
    assert (settled.status_code, settled.json()["transfer"]["to"]) == (200, his)
    await api.bob.request("DELETE", f"/aliases/{bob}")
    again = await api.ada.post(f"/holds/{hold}/settle", body, key=key)
    assert (again.content, again.headers["idempotency-replayed"]) == (settled.content, "true")


async def test_money_to_an_alias_of_ones_own_wallet_goes_round_in_no_circle(api: Api) -> None:
    mine, ada = await api.ada.wallet(holding="10.00"), await api.alias(api.ada)
    assert (await api.ada.pay(mine, ada)).json()["code"] == "same_wallet"
    assert (await api.ada.pay(ada, ada)).json()["code"] == "same_wallet"


async def test_a_hidden_alias_is_answered_as_one_that_is_not_there(api: Api) -> None:
    mine, _ = await api.ada.wallet(holding="10.00"), await api.bob.wallet()
    hidden, unknown = await api.alias(api.bob, visibility="hidden"), handle()
    asked = [
        (await api.ada.get(f"/aliases/{hidden}"), await api.ada.get(f"/aliases/{unknown}")),
        (await api.ada.pay(mine, hidden), await api.ada.pay(mine, unknown)),
    ]
    for answers in asked:
        one, other = [answer.json() | {"request_id": "", "instance": ""} for answer in answers]
        assert one == other
        assert one["code"] == "alias_unknown"
    assert (await api.bob.get(f"/aliases/{hidden}")).json()["yours"]


async def test_no_answer_about_an_alias_holds_an_id_or_an_address(api: Api) -> None:
    his, bob = await api.bob.wallet(), await api.alias(api.bob, "Bob Bobson")
    owner = (await api.bob.get("/aliases")).json()["items"][0]["owner_id"]
    shown = (await api.ada.get(f"/aliases/{bob}")).text
    assert his not in shown
    assert owner not in shown
    assert (await api.ada.get("/aliases")).json()["items"] == []
    assert (await api.ada.get("/aliases", alias=bob[:3])).status_code == 400
    assert (await api.ada.get(f"/aliases/{bob[:-1]}")).status_code == 404


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ada", "invalid_id"),
        ("@", "handle_invalid"),
        ("@аda", "handle_mixed"),
        ("@a\u202eda", "handle_invalid"),
        ("@a\u200bda", "handle_invalid"),
        ("a@b", "invalid_email"),
        ("ada@example.com\r\nBcc: x@example.com", "alias_invalid"),
        ("+1", "invalid_phone"),
        ("x:y", "alias_invalid"),
        ("@" + "a" * 300, "invalid_value"),
    ],
)
async def test_a_text_that_names_nobody_is_told_why(api: Api, text: str, code: str) -> None:
    mine = await api.ada.wallet(holding="10.00")
    refused = await api.ada.pay(mine, text)
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert refused.json()["errors"][0]["pointer"] == "/to"


async def test_the_scopes_decide(api: Api) -> None:
    bob = await api.alias(api.bob)
    reader = api.bob.with_scopes("aliases:read")
    assert (await reader.get(f"/aliases/{bob}")).status_code == 200
    for method, path, body in (
        ("POST", "/aliases", {"alias": handle()}),
        ("PATCH", f"/aliases/{bob}", {"visibility": "hidden"}),
        ("DELETE", f"/aliases/{bob}", None),
        ("POST", f"/aliases/{bob}/verify", {"code": "1"}),
        ("PUT", f"/aliases/{bob}/wallets", {}),
    ):
        assert (await reader.request(method, path, json=body)).json()["code"] == "missing_scope", path
    assert (await api.bob.with_scopes("wallets:read").get(f"/aliases/{bob}")).json()["code"] == "missing_scope"
    assert (await api.client.get(f"/api/v1/aliases/{bob}")).status_code == 401


async def test_an_alias_that_is_released_meanwhile_gets_nothing_afterwards(api: Api) -> None:
    mine, his = await api.ada.wallet(holding="100.00"), await api.bob.wallet()
    bob = await api.alias(api.bob)
    released = asyncio.Event()
    late: list[str] = []

    async def pay(caller: Caller) -> str:
        after = released.is_set()
        answer = await caller.pay(mine, bob)
        code: str = answer.json().get("code", "paid")
        if after:
            late.append(code)
        return code

    async def release() -> None:
        assert (await api.bob.request("DELETE", f"/aliases/{bob}")).status_code == 200
        released.set()

    first = [asyncio.create_task(pay(api.ada)) for _ in range(25)]
    ending = asyncio.create_task(release())
    codes = await asyncio.gather(*first)
    await ending
    codes += await asyncio.gather(*(pay(api.ada) for _ in range(25)))
    assert set(codes) <= {"paid", "alias_unknown"}
    assert late == ["alias_unknown"] * 25
    paid = codes.count("paid")
    assert paid == 0 or await api.bob.posted(his) == f"{paid}.00"


async def test_fifty_pay_one_alias_at_once_with_one_key_and_money_moves_once(api: Api) -> None:
    mine, his = await api.ada.wallet(holding="100.00"), await api.bob.wallet()
    bob, key = await api.alias(api.bob), str(ids.new())
    answers: list[Any] = await asyncio.gather(*(api.ada.pay(mine, bob, key=key) for _ in range(50)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert await api.bob.posted(his) == "1.00"
