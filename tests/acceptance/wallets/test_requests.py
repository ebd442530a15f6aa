"""Money that moves later, as its owner sees it through the API."""

import asyncio
from typing import Any
from uuid import UUID

import httpx2
import pytest

from billfold.kernel import ids
from tests.acceptance.wallets.api import Api, Caller

MONEY = {"amount": "2.50", "asset": "USD"}
LATER = "respond-async"


async def send(
    caller: Caller, path: str, body: Any, *, key: str | None = None, prefer: str | None = LATER
) -> httpx2.Response:
    headers = {"idempotency-key": key or str(ids.new())} | ({} if prefer is None else {"prefer": prefer})
    return await caller.request("POST", path, json=body, headers=headers)


async def accepted(caller: Caller, path: str, body: Any, **more: Any) -> dict[str, Any]:
    answer = await send(caller, path, body, **more)
    assert answer.status_code == 202, answer.text
    request: dict[str, Any] = answer.json()
    return request


async def carry_out(api: Api, request: dict[str, Any]) -> None:
    """As a worker does."""
    await api.wallets.carrying_out.named(request_ids=[UUID(request["id"])])


@pytest.fixture
async def order(api: Api) -> dict[str, Any]:
    """From Ada to Bob."""
    return {"from": await api.ada.wallet(holding="10.00"), "to": await api.bob.wallet(), "money": MONEY}


async def test_ada_is_told_where_to_look_and_sees_it_done(api: Api, order: dict[str, Any]) -> None:
    answer = await send(api.ada, "/transfers", order)
    assert answer.status_code == 202
    request = answer.json()
    assert answer.headers["location"] == f"/api/v1/requests/{request['id']}"
    assert answer.headers["preference-applied"] == "respond-async"
    assert (request["status"], request["kind"], request["transfer_id"]) == ("accepted", "transfer", None)
    assert {name: request[name] for name in order} == order
    looked = await api.ada.get(answer.headers["location"])
    assert (looked.json(), looked.headers["history-source"]) == (request, "postgresql")
    await carry_out(api, request)
    done = (await api.ada.get(answer.headers["location"])).json()
    assert (done["status"], done["error"]) == ("completed", None)
    transfer = (await api.ada.get(f"/transfers/{done['transfer_id']}")).json()
    assert (transfer["from_balance"], transfer["money"]) == ("7.50", MONEY)
    assert await api.bob.posted(order["to"]) == "2.50"


async def test_deposits_and_withdrawals_can_be_sent_so(api: Api) -> None:
    mine = await api.ada.wallet(holding="10.00")
    for kind, sides in (("deposits", ("outside", mine)), ("withdrawals", (mine, "outside"))):
        request = await accepted(api.ada, f"/wallets/{mine}/{kind}", {"money": MONEY})
        assert (request["kind"] + "s", (request["from"], request["to"])) == (kind, sides)
        await carry_out(api, request)
    assert await api.ada.posted(mine) == "10.00"


async def test_without_the_preference_nothing_is_different(api: Api, order: dict[str, Any]) -> None:
    for prefer in (None, "return=minimal", "wait=5", "respond-asynchronously"):
        answer = await send(api.ada, "/transfers", order, prefer=prefer)
        assert answer.status_code == 201
        assert "preference-applied" not in answer.headers
    assert (await api.ada.get("/requests")).json()["items"] == []


async def test_who_waits_gets_what_they_would_have_got_at_once(api: Api, order: dict[str, Any]) -> None:
    sending = asyncio.create_task(send(api.ada, "/transfers", order, key="k", prefer="respond-async, wait=30"))
    while not (found := (await api.ada.get("/requests")).json()["items"]):
        pass
    await carry_out(api, found[0])
    answer = await sending
    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == "respond-async, wait=30"
    at_once = await send(api.ada, "/transfers", order, key="k", prefer=None)
    assert at_once.content == answer.content
    assert (answer.headers.get("idempotency-replayed"), at_once.headers["idempotency-replayed"]) == (None, "true")


async def test_who_waits_for_what_is_refused_gets_the_refusal(api: Api, order: dict[str, Any]) -> None:
    order |= {"money": MONEY | {"amount": "100.00"}}
    request = await accepted(api.ada, "/transfers", order, key="k")
    await carry_out(api, request)
    answer = await send(api.ada, "/transfers", order, key="k", prefer="respond-async, wait=10")
    assert (answer.status_code, answer.json()["code"]) == (422, "insufficient_funds")
    assert answer.json()["accepted_request"] == request["id"]
    at_once = await send(api.ada, "/transfers", order, key="k", prefer=None)
    assert at_once.json()["code"] == "insufficient_funds"
    seen = (await api.ada.get(f"/requests/{request['id']}")).json()
    assert (seen["status"], seen["error"]["code"]) == ("failed", "insufficient_funds")


async def test_who_waits_too_short_is_told_how_far_it_is(api: Api, order: dict[str, Any]) -> None:
    answer = await send(api.ada, "/transfers", order, prefer="respond-async, wait=1")
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    assert answer.headers["preference-applied"] == "respond-async, wait=1"
    path = f"/requests/{answer.json()['id']}"
    looked = await api.ada.request("GET", path, headers={"prefer": "wait=1"})
    assert (looked.status_code, looked.json()["status"]) == (200, "accepted")
    assert looked.headers["preference-applied"] == "wait=1"
    looking = asyncio.create_task(api.ada.request("GET", path, headers={"prefer": "wait=30"}))
    await carry_out(api, answer.json())
    assert (await looking).json()["status"] == "completed"


