"""Whose wallets a caller sees, and what each key's scopes allow, on every route."""

from typing import Any
from uuid import UUID

from billfold.kernel import ids
from billfold.platform import web
from billfold.wallets import Wallets
from billfold.wallets.rest import part
from tests import facades
from tests.acceptance.wallets.api import Api, handle

MONEY = {"amount": "1.00", "asset": "USD"}

#: Every route: what it is called with about Ada's things, the scope it needs, and how it turns a stranger away
#: (None where there is nothing of hers to name).
ROUTES: list[tuple[str, str, Any, str, int | None]] = [
    ("GET", "/wallets", None, "wallets:read", None),
    ("POST", "/wallets", {"name": "B"}, "wallets:write", None),
    ("GET", "/wallets/{wallet_id}", None, "wallets:read", 404),
    ("PATCH", "/wallets/{wallet_id}", {"name": "Mine now"}, "wallets:write", 404),
    ("POST", "/wallets/{wallet_id}/freeze", None, "wallets:write", 404),
    ("POST", "/wallets/{wallet_id}/unfreeze", None, "wallets:write", 403),
    (
        "PUT",
        "/wallets/{wallet_id}/credit-limits",
        {"credit_limits": [MONEY]},
        "limits:write",
        403,
    ),
    ("POST", "/wallets/{wallet_id}/close", None, "wallets:write", 404),
    ("POST", "/wallets/{wallet_id}/deposits", {"money": MONEY}, "deposits:write", 404),
    ("POST", "/wallets/{wallet_id}/withdrawals", {"money": MONEY}, "withdrawals:write", 404),
    ("GET", "/wallets/{wallet_id}/balance", None, "wallets:read", 404),
    ("GET", "/wallets/{wallet_id}/balance/history", None, "wallets:read", 404),
    ("GET", "/wallets/{wallet_id}/statement", None, "wallets:read", 404),
    (
        "POST",
        "/transfers",
        {"from": "{wallet_id}", "to": "{stranger}", "money": MONEY},
        "transfers:write",
        404,
    ),
    (
        "POST",
        "/transfers/bulk",
        {"items": [{"from": "{wallet_id}", "to": "{stranger}", "money": MONEY}], "atomic": True},
        "transfers:write",
        404,
    ),
    ("GET", "/transfers/{transfer_id}", None, "transfers:read", 404),
    ("POST", "/transfers/{transfer_id}/reverse", {}, "transfers:write", 404),
    ("POST", "/holds", {"wallet": "{wallet_id}", "money": MONEY}, "holds:write", 404),
    ("GET", "/holds", None, "holds:read", None),
    ("GET", "/holds/{hold_id}", None, "holds:read", 404),
    ("POST", "/holds/{hold_id}/settle", {"to": "{stranger}"}, "holds:write", 404),
    ("POST", "/holds/{hold_id}/release", None, "holds:write", 404),
    ("GET", "/transactions", None, "wallets:read", None),
    ("GET", "/transactions/summary", None, "wallets:read", None),
    ("GET", "/transactions/{transaction_id}", None, "wallets:read", 404),
    ("GET", "/aliases/{alias}/wallets", None, "wallets:read", 404),
    ("PUT", "/aliases/{alias}/wallets", {"wallet": "{stranger}"}, "wallets:write", 404),
    (
        "POST",
        "/payment-requests",
        {"from": "{alias}", "to": "{wallet_id}", "money": MONEY},
        "transfers:write",
        None,
    ),
    ("GET", "/payment-requests", None, "transfers:read", None),
    ("GET", "/payment-requests/{request_id}", None, "transfers:read", 404),
    ("POST", "/payment-requests/{request_id}/pay", {"from": "{stranger}"}, "transfers:write", 404),
    ("POST", "/payment-requests/{request_id}/decline", None, "transfers:write", 404),
    ("POST", "/payment-requests/{request_id}/cancel", None, "transfers:write", 404),
    ("GET", "/requests", None, "transfers:read", None),
    ("GET", "/requests/{request_id}", None, "transfers:read", 404),
    ("POST", "/requests/{request_id}/cancel", None, "transfers:write", 404),
    ("GET", "/admin/dead-letters", None, "dead_letters:write", 403),
    ("GET", "/admin/dead-letters/{dead_letter_id}", None, "dead_letters:write", 403),
    ("POST", "/admin/dead-letters/{dead_letter_id}/retry", None, "dead_letters:write", 403),
    ("POST", "/admin/dead-letters/{dead_letter_id}/discard", None, "dead_letters:write", 403),
    ("GET", "/assets", None, "assets:read", None),
    (
        "POST",
        "/assets",
        {"code": "ABC", "scale": 2, "kind": "fiat", "name": "Abc"},
        "assets:write",
        None,
    ),
]


