"""Balances as the API tells them, now and as effective at an instant, against the sum of what is in the ledger."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx2

from tests.crash.books import Books, Posted
from tests.crash.story import cents

#: Value dates of a wallet at which its balance is asked for, right at it and right before.
INSTANTS = 4


async def check(http: httpx2.AsyncClient, books: Books, wallets: list[str]) -> None:
    """Every wallet: what is posted and held now, and what was effective around some of its value dates."""
    for wallet in wallets:
        posted = [one for one in books.posted.values() if wallet in (one.source, one.target)]
        now = await _told(http, wallet)
        active = [hold for hold in books.holds.values() if hold.wallet == wallet and hold.status == "active"]
        held = sum(hold.cents - hold.settled for hold in active)
        assert (cents(now["posted"]), cents(now["held"])) == (_sum(posted, wallet), held), f"{wallet}: {now}"
        dates = sorted({one.effective_at for one in posted})
        for date in dates[:: max(1, len(dates) // INSTANTS)]:
            for at in (date - timedelta(microseconds=1), date):
                told = await _told(http, wallet, effective_at=at.isoformat())
                assert cents(told["posted"]) == _sum(posted, wallet, at), f"{wallet} as effective at {at}: {told}"


def _sum(posted: list[Posted], wallet: str, at: datetime | None = None) -> int:
    return sum(
        one.cents if one.target == wallet else -one.cents for one in posted if at is None or one.effective_at <= at
    )


async def _told(http: httpx2.AsyncClient, wallet: str, **parameters: str) -> dict[str, Any]:
    answer = await http.get(f"/api/v1/wallets/{wallet}/balance", params={"asset": "USD", **parameters})
    assert answer.is_success, answer.text
    (balance,) = answer.json()["balances"]
    found: dict[str, Any] = balance
    return found
