"""Each thing that can be wrong with a request has a code of its own, says what to do, and changes nothing."""

import gzip
from typing import Any

import msgspec
import pytest

from billfold.kernel import ids, paging
from tests.acceptance.wallets.api import Api

MONEY = {"amount": "1.00", "asset": "USD"}
#: Stand for ids that only the running test knows.
MINE, OTHER, FROZEN, CLOSED, EMPTY = "{mine}", "{other}", "{frozen}", "{closed}", "{empty}"
UNKNOWN = "019aa2c6-7a00-7000-8000-000000000000"
HOLD, RELEASED, TRANSFER, REVERSED = "{hold}", "{released}", "{transfer}", "{reversed}"


def money(amount: Any, asset: str = "USD") -> dict[str, Any]:
    return {"amount": amount, "asset": asset}


def order(**changes: Any) -> dict[str, Any]:
    return {"from": MINE, "to": OTHER, "money": MONEY} | {name.rstrip("_"): value for name, value in changes.items()}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in order().items() if key != name}


#: path, body, status, code, where.
POSTS: list[tuple[str, Any, int, str, str | None]] = [
    ("/transfers", order(extra=1), 422, "unknown_field", "/extra"),
    ("/transfers", order(money=MONEY | {"currency": "USD"}), 422, "unknown_field", "/money/currency"),
    ("/transfers", without("money"), 422, "missing_field", "/money"),
    ("/transfers", order(to=7), 422, "wrong_type", "/to"),
    ("/transfers", order(money="1.00"), 422, "wrong_type", "/money"),
    ("/transfers", order(money=money(1.0)), 422, "wrong_type", "/money/amount"),
    ("/transfers", [order()], 422, "wrong_type", None),
    ("/transfers", order(metadata={"a": 1}), 422, "wrong_type", "/metadata"),
    ("/transfers", order(reference="x" * 141), 422, "invalid_value", "/reference"),
    ("/transfers", order(reference="a\0b"), 422, "invalid_value", "/reference"),
    ("/transfers", order(description="x" * 501), 422, "invalid_value", "/description"),
    ("/transfers", order(metadata={str(n): "" for n in range(21)}), 422, "invalid_value", "/metadata"),
    ("/transfers", order(metadata={"": "x"}), 422, "invalid_value", "/metadata"),
    ("/transfers", order(money=money("1.001")), 422, "amount_too_precise", "/money/amount"),
    ("/transfers", order(money=money("0.00")), 422, "amount_not_positive", "/money/amount"),
    ("/transfers", order(money=money("-1.00")), 422, "amount_not_positive", "/money/amount"),
    ("/transfers", order(money=money("1" + "0" * 80)), 422, "amount_too_large", "/money/amount"),
    ("/transfers", order(money=money("1" + "0" * 40)), 422, "insufficient_funds", None),
    ("/transfers", order(money=money("NaN")), 422, "invalid_amount", "/money/amount"),
    ("/transfers", order(money=money("Infinity")), 422, "invalid_amount", "/money/amount"),
    ("/transfers", order(money=money("1e3")), 422, "invalid_amount", "/money/amount"),
    ("/transfers", order(money=money("1,00")), 422, "invalid_amount", "/money/amount"),
    ("/transfers", order(money=money("٣.00")), 422, "invalid_amount", "/money/amount"),
    ("/transfers", order(money=money("")), 422, "invalid_amount", "/money/amount"),
    ("/transfers", order(money=money("1.00", "XXX")), 422, "asset_unknown", "/money/asset"),
    ("/transfers", order(money=money("1.00", "usd")), 422, "asset_unknown", "/money/asset"),
    ("/transfers", order(to="nobody"), 422, "invalid_id", "/to"),
    ("/transfers", order(from_="outside"), 422, "invalid_id", "/from"),
    ("/transfers", order(to=UNKNOWN), 404, "wallet_unknown", "/to"),
    ("/transfers", order(from_=UNKNOWN), 404, "wallet_unknown", "/from"),
    ("/transfers", order(to=MINE), 422, "same_wallet", "/to"),
    ("/transfers", order(to=FROZEN), 409, "wallet_frozen", None),
    ("/transfers", order(from_=FROZEN), 409, "wallet_frozen", None),
    ("/transfers", order(to=CLOSED), 409, "wallet_closed", None),
    ("/transfers", order(from_=EMPTY), 422, "insufficient_funds", None),
    ("/transfers", order(effective_at="yesterday"), 422, "invalid_instant", "/effective_at"),
    ("/transfers", order(effective_at="2026-02-30"), 422, "invalid_instant", "/effective_at"),
    ("/transfers", order(effective_at="2026-01-01T00:00:00"), 422, "invalid_instant", "/effective_at"),
    ("/transfers", order(effective_at="2999-01-01"), 422, "effective_in_future", None),
    ("/transfers", order(effective_at="1899-12-31"), 422, "effective_too_early", None),
    ("/transfers/bulk", {"items": []}, 422, "invalid_value", "/items"),
    ("/transfers/bulk", {"items": [order()] * 1001}, 422, "invalid_value", "/items"),
    ("/transfers/bulk", {"items": [order(), order(kind="gift")]}, 422, "invalid_value", "/items/1/kind"),
    ("/transfers/bulk", {"items": [order(), order(money=money("x"))]}, 422, "invalid_amount", "/items/1/money/amount"),
    ("/transfers/bulk", {"items": [order(kind="deposit")]}, 422, "sides_wrong", "/items/0"),
    ("/transfers/bulk", {"items": [order(), order(idempotency_key="k")]}, 422, "item_keys_mixed", "/items"),
    ("/transfers/bulk", {"items": [order(idempotency_key="k")], "atomic": True}, 422, "item_keys_atomic", "/atomic"),
    ("/transfers/bulk", {"items": [order(), order(to=UNKNOWN)], "atomic": True}, 404, "wallet_unknown", "/items/1"),
    ("/wallets", {}, 422, "missing_field", "/name"),
    ("/wallets", {"name": ""}, 422, "invalid_value", "/name"),
    ("/wallets", {"name": "x" * 101}, 422, "invalid_value", "/name"),
    ("/wallets", {"name": "x", "owner_id": UNKNOWN}, 422, "unknown_field", "/owner_id"),
    (f"/wallets/{UNKNOWN}/deposits", {"money": MONEY}, 404, "wallet_unknown", None),
    ("/wallets/nonsense/deposits", {"money": MONEY}, 422, "invalid_id", None),
    (f"/wallets/{CLOSED}/deposits", {"money": MONEY}, 409, "wallet_closed", None),
    (f"/wallets/{MINE}/withdrawals", {"money": money("1000.01")}, 422, "insufficient_funds", None),
    (f"/wallets/{MINE}/close", None, 409, "wallet_not_empty", None),
    (f"/wallets/{FROZEN}/close", None, 409, "wallet_frozen", None),
    (f"/wallets/{CLOSED}/freeze", None, 409, "wallet_closed", None),
    (f"/transfers/{UNKNOWN}/reverse", {}, 404, "transfer_unknown", None),
    (f"/transfers/{TRANSFER}/reverse", {"money": money("9.00")}, 409, "reversal_exceeds_transfer", None),
    (f"/transfers/{TRANSFER}/reverse", {"money": money("1.00", "EUR")}, 422, "asset_mismatch", "/money/asset"),
    (f"/transfers/{REVERSED}/reverse", {}, 409, "transfer_not_reversible", None),
    ("/holds", {"wallet": UNKNOWN, "money": MONEY}, 404, "wallet_unknown", "/wallet"),
    ("/holds", {"wallet": "x", "money": MONEY}, 422, "invalid_id", "/wallet"),
    ("/holds", {"wallet": MINE, "money": money("1000.01")}, 422, "insufficient_funds", None),
    ("/holds", {"wallet": MINE, "money": MONEY, "expires_at": "2020-01-01"}, 422, "expiry_in_past", None),
    ("/holds", {"wallet": MINE, "money": MONEY, "expires_at": "soon"}, 422, "invalid_instant", "/expires_at"),
    (f"/holds/{UNKNOWN}/release", None, 404, "hold_unknown", None),
    (f"/holds/{HOLD}/settle", {"to": OTHER, "money": money("9.00")}, 409, "settlement_exceeds_hold", None),
    (f"/holds/{HOLD}/settle", {"to": OTHER, "money": money("1.00", "EUR")}, 422, "asset_mismatch", "/money/asset"),
    (f"/holds/{HOLD}/settle", {"to": UNKNOWN}, 404, "wallet_unknown", "/to"),
    (f"/holds/{HOLD}/settle", {"to": MINE}, 422, "same_wallet", None),
    (f"/holds/{RELEASED}/settle", {"to": OTHER}, 409, "hold_ended", None),
    (f"/holds/{RELEASED}/release", None, 409, "hold_ended", None),
]

