"""One account's rows, newest first, checked as they are read: versions count 1, 2, 3 …, so a gap is something missing.

Nothing here does I/O.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from billfold.kernel import clock
from billfold.ledger.contracts import Entry, EntryFilter
from billfold.wallets.adapters.history import Behind, Position

#: No instant is later; see clock.LATEST.
_LAST_US = clock.microseconds(clock.LATEST)
_FIRST_US = clock.microseconds(clock.EARLIEST)


class Range(msgspec.Struct, frozen=True):
    """Which rows of an account are read, in microseconds, both inclusive."""

    newest_us: int
    oldest_us: int
    #: The first row has to be this one, which was told before; None where none was told of this account.
    told_us: int | None

    @property
    def ends_at_the_first(self) -> bool:
        """Whether the account's first entry belongs to it."""
        return self.oldest_us == _FIRST_US

    @property
    def needs_newer(self) -> bool:
        """Whether it takes the row above to see whether its first one is missing."""
        return self.told_us is None and self.newest_us != _LAST_US


def wanted(account: UUID, filter: EntryFilter, after: Position | None) -> Range:  # noqa: A002 - what the caller means
    """The rows of `account` that can belong to an answer, as the journal's order has them."""
    newest = _LAST_US if filter.recorded_to is None else clock.microseconds(filter.recorded_to) - 1
    oldest = _FIRST_US if filter.recorded_from is None else clock.microseconds(filter.recorded_from)
    if after is None:
        return Range(newest, oldest, None)
    at_us, last = clock.microseconds(after[0]), after[1]
    if account == last and oldest <= at_us <= newest:
        return Range(at_us, oldest, at_us)
    # Of entries of the same instant, those of smaller accounts come later.
    return Range(min(newest, at_us if account < last else at_us - 1), oldest, None)


class Chain:
    """Takes an account's rows one after the other.

    The rows beside a range that is cut by instants belong to the proof: without them a gap at its ends is not seen.
    """

    def __init__(self, within: Range, *, version: int, newer: int | None = None) -> None:
        """`version` is the account's own, as the ledger had it before anything was read.

        `newer` is the version of the next row above the range, where that is looked for and there is one.
        """
        self._within = within
        #: What the next row must have; at least, when nothing newer is known.
        self._due = version if newer is None else newer - 1
        self._exactly = newer is not None
        self._begun = False

    @property
    def is_at_the_first(self) -> bool:
        """Whether there can't be any older row."""
        return self._due == 0

    def add(self, entry: Entry) -> bool:
        """Take the next older row; whether it is one to tell.

        Raises:
            Behind: something between it and the one before is missing.
        """
        told = not self._begun and self._within.told_us is not None
        if told:
            if clock.microseconds(entry.recorded_at) != self._within.told_us:
                raise Behind("hole")
        else:
            self._check(entry.version)
        self._begun, self._exactly, self._due = True, True, entry.version - 1
        return not told

    def end(self, *, older: int | None, horizon_us: int | None) -> None:
        """There are no more rows in the range; `older` is the version of the next one below it, if there is one.

        Raises:
            Behind: there have to be, or they may have been kept no longer.
        """
        if self._within.told_us is not None and not self._begun:
            raise Behind("hole")
        if self.is_at_the_first:
            return
        if horizon_us is not None and self._within.oldest_us < horizon_us:
            raise Behind("expired")
        if older is not None:
            self._check(older)
        elif horizon_us is None:
            raise Behind("hole")

    def _check(self, version: int) -> None:
        if version == self._due or (version > self._due and not self._exactly):
            return
        raise Behind("hole" if self._exactly else "lag")


def passes_over(filter: EntryFilter) -> bool:  # noqa: A002 - what the caller means
    """Whether there may be entries in the range that the filter does not select."""
    narrowing = (filter.kinds, filter.direction, filter.reference, filter.amount_min, filter.amount_max)
    return any(one is not None for one in narrowing)


def selects(filter: EntryFilter, entry: Entry) -> bool:  # noqa: A002 - what the caller means
    """Whether the filter selects the entry. Its account is of the right asset, and its instant within the range."""
    return not (
        (filter.kinds is not None and entry.kind not in filter.kinds)
        or (filter.direction is not None and (entry.amount > 0) != (filter.direction == "in"))
        or (filter.reference is not None and entry.reference != filter.reference)
        or (filter.amount_min is not None and abs(entry.amount) < filter.amount_min)
        or (filter.amount_max is not None and abs(entry.amount) > filter.amount_max)
    )


def newest_first(entry: Entry) -> tuple[datetime, UUID]:
    """What entries are ordered by, descending."""
    return entry.recorded_at, entry.account
