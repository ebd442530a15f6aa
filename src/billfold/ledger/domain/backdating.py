"""Back-dated money, by period: how a balance as effective at an instant stays a handful of range sums.

An instant is a whole number of microseconds. Shifted right by 46, 40, 34 and 28 bits it falls into nested buckets of
2.2 years, 12.7 days, 4.8 hours and 4.5 minutes, 64 of each in the next larger; shift 0 is the instant itself. The sum
up to t is then all whole buckets of the widest period before t's own, all of the next width within that one, and so on:
at most 64 rows for each width, however many entries there are. Only distinct instants within one 4.5-minute bucket are
read singly, and the value dates of a day, which share their instant, are one row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from billfold.kernel import clock
from billfold.ledger.contracts import Transfer

#: From the widest period to the exact instant.
SHIFTS = (46, 40, 34, 28, 0)


class Range(msgspec.Struct, frozen=True):
    """Buckets of one width: first ≤ bucket < end."""

    shift: int
    first: int
    end: int


def ranges(at_us: int) -> list[Range]:
    """The buckets that together hold everything effective at or before `at_us`, and nothing else."""
    found = []
    first = -(1 << 62)
    for wider, shift in zip((None, *SHIFTS), SHIFTS, strict=False):
        if wider is not None:
            first = (at_us >> wider) << (wider - shift)
        end = (at_us >> shift) + (1 if shift == 0 else 0)
        found.append(Range(shift, first, end))
    return found


class Backdated(msgspec.Struct):
    """What a batch adds.

    `periods` is per (account, shift, bucket). `totals` has one (account, recorded_at, sum of the batch so far) for each
    entry, because an instant may fall between two entries of one batch.
    """

    periods: dict[tuple[UUID, int, int], int]
    totals: list[tuple[UUID, datetime, int]]


def collect(transfers: Iterable[Transfer]) -> Backdated | None:
    """The back-dated part of `transfers`, or None when there is none."""
    late = [
        transfer
        for transfer in transfers
        if transfer.effective_at is not transfer.recorded_at and transfer.effective_at < transfer.recorded_at
    ]
    if not late:
        return None
    found = Backdated(defaultdict(int), [])
    running: dict[UUID, int] = defaultdict(int)
    for transfer in late:
        effective_us = clock.microseconds(transfer.effective_at)
        for account, amount in (
            (transfer.debit_account, -transfer.amount),
            (transfer.credit_account, transfer.amount),
        ):
            running[account] += amount
            found.totals.append((account, transfer.recorded_at, running[account]))
            for shift in SHIFTS:
                found.periods[account, shift, effective_us >> shift] += amount
    return found