#: path, parameters, status, code, which parameter.
GETS: list[tuple[str, dict[str, str], int, str, str | None]] = [
    ("/wallets", {"page": "2"}, 400, "unknown_query_parameter", "page"),
    ("/wallets", {"cursor": "nonsense"}, 400, "invalid_cursor", "cursor"),
    ("/wallets", {"cursor": paging.encode(["2026-01-01T00:00:00Z", UNKNOWN])}, 400, "invalid_cursor", "cursor"),
    ("/wallets", {"limit": "0"}, 400, "invalid_limit", "limit"),
    ("/wallets", {"limit": "101"}, 400, "invalid_limit", "limit"),
    ("/wallets", {"limit": "many"}, 400, "invalid_query_parameter", "limit"),
    ("/wallets", {"status": "melted"}, 400, "invalid_query_parameter", "status"),
    ("/wallets/nonsense", {}, 422, "invalid_id", None),
    (f"/wallets/{UNKNOWN}", {}, 404, "wallet_unknown", None),
    (f"/wallets/{MINE}", {"verbose": "1"}, 400, "unknown_query_parameter", "verbose"),
    (f"/wallets/{MINE}/balance", {"asset": "XXX"}, 422, "asset_unknown", "asset"),
    (f"/wallets/{MINE}/balance", {"at": "then"}, 422, "invalid_instant", "at"),
    (f"/wallets/{MINE}/balance", {"at": "2999-01-01"}, 422, "instant_in_future", None),
    (f"/wallets/{MINE}/balance", {"effective_at": "2999-01-01"}, 422, "instant_in_future", None),
    (
        f"/wallets/{MINE}/balance",
        {"at": "2026-01-01", "effective_at": "2026-01-01"},
        422,
        "instant_ambiguous",
        "effective_at",
    ),
    (f"/wallets/{UNKNOWN}/balance", {}, 404, "wallet_unknown", None),
    (f"/wallets/{MINE}/balance/history", {"step": "often"}, 422, "step_wrong", "step"),
    (f"/wallets/{MINE}/balance/history", {"since": "2000-01-01", "step": "1s"}, 422, "too_many_points", None),
    (
        f"/wallets/{MINE}/balance/history",
        {"since": "2026-01-02", "until": "2026-01-01"},
        422,
        "period_wrong",
        "until",
    ),
    (f"/wallets/{MINE}/balance/history", {"until": "0001-01-05"}, 422, "invalid_instant", "until"),
    (f"/wallets/{EMPTY}/balance/history", {}, 422, "asset_needed", "asset"),
    (f"/wallets/{MINE}/statement", {"until": "2999-01-01"}, 422, "instant_in_future", "until"),
    (f"/wallets/{MINE}/statement", {"since": "0001-01-01"}, 422, "invalid_instant", "since"),
    (f"/wallets/{MINE}/statement", {"until": "0001-01-01"}, 422, "invalid_instant", "until"),
    (f"/wallets/{MINE}/statement", {"format": "xml"}, 400, "invalid_query_parameter", "format"),
    (f"/wallets/{UNKNOWN}/statement", {}, 404, "wallet_unknown", None),
    (f"/transfers/{UNKNOWN}", {}, 404, "transfer_unknown", None),
    ("/transactions", {"wallet": UNKNOWN}, 404, "wallet_unknown", None),
    ("/transactions", {"wallet": "x"}, 422, "invalid_id", "wallet"),
    ("/transactions", {"amount_min": "1"}, 422, "asset_needed", "asset"),
    ("/transactions", {"amount_min": "x", "asset": "USD"}, 422, "invalid_amount", "amount_min"),
    ("/transactions", {"amount_max": "0.001", "asset": "USD"}, 422, "amount_too_precise", "amount_max"),
    ("/transactions", {"kind": "gift"}, 400, "invalid_query_parameter", "kind"),
    ("/transactions", {"cursor": paging.encode("x")}, 400, "invalid_cursor", "cursor"),
    (
        "/transactions",
        {"cursor": paging.encode(["0001-01-01T00:00:00+14:00", UNKNOWN])},
        400,
        "invalid_cursor",
        "cursor",
    ),
    (
        "/transactions",
        {"cursor": paging.encode(["9999-12-31T23:59:59-14:00", UNKNOWN])},
        400,
        "invalid_cursor",
        "cursor",
    ),
    ("/transactions", {"cursor": paging.encode(["2026-01-01T00:00:00", UNKNOWN])}, 400, "invalid_cursor", "cursor"),
    ("/transactions", {"since": "2026-01-02", "until": "2026-01-01"}, 422, "period_wrong", "until"),
    (f"/transactions/{UNKNOWN}", {}, 404, "transaction_unknown", None),
    ("/transactions/summary", {"limit": "5"}, 400, "unknown_query_parameter", "limit"),
    ("/holds", {"status": "melted"}, 400, "invalid_query_parameter", "status"),
    (f"/holds/{UNKNOWN}", {}, 404, "hold_unknown", None),
    ("/assets", {"kind": "fiat"}, 400, "unknown_query_parameter", "kind"),
]

