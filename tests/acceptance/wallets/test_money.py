"""Money that moves over HTTP."""

from typing import Any

from billfold.kernel import ids
from tests.acceptance.wallets.api import Api

USD = {"amount": "1.00", "asset": "USD"}


async def test_ada_pays_bob(api: Api) -> None:
    ada, bob = api.ada, api.bob
    mine, yours = await ada.wallet(holding="100.00"), await bob.wallet(holding="7.00")
    paid = await ada.pay(mine, yours, "12.34", reference="invoice 4711", metadata={"order": "4711"})
    assert paid.status_code == 201
    transfer = paid.json()
    assert (transfer["from"], transfer["to"], transfer["kind"]) == (mine, yours, "transfer")
    assert transfer["money"] == {"amount": "12.34", "asset": "USD"}
    assert transfer["from_balance"] == "87.66"
    assert transfer["from_version"] == 2
    assert "to_balance" not in transfer
    assert (await ada.posted(mine), await bob.posted(yours)) == ("87.66", "19.34")
    (entry,) = (await bob.get("/transactions", reference="invoice 4711")).json()["items"]
    assert (entry["direction"], entry["counterparty"], entry["balance"]) == ("in", mine, "19.34")
    assert entry["metadata"] == {"order": "4711"}


async def test_no_answer_to_a_payer_holds_the_payees_balance(api: Api) -> None:
    mine, yours = await api.ada.wallet(holding="100.00"), await api.bob.wallet(holding="31415.92")
    hold = (await api.ada.post("/holds", {"wallet": mine, "money": USD})).json()["id"]
    paid = await api.ada.pay(mine, yours)
    back = await api.bob.post(f"/transfers/{paid.json()['id']}/reverse", {})
    assert "99.00" not in back.text
    await api.bob.pay(yours, mine)
    answers = [
        paid,
        await api.ada.post("/transfers/bulk", {"items": [{"from": mine, "to": yours, "money": USD}]}),
        await api.ada.post(f"/holds/{hold}/settle", {"to": yours}),
        await api.ada.get(f"/transfers/{paid.json()['id']}"),
        await api.ada.get(f"/transactions/{paid.json()['id']}"),
        await api.ada.get("/transactions"),
        await api.ada.get("/transactions/summary"),
        await api.ada.get(f"/wallets/{mine}/statement"),
        await api.ada.get(f"/wallets/{mine}/statement", format="csv"),
    ]
    for answer in answers:
        assert answer.status_code in {200, 201}, answer.text
        assert "3141" not in answer.text, answer.url


async def test_a_repeated_request_gets_the_same_bytes(api: Api) -> None:
    mine, yours = await api.ada.wallet(holding="100.00"), await api.bob.wallet()
    first = await api.ada.pay(mine, yours, key="k-1")
    await api.ada.pay(mine, yours)
    again = await api.ada.pay(mine, yours, key="k-1")
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert await api.ada.posted(mine) == "98.00"


async def test_whatever_moves_money_answers_a_repeat_as_it_did_the_first_time(api: Api) -> None:
    ada = api.ada
    mine, other = await ada.wallet(holding="100.00"), await ada.wallet()
    paid = (await ada.pay(mine, other, "5.00")).json()["id"]
    hold = (await ada.post("/holds", {"wallet": mine, "money": USD})).json()["id"]
    freed = (await ada.post("/holds", {"wallet": mine, "money": USD})).json()["id"]
    item = {"from": mine, "to": other, "money": USD}
    requests: list[tuple[str, Any]] = [
        (f"/wallets/{mine}/deposits", {"money": USD}),
        (f"/wallets/{mine}/withdrawals", {"money": USD}),
        ("/transfers", item),
        ("/transfers", item | {"money": {"amount": "9999.00", "asset": "USD"}}),
        ("/transfers/bulk", {"items": [item, item | {"to": str(ids.new())}, item]}),
        ("/transfers/bulk", {"items": [item, item], "atomic": True}),
        ("/transfers/bulk", {"items": [item, item | {"to": str(ids.new())}], "atomic": True}),
        (f"/transfers/{paid}/reverse", {"money": USD}),
        ("/holds", {"wallet": mine, "money": USD, "expires_at": "2999-01-01T00:00:00Z"}),
        (f"/holds/{hold}/settle", {"to": other}),
        (f"/holds/{freed}/release", None),
    ]
    for number, (path, body) in enumerate(requests):
        first = await ada.post(path, body, key=f"k-{number}")
        before = await _state(api)
        again = await ada.post(path, body, key=f"k-{number}")
        assert (again.status_code, again.headers.get("idempotency-replayed")) == (first.status_code, "true"), path
        if first.status_code < 400:
            assert again.content == first.content, path
        else:
            assert {**again.json(), "request_id": ""} == {**first.json(), "request_id": ""}, path
        assert await _state(api) == before


async def test_a_bulk_request_has_a_result_for_each_item(api: Api) -> None:
    mine, yours = await api.ada.wallet(holding="3.00"), await api.bob.wallet()
    item = {"from": mine, "to": yours, "money": USD}
    answer = await api.ada.post(
        "/transfers/bulk",
        {
            "items": [
                item,
                item | {"money": {"amount": "5.00", "asset": "USD"}},
                {"kind": "deposit", "to": mine, "money": USD},
                {"kind": "withdrawal", "from": mine, "money": USD},
            ]
        },
    )
    assert answer.status_code == 200
    found = answer.json()
    assert (found["posted"], found["refused"]) == (3, 1)
    assert found["results"][1]["refusal"]["code"] == "insufficient_funds"
    assert found["results"][1]["refusal"]["status"] == 422
    assert [result["transfer"]["kind"] for result in found["results"] if "transfer" in result] == [
        "transfer",
        "deposit",
        "withdrawal",
    ]


