"""Which roles somebody can be given by one person alone."""

from __future__ import annotations

from collections.abc import Collection

from billfold.identity.contracts import STAFF_ROLES

#: Whoever gets one of these can do more than look after themselves, so two people give it.
GIVEN_BY_TWO: frozenset[str] = STAFF_ROLES | {"service"}


def takes_two(before: Collection[str], after: Collection[str]) -> bool:
    """Whether this change needs a second person. Taking roles away never does: it may have to be quick."""
    return not GIVEN_BY_TWO.isdisjoint(set(after) - set(before))