ASSET = {"code": "ABC", "scale": 2, "kind": "fiat", "name": "Abc"}
ASSETS: list[tuple[dict[str, Any], str]] = [
    (ASSET | {"code": "abc"}, "/code"),
    (ASSET | {"code": "A"}, "/code"),
    (ASSET | {"code": "ABC\n"}, "/code"),
    (ASSET | {"scale": -1}, "/scale"),
    (ASSET | {"scale": 37}, "/scale"),
    (ASSET | {"kind": "shell"}, "/kind"),
    (ASSET | {"name": ""}, "/name"),
]


@pytest.fixture
async def names(api: Api) -> dict[str, str]:
    """A small world: what the placeholders stand for."""
    ada = api.ada
    mine, other = await ada.wallet(holding="1000.00"), await ada.wallet(holding="10.00")
    frozen, closed = await ada.wallet(holding="5.00"), await ada.wallet()
    await ada.post(f"/wallets/{frozen}/freeze")
    await ada.post(f"/wallets/{closed}/close")
    held = (await ada.post("/holds", {"wallet": other, "money": money("2.00")})).json()["id"]
    own_hold = (await ada.post("/holds", {"wallet": mine, "money": money("2.00")})).json()["id"]
    await ada.post(f"/holds/{held}/release")
    paid = (await ada.pay(other, other_wallet := await ada.wallet(), "3.00")).json()["id"]
    back = (await ada.post(f"/transfers/{paid}/reverse", {"money": MONEY})).json()["id"]
    assert other_wallet
    return {
        MINE: mine,
        OTHER: other,
        FROZEN: frozen,
        CLOSED: closed,
        EMPTY: await ada.wallet(),
        HOLD: own_hold,
        RELEASED: held,
        TRANSFER: paid,
        REVERSED: back,
    }


