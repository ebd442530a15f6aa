"""Rows to the API in blocks, each row as a request of its own by its key; and what became of each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic

import msgspec

from billfold.app.client import Api
from billfold.app.importing.rows import Row
from billfold.kernel import errors
from billfold.kernel.money import Money
from billfold.wallets import contracts

BLOCK_ROWS = contracts.BULK_MAX
#: Below what the API takes in one body; a block with very long texts is sent in parts.
BODY_MAX_BYTES = 1536 * 1024
#: A row that the ledger could not serve just now, such as while PostgreSQL restarts, is sent again for this long.
PATIENCE_S = 120.0
PAUSE_S = 0.2
PAUSE_MAX_S = 5.0


class StillUnavailable(errors.Unavailable):
    """The API can't serve the import for now; run the same command again later, and it goes on from here."""

    code = "still_unavailable"


class Refusal(msgspec.Struct, frozen=True):
    """Why the API has refused a row."""

    code: str
    detail: str
    retryable: bool
    pointer: str | None = None


class _Posted(msgspec.Struct, frozen=True):
    id: str


class Result(msgspec.Struct, frozen=True):
    """What became of a row."""

    transfer: _Posted | None = None
    refusal: Refusal | None = None
    replayed: bool = False


class _Results(msgspec.Struct, frozen=True):
    results: list[Result]


async def post(api: Api, rows: Sequence[Row], *, wallets: Mapping[str, str], asset: str) -> list[Result]:
    """Post the rows and give back what became of each at its place. No result is retryable.

    Raises:
        ApiUnreachable, ApiRefusal: the block as a whole could not be served. Some of it may have been posted; its keys
            make it safe to post all of it again.
        StillUnavailable: a row was answered, for too long, that it could not be served now.
    """
    results = await _once(api, rows, wallets, asset)
    deadline, pause_s = monotonic() + PATIENCE_S, PAUSE_S
    while waiting := [place for place, found in enumerate(results) if found.refusal and found.refusal.retryable]:
        if monotonic() + pause_s > deadline:
            refusal = results[waiting[0]].refusal
            assert refusal is not None
            raise StillUnavailable(f"{refusal.detail} Run the same command again later, and it goes on from here.")
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, PAUSE_MAX_S)
        again = await _once(api, [rows[place] for place in waiting], wallets, asset)
        for place, found in zip(waiting, again, strict=True):
            results[place] = found
    return results


async def _once(api: Api, rows: Sequence[Row], wallets: Mapping[str, str], asset: str) -> list[Result]:
    body = msgspec.json.encode({"items": [_order(row, wallets[row.account], asset) for row in rows]})
    if len(body) > BODY_MAX_BYTES and len(rows) > 1:
        half = len(rows) // 2
        first = await _once(api, rows[:half], wallets, asset)
        return first + await _once(api, rows[half:], wallets, asset)
    # The API wants a key for the request; it is the rows' own keys that count.
    answer = await api.post("/transfers/bulk", msgspec.Raw(body), key=rows[0].key)
    results = msgspec.convert(answer.body, _Results).results
    assert len(results) == len(rows), "a result for each item"
    return results


def _order(row: Row, wallet: str, asset: str) -> contracts.Order:
    inward = row.kind == "deposit"
    return contracts.Order(
        kind=row.kind,
        source=None if inward else wallet,
        target=wallet if inward else None,
        money=Money(row.amount, asset),
        reference=row.reference,
        description=row.description,
        metadata=dict(row.metadata),
        effective_at=row.effective_at,
        idempotency_key=row.key,
    )