#: Money on chains, of which there is none here: tests/integration/api walks these as everybody, strangers too.
ON_CHAINS = {
    ("GET", "/chain-withdrawals/{withdrawal_id}"),
    ("POST", "/chain-withdrawals/{withdrawal_id}/bump"),
    ("POST", "/chain-withdrawals/{withdrawal_id}/cancel"),
    ("GET", "/deposits/explain"),
    ("GET", "/deposits/unmatched"),
    ("GET", "/deposits/{deposit_id}"),
    ("POST", "/deposits/{deposit_id}/assign"),
    ("POST", "/deposits/{deposit_id}/bump-refund"),
    ("POST", "/deposits/{deposit_id}/refund"),
    ("GET", "/wallets/{wallet_id}/addresses"),
    ("POST", "/wallets/{wallet_id}/addresses"),
    ("GET", "/wallets/{wallet_id}/addresses/{chain}/qr"),
    ("GET", "/wallets/{wallet_id}/chain-withdrawals"),
    ("POST", "/wallets/{wallet_id}/chain-withdrawals"),
    ("GET", "/wallets/{wallet_id}/deposits"),
    ("GET", "/wallets/{wallet_id}/reserve-proof"),
}


async def prepared(api: Api) -> dict[str, str]:
    """What Ada has, and a wallet of a stranger's."""
    mine = await api.ada.wallet(holding="101.00")
    paid = (await api.ada.pay(mine, await api.ada.wallet())).json()["id"]
    hold = (await api.ada.post("/holds", {"wallet": mine, "money": MONEY})).json()["id"]
    hers = await api.alias(api.ada)
    # Of somebody who is neither.
    third = await api.alias(api.operator, "Operator")
    body = {"from": third, "to": mine, "money": MONEY}
    asked = (await api.ada.post("/payment-requests", body)).json()["id"]
    stranger = await api.bob.wallet()
    order = {"from": mine, "to": stranger, "money": MONEY}
    later = {"idempotency-key": str(ids.new()), "prefer": "respond-async"}
    sent = (await api.ada.request("POST", "/transfers", json=order, headers=later)).json()["id"]
    return {
        # Two kinds of requests are named alike in paths.
        "/requests/{request_id}": f"/requests/{sent}",
        "{alias}": hers,
        "{request_id}": asked,
        "{wallet_id}": mine,
        "{transfer_id}": paid,
        "{transaction_id}": paid,
        "{hold_id}": hold,
        "{stranger}": stranger,
    }


def named(thing: Any, names: dict[str, str]) -> Any:
    if isinstance(thing, dict):
        return {key: named(value, names) for key, value in thing.items()}
    if isinstance(thing, list):
        return [named(value, names) for value in thing]
    for name, value in names.items() if isinstance(thing, str) else ():
        thing = thing.replace(name, value)
    return thing


async def test_no_route_is_missing_here(api: Api) -> None:
    found = part(Wallets(database=api.database, ledger=api.ledger, identity=facades.identity(api.database)))
    routes = {(route.method, route.path) for route in found.routes}
    for handler in found.handlers:
        for path in handler.paths:
            routes |= {(method, path.replace(":str", "")) for method in handler.http_methods}
    assert routes - ON_CHAINS == {(method, path) for method, path, *_ in ROUTES}
    assert routes >= ON_CHAINS


async def test_a_stranger_is_turned_away_everywhere_and_learns_nothing(api: Api) -> None:
    names = await prepared(api)
    for method, path, body, _, status in ROUTES:
        asked = named({"path": path, "body": body}, names)
        answer = await api.bob.request(
            method, asked["path"], json=asked["body"], headers={"idempotency-key": f"{method}{path}"}
        )
        if status is not None:
            assert answer.status_code == status, f"{method} {path}: {answer.text}"
        assert "100.00" not in answer.text
        assert "99.00" not in answer.text
        unheard_of = [
            id_.rpartition("/")[2] for name, id_ in names.items() if name != "{stranger}" and id_ not in str(asked)
        ]
        assert not any(id_ in answer.text for id_ in unheard_of), f"{method} {path}: {answer.text}"
    for path in ("/wallets", "/holds", "/transactions"):
        items = (await api.bob.get(path)).json()["items"]
        assert not any(names["{wallet_id}"] == item.get("wallet", item["id"]) for item in items)
    assert await api.ada.posted(names["{wallet_id}"]) == "100.00"