def filled(thing: Any, names: dict[str, str]) -> Any:
    """`thing` with ids for the placeholders."""
    text = msgspec.json.encode(thing).decode()
    for name, value in names.items():
        text = text.replace(name, value)
    return msgspec.json.decode(text)


async def state(api: Api) -> list[tuple[Any, ...]]:
    """All that a request could have changed, but for the accounts that a first use opens."""
    queries = (
        "SELECT id, posted, held, version, status FROM ledger.accounts WHERE version > 0 OR held > 0 ORDER BY id",
        "SELECT count(*) FROM ledger.transfers",
        "SELECT id, status, settled FROM ledger.holds ORDER BY id",
        "SELECT id, name, status, metadata::text FROM wallets.wallets ORDER BY id",
        "SELECT code FROM ledger.assets ORDER BY code",
    )
    async with api.database.connection() as connection:
        return [tuple(row) for query in queries for row in await connection.fetch(query)]


def check(answer: Any, status: int, code: str, where: str | None) -> None:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), answer.text
    assert problem["status"] == status
    assert problem["detail"].endswith((".", "…", "?")), problem["detail"]
    assert "regex" not in problem["detail"], problem["detail"]
    assert "`" not in problem["detail"], problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    places = [fault.get("pointer", fault.get("parameter")) for fault in problem["errors"]]
    if where is not None:
        assert places == [where]


async def test_every_wrong_post_has_its_code_and_changes_nothing(api: Api, names: dict[str, str]) -> None:
    before = await state(api)
    for path, body, status, code, where in POSTS:
        answer = await api.ada.post(filled(path, names), filled(body, names))
        try:
            check(answer, status, code, where)
        except AssertionError as error:
            raise AssertionError(f"{path} {str(body)[:300]}") from error
    assert await state(api) == before


async def test_every_wrong_question_has_its_code(api: Api, names: dict[str, str]) -> None:
    for path, parameters, status, code, where in GETS:
        answer = await api.ada.get(filled(path, names), **parameters)
        try:
            check(answer, status, code, where)
        except AssertionError as error:
            raise AssertionError(f"{path} {parameters}") from error


async def test_every_wrong_asset_is_refused(api: Api) -> None:
    before = await state(api)
    for body, where in ASSETS:
        check(await api.operator.post("/assets", body), 422, "invalid_value", where)
    assert await state(api) == before


