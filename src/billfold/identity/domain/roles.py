"""Which roles somebody can have together, and which one person alone can give."""

from __future__ import annotations

from collections.abc import Collection

from billfold.identity import errors
from billfold.identity.contracts import ACTING_ROLES, OWNING_ROLES, STAFF_ROLES, Role

#: Whoever gets one of these can do more than look after themselves, so two people give it.
GIVEN_BY_TWO: frozenset[str] = STAFF_ROLES | {"service"}


def takes_two(before: Collection[str], after: Collection[str]) -> bool:
    """Whether this change needs a second person. Taking roles away never does: it may have to be quick."""
    return not GIVEN_BY_TWO.isdisjoint(set(after) - set(before))


def check_together(roles: Collection[str]) -> None:
    """Go on only if somebody can have all of these roles: whoever acts on everybody's things has none of their own.

    Raises:
        RolesApart.
    """
    if not (ACTING_ROLES.isdisjoint(roles) or OWNING_ROLES.isdisjoint(roles)):
        raise errors.RolesApart(pointer="/roles")


def with_role(roles: Collection[str], role: Role) -> frozenset[str]:
    """These roles and one more. One that acts on everybody's things takes the place of those for one's own.

    Raises:
        RolesApart: it would be one for one's own things beside one for everybody's.
    """
    kept = set(roles) - OWNING_ROLES if role in ACTING_ROLES else set(roles)
    check_together(given := frozenset({*kept, role}))
    return given
