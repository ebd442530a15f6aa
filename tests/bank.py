"""A year of a bank: the real file where there is one, otherwise a made one of the same shape; and what it adds up to.

The real one is no part of this repository. BILLFOLD_BANK_DATA names it, or it lies in a folder beside the repository;
an empty BILLFOLD_BANK_DATA wants the made one.
"""

from __future__ import annotations

import csv
import gzip
import os
import runpy
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

NAME = "czech_bank_1993.csv.gz"
DAYS = [date(1993, 1, 1) + timedelta(days=number) for number in range(365)]
_ROOT = Path(__file__).parents[1]
_MAKER = _ROOT / "docs" / "tutorial" / "make_bank.py"


@dataclass(frozen=True)
class Bank:
    """The file, and the balance of every account at the end of every day of 1993 by a running sum of its rows."""

    path: Path
    is_real: bool
    rows: int
    balances: Mapping[str, list[Decimal]]

    def __str__(self) -> str:
        kind = "real" if self.is_real else "made, for want of the real one (BILLFOLD_BANK_DATA names it)"
        return f"{self.rows:,} transactions of {len(self.balances):,} accounts, {kind}"


def find(folder: Path) -> Bank:
    """The bank. If it has to be made, the file is put into `folder`."""
    real = _real()
    path = real or folder / NAME
    if real is None:
        runpy.run_path(str(_MAKER))["write"](path)
    rows = 0
    by_day: defaultdict[str, defaultdict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rows += 1
            amount = Decimal(row["amount_czk"])
            by_day[row["account_id"]][row["date"]] += amount if row["direction"] == "credit" else -amount
    return Bank(path, real is not None, rows, {account: _running(days) for account, days in by_day.items()})


def _real() -> Path | None:
    named = os.environ.get("BILLFOLD_BANK_DATA")
    if named is not None:
        return Path(named) if named else None
    return next(iter(sorted(_ROOT.parent.glob(f"*/data/{NAME}"))), None)


def _running(by_day: Mapping[str, Decimal]) -> list[Decimal]:
    balance, balances = Decimal(0), []
    for day in DAYS:
        balance += by_day.get(day.isoformat(), Decimal(0))
        balances.append(balance)
    assert sum(by_day.values()) == balance, "every row is of 1993"
    return balances