async def test_a_body_that_is_no_json_is_told_from_one_that_is_wrong(api: Api, names: dict[str, str]) -> None:
    before = await state(api)
    headers = {"idempotency-key": "k", "content-type": "application/json"}
    for body, status, code in (
        (b"", 400, "malformed_json"),
        (b"{", 400, "malformed_json"),
        (b"{'a': 1}", 400, "malformed_json"),
        (b'{"reference": "\xff"}', 400, "malformed_json"),
        (b'{"reference": "\\ud800"}', 400, "malformed_json"),
        (b'{"a":' * 2_000 + b"1" + b"}" * 2_000, 400, "nesting_too_deep"),
        (b'{"reference": "' + b"x" * 200_000 + b'"}', 413, "body_too_large"),
        (b"null", 422, "wrong_type"),
    ):
        answer = await api.ada.request("POST", "/transfers", content=body, headers=headers)
        check(answer, status, code, None)
    wrong_type = {"idempotency-key": "k", "content-type": "text/plain"}
    answer = await api.ada.request("POST", "/transfers", content=b"{}", headers=wrong_type)
    check(answer, 415, "unsupported_media_type", None)
    packed = headers | {"content-encoding": "gzip"}
    answer = await api.ada.request("POST", "/transfers", content=gzip.compress(b"{}"), headers=packed)
    check(answer, 415, "unsupported_content_encoding", None)
    answer = await api.ada.request("POST", "/transfers/bulk", content=b" " * (2 * 1024 * 1024 + 1), headers=headers)
    check(answer, 413, "body_too_large", None)
    assert await state(api) == before


async def test_an_idempotency_key_is_needed_sane_and_used_for_one_thing(api: Api, names: dict[str, str]) -> None:
    body = filled(order(), names)
    paths = [
        ("/transfers", body),
        ("/transfers/bulk", {"items": [body]}),
        (f"/wallets/{names[MINE]}/deposits", {"money": MONEY}),
        (f"/wallets/{names[MINE]}/withdrawals", {"money": MONEY}),
        (f"/transfers/{names[TRANSFER]}/reverse", {}),
        ("/holds", {"wallet": names[MINE], "money": MONEY}),
        (f"/holds/{names[HOLD]}/settle", {"to": names[OTHER]}),
        (f"/holds/{names[HOLD]}/release", None),
    ]
    before = await state(api)
    for path, given in paths:
        check(await api.ada.request("POST", path, json=given), 400, "idempotency_key_missing", None)
        for key in (b"", b"x" * 256, b"a b\tc", "ключ".encode()):
            answer = await api.ada.request("POST", path, json=given, headers={b"idempotency-key": key})
            check(answer, 400, "invalid_idempotency_key", None)
        two = [("idempotency-key", "one"), ("idempotency-key", "two")]
        check(await api.ada.request("POST", path, json=given, headers=two), 400, "invalid_idempotency_key", None)
    assert await state(api) == before
    await api.ada.post("/transfers", body, key="taken")
    before = await state(api)
    for path, given in paths:
        another = given | {"reference": "another"} if path == "/transfers" else given
        check(await api.ada.post(path, another, key="taken"), 422, "idempotency_key_reused", None)
    assert await state(api) == before


async def test_a_wrong_key_of_an_item_is_shown_where_it_is(api: Api, names: dict[str, str]) -> None:
    good = filled(order(), names)
    items = [good | {"idempotency_key": key} for key in ("fine", "not so fine", "x" * 256, "")]
    answer = await api.ada.post("/transfers/bulk", {"items": items})
    refusals = [result.get("refusal", {}) for result in answer.json()["results"]]
    assert [refusal.get("pointer") for refusal in refusals] == [
        None,
        *(f"/items/{place}/idempotency_key" for place in (1, 2, 3)),
    ]
    assert {refusal.get("code") for refusal in refusals[1:]} == {"invalid_idempotency_key"}


async def test_a_wallet_that_is_not_empty_says_what_is_left(api: Api) -> None:
    mine = await api.ada.wallet(holding="12.34")
    await api.ada.post("/holds", {"wallet": mine, "money": MONEY})
    refused = await api.ada.post(f"/wallets/{mine}/close")
    assert "12.34 USD (1.00 of it held)" in refused.json()["detail"]


async def test_a_key_in_flight_says_so_or_is_answered(api: Api, names: dict[str, str]) -> None:
    item = filled(order(), names) | {"idempotency_key": str(ids.new())}
    answer = await api.ada.post("/transfers/bulk", {"items": [item, item]})
    first, second = answer.json()["results"]
    assert first["transfer"]
    assert (second["refusal"]["code"], second["refusal"]["retryable"]) == ("idempotency_key_in_use", True)