async def test_one_key_is_one_request_however_it_is_sent(api: Api, order: dict[str, Any]) -> None:
    request = await accepted(api.ada, "/transfers", order, key="k")
    again = await send(api.ada, "/transfers", order, key="k")
    assert (again.status_code, again.json()) == (202, request)
    assert again.headers["idempotency-replayed"] == "true"
    other = order | {"money": MONEY | {"amount": "0.01"}}
    for prefer in (LATER, None):
        refused = await send(api.ada, "/transfers", other, key="k", prefer=prefer)
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    at_once = await send(api.ada, "/transfers", order, key="k", prefer=None)
    assert at_once.status_code == 201
    await carry_out(api, request)
    done = (await api.ada.get(f"/requests/{request['id']}")).json()
    assert (done["status"], done["transfer_id"]) == ("completed", at_once.json()["id"])
    assert await api.bob.posted(order["to"]) == "2.50"
    first = await send(api.ada, "/transfers", order, key="s", prefer=None)
    after = await send(api.ada, "/transfers", order, key="s")
    assert (after.status_code, after.content) == (201, first.content)
    assert after.headers["idempotency-replayed"] == "true"


async def test_what_is_cancelled_stays_so(api: Api, order: dict[str, Any]) -> None:
    request = await accepted(api.ada, "/transfers", order, key="k")
    cancelled = await api.ada.post(f"/requests/{request['id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert (await api.ada.post(f"/requests/{request['id']}/cancel")).json() == cancelled.json()
    await carry_out(api, request)
    at_once = await send(api.ada, "/transfers", order, key="k", prefer=None)
    assert (at_once.status_code, at_once.json()["code"]) == (409, "voided")
    assert await api.ada.posted(order["from"]) == "10.00"
    done = await accepted(api.ada, "/transfers", order)
    await carry_out(api, done)
    late = await api.ada.post(f"/requests/{done['id']}/cancel")
    assert (late.status_code, late.json()["code"]) == (409, "request_ended")


async def test_a_key_that_can_only_deposit_can_cancel_its_deposit_and_no_transfer(
    api: Api, order: dict[str, Any]
) -> None:
    depositing = api.ada.with_scopes("deposits:write")
    deposit = await accepted(depositing, f"/wallets/{order['from']}/deposits", {"money": order["money"]})
    cancelled = await depositing.post(f"/requests/{deposit['id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    transfer = await accepted(api.ada, "/transfers", order)
    refused = await depositing.post(f"/requests/{transfer['id']}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    theirs = await api.bob.with_scopes("deposits:write").post(f"/requests/{transfer['id']}/cancel")
    assert (theirs.status_code, theirs.json()["code"]) == (404, "request_unknown")


async def test_a_stranger_finds_nothing(api: Api, order: dict[str, Any]) -> None:
    request = await accepted(api.ada, "/transfers", order)
    for stranger in (api.bob, api.operator):
        for answer in (
            await stranger.get(f"/requests/{request['id']}"),
            await stranger.request("GET", f"/requests/{request['id']}", headers={"prefer": "wait=30"}),
            await stranger.post(f"/requests/{request['id']}/cancel"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "request_unknown")
        assert (await stranger.get("/requests")).json() == {"items": [], "next": None}
    assert (await api.ada.get("/requests", status="accepted")).json()["items"] == [request]
    assert (await api.ada.get("/requests", status="failed")).json()["items"] == []


async def test_mistakes_are_answered_at_once(api: Api, order: dict[str, Any]) -> None:
    for body, code in (
        (order | {"to": str(ids.new())}, "wallet_unknown"),
        (order | {"from": order["to"], "to": order["from"]}, "wallet_unknown"),
        (order | {"to": order["from"]}, "same_wallet"),
        (order | {"money": MONEY | {"amount": "1.001"}}, "amount_too_precise"),
        (order | {"money": MONEY | {"asset": "XXX"}}, "asset_unknown"),
        (order | {"extra": 1}, "unknown_field"),
    ):
        assert (await send(api.ada, "/transfers", body)).json()["code"] == code
    unkeyed = await api.ada.request("POST", "/transfers", json=order, headers={"prefer": LATER})
    assert unkeyed.json()["code"] == "idempotency_key_missing"
    assert (await api.ada.get("/requests/none")).json()["code"] == "invalid_id"
    assert (await api.ada.get(f"/requests/{ids.new()}")).json()["code"] == "request_unknown"
    assert (await api.ada.get("/requests", status="gone")).json()["code"] == "invalid_query_parameter"
    assert (await api.ada.get("/requests", cursor="x")).json()["code"] == "invalid_cursor"
    assert (await api.ada.get("/requests")).json()["items"] == []


async def test_a_list_is_followed_page_by_page(api: Api, order: dict[str, Any]) -> None:
    made = [(await accepted(api.ada, "/transfers", order))["id"] for _ in range(5)]
    found: list[str] = []
    path = "/requests?limit=2&status=accepted"
    while path:
        page = (await api.ada.get(path)).json()
        found += [item["id"] for item in page["items"]]
        path = page["next"]
    assert found == made[::-1]


async def test_an_alias_counts_when_it_is_carried_out(api: Api, order: dict[str, Any]) -> None:
    bob = await api.alias(api.bob, "Bob Bobson")
    body = order | {"to": bob, "payee": "Bob Bobson"}
    request = await accepted(api.ada, "/transfers", body)
    assert request["to"] == bob
    wrong = await send(api.ada, "/transfers", body | {"payee": "Somebody else"})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "payee_mismatch")
    await api.rename(api.bob, "Robert Bobson")
    await carry_out(api, request)
    failed = (await api.ada.get(f"/requests/{request['id']}")).json()
    assert (failed["status"], failed["error"]["code"]) == ("failed", "payee_mismatch")
    assert await api.ada.posted(order["from"]) == "10.00"
