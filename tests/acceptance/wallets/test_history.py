"""Lists, charts and statements over HTTP."""

import asyncio
import csv
import io
import tracemalloc
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from billfold.kernel import ids
from billfold.ledger import Ledger
from tests.acceptance.wallets.api import Api, Caller

MONEY = {"amount": "1.00", "asset": "USD"}
#: Enough that a statement held in memory would show: as JSON alone these lines are 16 MB, as Python objects 80 MB.
MANY = 40_000
#: A block of 2,000 entries with some of their transactions and JSON takes about 4 MB.
STREAM_MEMORY_MAX = 12 * 1024 * 1024


async def followed(caller: Caller, path: str, **parameters: str | int) -> list[dict[str, Any]]:
    """All items of a list, page after page by its links."""
    page = (await caller.get(path, **parameters)).json()
    items = list(page["items"])
    while page["next"] is not None:
        page = (await caller.get(page["next"])).json()
        items += page["items"]
    return items


async def test_links_lead_through_a_list_with_its_filters_while_it_grows(api: Api) -> None:
    mine, other = await api.ada.wallet(holding="100.00"), await api.ada.wallet()
    for number in range(7):
        await api.ada.pay(mine, other, reference=f"käse & {number}")
    await api.ada.pay(other, mine, "2.00")
    first = (await api.ada.get("/transactions", wallet=mine, direction="out", limit=3)).json()
    await api.ada.pay(mine, other, reference="later")
    rest = []
    link = first["next"]
    while link is not None:
        assert "direction=out" in link
        page = (await api.ada.get(link)).json()
        rest += page["items"]
        link = page["next"]
    assert [item["reference"] for item in first["items"] + rest] == [f"käse & {n}" for n in range(6, -1, -1)]
    (one,) = await followed(api.ada, "/transactions", reference="käse & 3", wallet=mine)
    assert one["direction"] == "out"
    assert len(await followed(api.ada, "/wallets", limit=1)) == 2


async def test_a_list_says_where_it_was_read(api: Api) -> None:
    await api.ada.wallet(holding="1.00")
    assert (await api.ada.get("/transactions")).headers["history-source"] == "postgresql"


async def test_a_balance_is_told_for_now_and_for_any_instant(api: Api) -> None:
    mine = await api.ada.wallet()
    body = {"money": MONEY, "effective_at": "2026-01-10"}
    early = (await api.ada.post(f"/wallets/{mine}/deposits", body)).json()
    await api.ada.deposit(mine, "2.00")
    at = await api.ada.get(f"/wallets/{mine}/balance", at=early["recorded_at"])
    assert at.json() == {
        "wallet": mine,
        "at": early["recorded_at"],
        "balances": [{"asset": "USD", "posted": "1.00"}],
    }
    effective = await api.ada.get(f"/wallets/{mine}/balance", effective_at="2026-01-15", asset="USD")
    assert effective.json()["balances"] == [{"asset": "USD", "posted": "1.00"}]
    assert effective.json()["effective_at"] == "2026-01-15T00:00:00Z"
    before = await api.ada.get(f"/wallets/{mine}/balance", effective_at="2026-01-09")
    assert before.json()["balances"] == [{"asset": "USD", "posted": "0.00"}]
    chart = await api.ada.get(
        f"/wallets/{mine}/balance/history", since="2026-01-09", until="2026-01-11", step="1d", basis="effective"
    )
    assert [point["posted"] for point in chart.json()["points"]] == ["0.00", "1.00", "1.00"]


async def test_a_statement_is_json_or_csv_as_asked(api: Api) -> None:
    mine, yours = await api.ada.wallet(holding="10.00"), await api.bob.wallet()
    await api.ada.pay(mine, yours, "2.50", reference='=HYPERLINK("x")', description="two\nlines, and a comma")
    path = f"/wallets/{mine}/statement"
    statement = (await api.ada.get(path)).json()
    assert (statement["opening_balance"], statement["closing_balance"]) == ("0.00", "7.50")
    assert [line["balance"] for line in statement["transactions"]] == ["10.00", "7.50"]
    assert statement["transactions"][1]["reference"] == '=HYPERLINK("x")'
    accepted = await api.ada.request("GET", path, headers={"accept": "text/csv"})
    asked = await api.ada.get(path, format="csv")
    assert accepted.headers["content-type"].startswith("text/csv")
    assert "attachment" in asked.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(accepted.text, newline="")))
    assert [row["kind"] for row in rows] == ["opening_balance", "deposit", "transfer", "closing_balance"]
    assert [row["balance"] for row in rows] == ["0.00", "10.00", "7.50", "7.50"]
    assert (rows[2]["amount"], rows[2]["counterparty"]) == ("-2.50", yours)
    assert (rows[2]["reference"], rows[2]["description"]) == ('\'=HYPERLINK("x")', "two\nlines, and a comma")
    second = statement["transactions"][1]["recorded_at"]
    part = (await api.ada.get(path, since=second)).json()
    assert (part["since"], part["opening_balance"], len(part["transactions"])) == (second, "10.00", 1)
    nothing = (await api.ada.get(path, until="2020-01-01", asset="EUR")).json()
    assert (nothing["transactions"], nothing["opening_balance"], nothing["closing_balance"]) == ([], "0.00", "0.00")