async def test_a_thousand_items_go_in_one_request(api: Api) -> None:
    mine, yours = await api.ada.wallet(holding="1000.00"), await api.bob.wallet()
    item = {"from": mine, "to": yours, "money": USD, "reference": "r" * 140, "metadata": {"k" * 40: "v" * 500}}
    answer = await api.ada.post("/transfers/bulk", {"items": [item] * 1000})
    assert answer.status_code == 200, answer.text[:200]
    assert answer.json()["posted"] == 1000
    assert await api.bob.posted(yours) == "1000.00"


async def test_items_with_keys_of_their_own_are_replayed_one_by_one(api: Api) -> None:
    mine, yours = await api.ada.wallet(holding="10.00"), await api.bob.wallet()
    item = {"from": mine, "to": yours, "money": USD}
    first = await api.ada.post("/transfers/bulk", {"items": [item | {"idempotency_key": f"r-{n}"} for n in (1, 2)]})
    again = await api.ada.post("/transfers/bulk", {"items": [item | {"idempotency_key": f"r-{n}"} for n in (2, 3)]})
    assert again.json()["results"][0] == first.json()["results"][1] | {"replayed": True}
    assert "replayed" not in again.json()["results"][1]
    assert await api.ada.posted(mine) == "7.00"
    single = await api.ada.post("/transfers", item, key="r-1")
    assert single.headers["idempotency-replayed"] == "true"


async def test_a_hold_is_placed_settled_in_parts_and_released(api: Api) -> None:
    mine, yours = await api.ada.wallet(holding="100.00"), await api.bob.wallet()
    placed = await api.ada.post("/holds", {"wallet": mine, "money": {"amount": "30.00", "asset": "USD"}})
    assert placed.status_code == 201
    hold = placed.json()["id"]
    settled = await api.ada.post(f"/holds/{hold}/settle", {"to": yours, "money": {"amount": "10.00", "asset": "USD"}})
    assert settled.json()["hold"]["remaining"] == "20.00"
    assert settled.json()["transfer"]["from_balance"] == "90.00"
    released = await api.ada.post(f"/holds/{hold}/release")
    assert (released.status_code, released.json()["status"]) == (200, "released")
    (balance,) = (await api.ada.get(f"/wallets/{mine}/balance")).json()["balances"]
    assert balance == {
        "asset": "USD",
        "posted": "90.00",
        "held": "0.00",
        "available": "90.00",
        "credit_limit": "0.00",
        "version": 2,
    }
    assert (await api.ada.get(f"/holds/{hold}")).json() == released.json()
    assert (await api.ada.get("/holds", status="released")).json()["items"] == [released.json()]


async def test_an_operator_sets_a_credit_limit_and_an_owner_cannot(api: Api) -> None:
    mine = await api.ada.wallet()
    change = {"credit_limits": [{"amount": "5.00", "asset": "USD"}]}
    refused = await api.ada.request("PUT", f"/wallets/{mine}/credit-limits", json=change)
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    assert (await api.operator.request("PUT", f"/wallets/{mine}/credit-limits", json=change)).status_code == 200
    spent = await api.ada.post(f"/wallets/{mine}/withdrawals", {"money": {"amount": "5.00", "asset": "USD"}})
    assert spent.json()["from_balance"] == "-5.00"


async def test_an_operator_adds_an_asset_and_everybody_can_use_it(api: Api) -> None:
    asset = {"code": "USDC", "scale": 6, "kind": "token", "name": "USD Coin", "chain": "ethereum", "contract": "0xA0"}
    refused = await api.ada.post("/assets", asset)
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    added = await api.operator.post("/assets", asset)
    assert (added.status_code, added.json()) == (201, asset)
    assert (await api.operator.post("/assets", asset)).status_code == 201
    other = await api.operator.post("/assets", asset | {"scale": 8})
    assert (other.status_code, other.json()["code"]) == (409, "asset_exists")
    assert asset in (await api.ada.get("/assets")).json()["items"]
    mine = await api.ada.wallet(holding="0.000001", asset="USDC")
    assert await api.ada.posted(mine, "USDC") == "0.000001"


async def test_creating_a_wallet_again_answers_the_same_one(api: Api) -> None:
    body = {"name": "Ada", "external_id": "customer-1", "metadata": {"a": "b"}}
    first, again = await api.ada.post("/wallets", body), await api.ada.post("/wallets", body)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert again.headers["idempotency-replayed"] == "true"
    other = await api.ada.post("/wallets", body | {"name": "Eve"})
    assert (other.status_code, other.json()["code"]) == (409, "external_id_reused")


async def _state(api: Api) -> list[Any]:
    async with api.database.connection() as connection:
        accounts = await connection.fetch("SELECT id, posted, held, version FROM ledger.accounts ORDER BY id")
        transfers = await connection.fetchval("SELECT count(*) FROM ledger.transfers")
        holds = await connection.fetch("SELECT id, status, settled FROM ledger.holds ORDER BY id")
        return [*map(tuple, accounts), transfers, *map(tuple, holds)]
