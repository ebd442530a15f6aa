"""Horizon's statistics of fees: what was offered and charged for an operation in the last ledgers."""

from __future__ import annotations

from collections import Counter

from billfold.devnet.stellar.history import History
from billfold.devnet.stellar.ledgers import OPERATIONS_MAX
from billfold.devnet.stellar.records import Record
from billfold.devnet.stellar.state import BASE_FEE

#: Horizon's own.
_LEDGERS = 5
_PERCENTILES = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99)


def fees(history: History) -> Record:
    """`/fee_stats`."""
    recent = history.recent(_LEDGERS)
    included = [each for ledger in recent for each in ledger.transactions]
    operations = sum(each.envelope.charged_operations for each in included)
    return {
        "last_ledger": str(history.last.sequence),
        "last_ledger_base_fee": str(BASE_FEE),
        "ledger_capacity_usage": f"{operations / (OPERATIONS_MAX * len(recent)):.2f}",
        "fee_charged": _spread([each.charged // each.envelope.charged_operations for each in included]),
        "max_fee": _spread([each.envelope.fee // each.envelope.charged_operations for each in included]),
    }


def _spread(numbers: list[int]) -> dict[str, str]:
    ordered = sorted(numbers) or [BASE_FEE]
    places = {f"p{share}": ordered[max(0, -(-len(ordered) * share // 100) - 1)] for share in _PERCENTILES}
    most = Counter(ordered).most_common(1)[0][0]
    whole = {"max": ordered[-1], "min": ordered[0], "mode": most, **places}
    return {name: str(number) for name, number in whole.items()}
