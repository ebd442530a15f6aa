"""Who may decide about what another person has asked for."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from billfold.identity import errors
from billfold.identity.contracts import STAFF_ROLES, Approval, ApprovalStatus, scopes_of

#: Over a weekend.
OPEN_FOR = timedelta(hours=72)
#: Of one maker.
PENDING_MAX = 100
#: What the maker's own request, sent again, carries out: nothing moves a second time.
CARRIED_OUT: frozenset[ApprovalStatus] = frozenset({"approved", "executed"})
DECIDES = "approvals:write"

_WORDS: dict[ApprovalStatus, str] = {
    "approved": "has been approved",
    "executed": "has been approved and carried out",
    "failed": "has been approved and could not be carried out",
    "rejected": "has been rejected",
    "cancelled": "has been cancelled",
    "expired": "has expired: nobody has decided in time",
}


def check_checker(checker: UUID, approval: Approval, *, concerns: Collection[UUID]) -> None:
    """Go on only if this person may decide.

    Raises:
        OwnApproval, ApprovalConcernsYou.
    """
    if str(checker) == approval.maker_id:
        raise errors.OwnApproval
    if checker in concerns:
        raise errors.ApprovalConcernsYou


def ended(approval: Approval) -> errors.ApprovalEnded:
    """Why nothing can be done about it any more."""
    because = f": {approval.reason}" if approval.reason else ""
    return errors.ApprovalEnded(f"The request {_WORDS[approval.status]}{because}.")


def lacking(needs: Collection[str], roles: frozenset[str]) -> str | None:
    """Why somebody with these roles can't have it carried out, if so."""
    missing = sorted(set(needs) - scopes_of(roles))
    return f"Whoever asked for it lacks {', '.join(missing)} by now." if missing else None


def is_program(roles: frozenset[str]) -> bool:
    """Whether these are the roles of a program, and of nobody's who works here."""
    return "service" in roles and not roles & STAFF_ROLES
