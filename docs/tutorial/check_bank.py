"""Holds every account's balance at the end of every day against the bank's file: `python check_bank.py FILE`.

What is expected is the running sum of the file's rows, which nothing of Billfold has touched. What is found is asked
from the API at $BILLFOLD_URL, a year of an account at a time.
"""

import csv
import gzip
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

DAYS = [(date(1993, 1, 1) + timedelta(days=number)).isoformat() for number in range(365)]
#: Of one account, the money that came in less the money that went out, by the day.
Moved = dict[str, dict[str, Decimal]]


def moved(file: Path) -> Moved:
    """What the rows of the file say."""
    found: Moved = defaultdict(lambda: defaultdict(Decimal))
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            amount = Decimal(row["amount_czk"])
            found[row["account_id"]][row["date"]] += amount if row["direction"] == "credit" else -amount
    return found


class Api:
    """The API, over one connection."""

    def __init__(self, url: str, key: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc)
        self._headers = {"Authorization": f"Bearer {key}"}

    def get(self, path: str) -> Any:
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        document = json.loads(answer.read())
        if answer.status != 200:  # noqa: PLR2004 - OK.
            sys.exit(f"GET {path}: {document['detail']}")
        return document

    def wallets(self) -> Iterator[dict[str, Any]]:
        """All of them, page by page."""
        path = "/api/v1/wallets?limit=100"
        while path is not None:
            page = self.get(path)
            yield from page["items"]
            path = page["next"]

    def balances(self, wallet: str) -> list[Decimal]:
        """As effective at the end of each day."""
        period = {"since": f"{DAYS[0]}T23:59:59.999999Z", "until": f"{DAYS[-1]}T23:59:59.999999Z", "step": "1d"}
        chart = self.get(f"/api/v1/wallets/{wallet}/balance/history?" + urlencode({"asset": "CZK"} | period))
        return [Decimal(point["posted"]) for point in chart["points"]]


def main() -> None:
    """Compare, and say where they differ."""
    accounts = moved(Path(sys.argv[1]))
    api = Api(os.environ["BILLFOLD_URL"], os.environ["BILLFOLD_API_KEY"])
    wallets = {wallet["external_id"]: wallet["id"] for wallet in api.wallets()}
    differ = 0
    for account, by_day in accounts.items():
        expected = Decimal(0)
        for day, posted in zip(DAYS, api.balances(wallets[account]), strict=True):
            expected += by_day[day]
            if posted != expected:
                differ += 1
                print(f"Account {account} on {day}: {posted}, but its rows add up to {expected}.")  # noqa: T201
    print(f"{len(accounts):,} accounts, {len(accounts) * len(DAYS):,} balances compared: {differ} differ.")  # noqa: T201
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