async def test_a_refused_stranger_leaves_no_trace_in_a_wallet(api: Api) -> None:
    names = await prepared(api)
    wallet = names["{wallet_id}"]
    closed = await api.ada.wallet()
    assert (await api.ada.post(f"/wallets/{closed}/close")).status_code == 200
    await api.bob.deposit(names["{stranger}"], "0.00000001", asset="BTC")
    before = await trace(api, wallet, closed)
    assert before[1] == [200, 200]
    coins = {"amount": "1.00", "asset": "BTC"}
    routes = [
        *ROUTES,
        ("POST", "/transfers", {"from": "{stranger}", "to": "{wallet_id}", "money": coins}, "", 422),
        ("POST", "/transfers/bulk", {"items": [{"kind": "deposit", "to": "{wallet_id}", "money": coins}]}, "", None),
    ]
    for target in (wallet, closed):
        for number, (method, path, body, _, status) in enumerate(routes):
            ours = names | {"{wallet_id}": target}
            answer = await api.bob.request(
                method,
                named(path, ours),
                json=named(body, ours | {MONEY["asset"]: "BTC"}),
                headers={"idempotency-key": f"{target}-{number}"},
            )
            assert status is None or answer.status_code in (status, 409), f"{method} {path}: {answer.text}"
            assert await trace(api, wallet, closed) == before, f"{method} {path}"


async def trace(api: Api, *wallets: str) -> tuple[list[Any], list[int], list[Any]]:
    """All that a wallet's owner sees of it, and the accounts that there are."""
    seen = [(await api.ada.get(f"/wallets/{wallet}")).json() for wallet in wallets]
    histories = [
        (await api.ada.get(f"/wallets/{wallets[0]}/{path}")).status_code for path in ("balance/history", "statement")
    ]
    async with api.database.connection() as connection:
        accounts = await connection.fetch(
            "SELECT wallet_id, asset, account_id FROM wallets.accounts WHERE wallet_id = ANY($1) ORDER BY 1, 2",
            [UUID(wallet) for wallet in wallets],
        )
        opened = await connection.fetchval("SELECT count(*) FROM ledger.accounts WHERE floor IS NOT NULL")
    return seen, histories, [*map(tuple, accounts), opened]


async def test_what_is_hidden_looks_as_what_is_not_there(api: Api) -> None:
    names = await prepared(api)
    nothing = dict.fromkeys(names, "019aa2c6-7a00-7000-8000-000000000000") | {
        "/requests/{request_id}": "/requests/019aa2c6-7a00-7000-8000-000000000000",
        "{stranger}": names["{stranger}"],
        "{alias}": handle(),
    }
    for method, path, body, _, status in ROUTES:
        if status != 404:
            continue
        hidden, missing = [
            await api.bob.request(
                method,
                named(path, ids_),
                json=named(body, ids_),
                headers={"idempotency-key": f"{method}{path}{number}"},
            )
            for number, ids_ in enumerate((names, nothing))
        ]
        same = ("type", "title", "status", "detail", "code", "retryable", "errors")
        assert [hidden.json()[name] for name in same] == [missing.json()[name] for name in same], path


async def test_a_key_without_the_scope_is_refused(api: Api) -> None:
    lacking = api.ada.with_scopes("nothing:else")
    for method, path, body, scope, _ in ROUTES:
        answer = await lacking.request(method, path, json=body, headers={"idempotency-key": "k"})
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope"), path
        assert scope in answer.json()["detail"], path


async def test_without_credentials_nothing_is_answered(api: Api) -> None:
    for method, path, body, *_ in ROUTES:
        answer = await api.client.request(method, web.PREFIX + path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), path


async def test_deposits_in_bulk_need_their_scope_too(api: Api) -> None:
    mine = await api.ada.wallet()
    limited = api.ada.with_scopes("transfers:write")
    answer = await limited.post("/transfers/bulk", {"items": [{"kind": "deposit", "to": mine, "money": MONEY}]})
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
    assert await api.ada.posted(mine) == "0.00"
