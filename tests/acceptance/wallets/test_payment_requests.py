"""Requests for payment, as both sides see them through the API."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billfold.kernel import ids
from tests.acceptance.wallets.api import Api, Caller, handle

MONEY = {"amount": "2.50", "asset": "USD"}


async def asked(api: Api, bob: str, to: str, **more: Any) -> dict[str, Any]:
    """What Ada asks Bob for."""
    made = await api.ada.post("/payment-requests", {"from": bob, "to": to, "money": MONEY} | more)
    assert made.status_code == 201, made.text
    answer: dict[str, Any] = made.json()
    return answer


async def pay(caller: Caller, request: dict[str, Any], source: str) -> Any:
    return await caller.post(f"/payment-requests/{request['id']}/pay", {"from": source})


@pytest.fixture
async def bob(api: Api) -> str:
    await api.introduce(api.ada, "Ada Lovelace")
    return await api.alias(api.bob, "Bob Bobson")


async def test_ada_asks_and_bob_pays(api: Api, bob: str) -> None:
    hers, his = await api.ada.wallet(), await api.bob.wallet(holding="10.00")
    request = await asked(api, bob, hers, reference="coffee")
    assert (request["direction"], request["status"], request["to"]) == ("outgoing", "open", hers)
    (seen,) = (await api.bob.get("/payment-requests")).json()["items"]
    assert (seen["direction"], seen["payee"], seen["from"], seen["to"]) == ("incoming", "Ada Lovelace", bob, None)
    paid = await pay(api.bob, request, his)
    assert (paid.status_code, paid.json()["to"], paid.json()["reference"]) == (200, hers, "coffee")
    assert await api.ada.posted(hers) == "2.50"
    again = await pay(api.bob, request, his)
    assert again.json() == paid.json()
    assert again.headers["idempotency-replayed"] == "true"
    ended = (await api.ada.get(f"/payment-requests/{request['id']}")).json()
    assert (ended["status"], ended["transfer_id"]) == ("paid", paid.json()["id"])
    for act, caller in (("decline", api.bob), ("cancel", api.ada)):
        refused = await caller.post(f"/payment-requests/{request['id']}/{act}")
        assert refused.json()["code"] == "payment_request_ended"
    assert await api.ada.posted(hers) == "2.50"
    assert (await api.bob.get("/payment-requests", open="true")).json()["items"] == []


async def test_of_twenty_payments_at_once_from_two_wallets_one_moves_money(api: Api, bob: str) -> None:
    hers, sources = await api.ada.wallet(), [await api.bob.wallet(holding="100.00") for _ in range(2)]
    request = await asked(api, bob, hers)
    answers = await asyncio.gather(*(pay(api.bob, request, sources[number % 2]) for number in range(20)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 200}) == 1
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"idempotency_key_in_use"}
    assert await api.ada.posted(hers) == "2.50"


async def test_a_payment_and_its_end_at_once_have_one_outcome(api: Api, bob: str) -> None:
    hers, his = await api.ada.wallet(holding="1.00"), await api.bob.wallet(holding="1000.00")
    outcomes: Counter[str] = Counter()
    for _ in range(8):
        request = await asked(api, bob, hers)
        path = f"/payment-requests/{request['id']}"
        await asyncio.gather(
            pay(api.bob, request, his), api.ada.post(f"{path}/cancel"), api.bob.post(f"{path}/decline")
        )
        # All of them may have been told to try again.
        await api.ada.post(f"{path}/cancel")
        found = (await api.ada.get(path)).json()
        assert found["status"] in {"paid", "cancelled", "declined"}
        assert (found["transfer_id"] is not None) == (found["status"] == "paid")
        late = await pay(api.bob, request, his)
        assert late.status_code == (200 if found["status"] == "paid" else 409)
        outcomes[found["status"]] += 1
    assert await api.ada.posted(hers) == f"{1 + 2.5 * outcomes['paid']:.2f}"


async def test_what_could_not_be_paid_can_be_paid_later_once(api: Api, bob: str) -> None:
    hers, his = await api.ada.wallet(), await api.bob.wallet(holding="1.00")
    request = await asked(api, bob, hers)
    for _ in range(3):
        assert (await pay(api.bob, request, his)).json()["code"] == "insufficient_funds"
    await api.bob.deposit(his, "5.00")
    answers = await asyncio.gather(*(pay(api.bob, request, his) for _ in range(10)))
    assert 200 in {answer.status_code for answer in answers}
    assert (await api.ada.posted(hers), await api.bob.posted(his)) == ("2.50", "3.50")


@pytest.mark.parametrize(("act", "status"), [("decline", "declined"), ("cancel", "cancelled")])
async def test_what_was_declined_or_cancelled_is_never_paid(api: Api, bob: str, act: str, status: str) -> None:
    hers, his = await api.ada.wallet(), await api.bob.wallet(holding="10.00")
    request = await asked(api, bob, hers)
    right, wrong = (api.bob, api.ada) if act == "decline" else (api.ada, api.bob)
    path = f"/payment-requests/{request['id']}/{act}"
    assert (await wrong.post(path)).json()["code"] == "payment_request_unknown"
    assert (await right.post(path)).json()["status"] == status
    assert (await right.post(path)).json()["status"] == status
    assert (await pay(api.bob, request, his)).json()["code"] == "payment_request_ended"
    assert await api.bob.posted(his) == "10.00"


async def test_nobody_else_sees_or_pays_it(api: Api, bob: str) -> None:
    hers = await api.ada.wallet(holding="10.00")
    request = await asked(api, bob, hers)
    stranger = api.operator
    for answer in (
        await stranger.get(f"/payment-requests/{request['id']}"),
        await stranger.post(f"/payment-requests/{request['id']}/cancel"),
        await pay(stranger, request, await stranger.wallet()),
        await pay(api.ada, request, hers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "payment_request_unknown")
    assert (await pay(api.bob, request, hers)).json()["code"] == "wallet_unknown"
    assert await api.ada.posted(hers) == "10.00"


async def test_the_same_request_twice_is_one(api: Api, bob: str) -> None:
    hers, key = await api.ada.wallet(), str(ids.new())
    body = {"from": bob, "to": hers, "money": MONEY}
    answers = await asyncio.gather(*(api.ada.post("/payment-requests", body, key=key) for _ in range(5)))
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = await api.ada.post("/payment-requests", body | {"reference": "other"}, key=key)
    assert other.json()["code"] == "idempotency_key_reused"


async def test_nobody_is_buried_in_requests(api: Api, bob: str) -> None:
    body = {"from": bob, "to": await api.ada.wallet(), "money": MONEY}
    answers = await asyncio.gather(*(api.ada.post("/payment-requests", body) for _ in range(12)))
    assert Counter(answer.status_code for answer in answers) == {201: 10, 409: 2}


async def test_a_request_that_makes_no_sense_is_told_why(api: Api, bob: str) -> None:
    hers, his = await api.ada.wallet(), await api.bob.wallet()
    mine = await api.alias(api.ada)
    past, late = [datetime.now(UTC) + timedelta(days=days) for days in (-1, 400)]
    for change, code in (
        ({"from": mine}, "payer_is_you"),
        ({"from": handle()}, "alias_unknown"),
        ({"to": his}, "wallet_unknown"),
        ({"to": bob}, "alias_unknown"),
        ({"money": {"amount": "0.00", "asset": "USD"}}, "amount_not_positive"),
        ({"expires_at": past.isoformat()}, "expiry_in_past"),
        ({"expires_at": late.isoformat()}, "expiry_too_late"),
    ):
        body = {"from": bob, "to": hers, "money": MONEY} | change
        assert (await api.ada.post("/payment-requests", body)).json()["code"] == code, change


async def test_one_whose_time_is_over_is_not_paid(api: Api, bob: str) -> None:
    hers, his = await api.ada.wallet(), await api.bob.wallet(holding="10.00")
    soon = datetime.now(UTC) + timedelta(seconds=4)  # It is made before that on any machine.
    request = await asked(api, bob, hers, expires_at=soon.isoformat())
    while (await api.bob.get(f"/payment-requests/{request['id']}")).json()["status"] == "open":  # noqa: ASYNC110 - it is a clock that it waits for.
        await asyncio.sleep(0.1)
    assert (await pay(api.bob, request, his)).json()["code"] == "payment_request_ended"
    assert await api.bob.posted(his) == "10.00"
