"""Tables of docs/why/exactly-once.md, which tests write that kill processes.

BILLFOLD_WRITE_TABLE=1 writes them again; without it a difference fails.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from tests.integration.withdrawals.simulated import MODELS

PAGE = Path(__file__).parents[2] / "docs" / "why" / "exactly-once.md"


def check(name: str, rows: Mapping[str, Mapping[str, str]]) -> None:
    """Compare the table of this name: what was found of each step, by the chain; a dash where a chain has none."""
    lines = [f"| killed at | {' | '.join(MODELS)} |", f"|---|{'---|' * len(MODELS)}"]
    lines += [f"| {step} | {' | '.join(found.get(chain, '–') for chain in MODELS)} |" for step, found in rows.items()]
    table = "\n".join(lines) + "\n"
    text = PAGE.read_text()
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    start, stop = text.index(begin) + len(begin), text.index(end)
    if os.environ.get("BILLFOLD_WRITE_TABLE"):
        PAGE.write_text(text[:start] + table + text[stop:])
    else:
        assert text[start:stop] == table, "BILLFOLD_WRITE_TABLE=1 writes it again"
