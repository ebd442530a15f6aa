"""Makes a file in the shape of the tutorial's bank: `python make_bank.py czech_bank_1993.csv.gz`.

It is the same file every time: 2,400 transactions of 60 accounts in 1993, some of them overdrawn for a while.
"""

import csv
import gzip
import io
import random
import sys
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

ROWS = 2_400
ACCOUNTS = [576, *range(1001, 1060)]
COLUMNS = (
    "transaction_id",
    "account_id",
    "date",
    "direction",
    "operation",
    "amount_czk",
    "bank_balance_after_czk",
    "purpose",
    "counterparty_bank",
    "counterparty_account",
)
#: In, or out; how; and what for.
_KINDS = (
    ("credit", "cash deposit", ""),
    ("credit", "transfer in", "pension"),
    ("credit", "", "interest"),
    ("debit", "cash withdrawal", ""),
    ("debit", "cash withdrawal", "statement fee"),
    ("debit", "transfer out", "household"),
    ("debit", "card withdrawal", ""),
)


def rows() -> list[tuple[str, ...]]:
    """The transactions in the order of their days; those of one day are in no order."""
    chance = random.Random(1993)
    days = sorted(date(1993, 1, 1) + timedelta(days=chance.randrange(365)) for _ in range(ROWS))
    balances = dict.fromkeys(ACCOUNTS, Decimal(0))
    ids = chance.sample(range(100_000, 1_000_000), ROWS)
    made: list[tuple[str, ...]] = []
    for transaction_id, day in zip(ids, days, strict=True):
        account = chance.choice(ACCOUNTS)
        direction, operation, purpose = chance.choice(_KINDS)
        amount = Decimal(chance.randrange(1, 2_000_000)).scaleb(-2)
        balances[account] += amount if direction == "credit" else -amount
        side = ("YZ", str(chance.randrange(10**7, 10**8))) if operation.startswith("transfer") else ("", "")
        made.append(
            (
                str(transaction_id),
                str(account),
                day.isoformat(),
                direction,
                operation,
                str(amount),
                str(balances[account]),
                purpose,
                *side,
            )
        )
    return made


def write(path: Path) -> None:
    """Write the compressed file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows())
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