async def test_a_statement_of_very_many_lines_is_streamed_in_constant_memory(api: Api) -> None:
    mine = await api.ada.wallet(holding="1.00")
    await _add_history(api, mine, MANY)
    for form, size_min in (("json", 400 * MANY), ("csv", 150 * MANY)):
        tracemalloc.start()
        lines = size = 0
        last = b""
        mark = b'"id":' if form == "json" else b"\r\n"
        async with api.ada.stream(f"/wallets/{mine}/statement", format=form) as answer:
            assert answer.status_code == 200
            async for part in answer.aiter_bytes():
                # A mark that lies across two parts is counted with the second.
                lines += (last[-len(mark) + 1 :] + part).count(mark)
                size += len(part)
                last = (last + part)[-300:]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert size > size_min
        # In CSV there are a head, and a line each for the opening and the closing balance.
        assert lines >= MANY + 1
        assert b"closing_balance" in last
        assert f"{MANY + 1}.00".encode() in last
        assert peak < STREAM_MEMORY_MAX, peak


async def test_a_slow_reader_does_not_make_the_server_collect_the_statement(api: Api) -> None:
    mine = await api.ada.wallet(holding="1.00")
    await _add_history(api, mine, MANY)
    tracemalloc.start()
    async with api.ada.stream(f"/wallets/{mine}/statement") as answer:
        parts = answer.aiter_bytes()
        await anext(parts)
        before, _ = tracemalloc.get_traced_memory()
        # Meanwhile nobody reads: the server runs on the same loop, and would go on if nothing held it back.
        for _ in range(20):
            await api.ada.get("/assets")
            await asyncio.sleep(0.02)
        after, _ = tracemalloc.get_traced_memory()
        await parts.aclose()
    tracemalloc.stop()
    assert after - before < STREAM_MEMORY_MAX


async def _add_history(api: Api, wallet: str, count: int) -> None:
    """Deposits of 1.00 into the wallet, written straight into the journal as the ledger would have."""
    outside = await api.ledger.external_account(asset="USD")
    async with api.database.transaction() as connection:
        account: UUID = await connection.fetchval(
            "SELECT account_id FROM wallets.accounts WHERE wallet_id = $1", ids.parse(wallet)
        )
        await connection.execute(
            "SELECT 1 FROM ledger.accounts WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", [account, outside]
        )
        await connection.execute(
            """
            INSERT INTO ledger.transfers (recorded_at, effective_at, debit_version, credit_version, batch, kind, id,
                debit_account, credit_account, amount, debit_balance, credit_balance, asset, reference, description,
                metadata)
            SELECT at, at, debit.version + n, credit.version + n, pg_current_xact_id()::xid, 'deposit',
                uuidv7(), debit.id, credit.id, 100, debit.posted - 100 * n, credit.posted + 100 * n, 'USD', 'ref ' || n,
                'A sentence about this one', ''
            FROM generate_series(1, $3::int) AS n, ledger.accounts AS debit, ledger.accounts AS credit,
                LATERAL (SELECT to_timestamp(greatest(debit.last_recorded_us, credit.last_recorded_us) / 1e6)
                                + n * interval '1 microsecond' AS at) AS clock
            WHERE debit.id = $1 AND credit.id = $2
            """,
            outside,
            account,
            count,
        )
        await connection.execute(
            """
            UPDATE ledger.accounts SET version = version + $3,
                posted = posted + CASE id WHEN $1 THEN -100 ELSE 100 END * $3,
                last_recorded_us = $3 + (SELECT max(last_recorded_us) FROM ledger.accounts WHERE id IN ($1, $2))
            WHERE id IN ($1, $2)
            """,
            outside,
            account,
            count,
        )


async def test_the_history_that_is_written_here_is_one_that_the_ledger_believes(api: Api) -> None:
    mine = await api.ada.wallet(holding="1.00")
    await _add_history(api, mine, 5)
    await api.ada.deposit(mine, "1.00")
    ledger: Ledger = api.ledger
    assert (await ledger.verify()).faults == []
    assert await api.ada.posted(mine) == "7.00"


async def test_times_are_written_in_utc(api: Api) -> None:
    mine = await api.ada.wallet()
    deposit = await api.ada.deposit(mine, "1.00")
    recorded = msgspec.convert(deposit["recorded_at"], datetime)
    assert deposit["recorded_at"].endswith("Z")
    assert recorded.utcoffset() == datetime.now(UTC).utcoffset()
    assert deposit["effective_at"] == deposit["recorded_at"]
