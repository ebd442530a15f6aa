"""Refusals about approvals."""

from __future__ import annotations

from billfold.kernel import errors


class ApprovalUnknown(errors.NotFound):
    """There is no such approval, or it is not yours to see."""

    code = "approval_unknown"


class OwnApproval(errors.Denied):
    """You have asked for this yourself: another person has to decide."""

    code = "own_approval"


class ApprovalConcernsYou(errors.Denied):
    """This concerns what is yours, or you: somebody else has to decide."""

    code = "approval_concerns_you"


class ApprovalEnded(errors.Conflict):
    """This has been decided or has expired."""

    code = "approval_ended"


class ApprovalStale(errors.Conflict):
    """What the request names, such as an alias, leads elsewhere by now than when it was asked for; ask again."""

    code = "approval_stale"


class TooManyApprovals(errors.Conflict):
    """As many of your requests wait for another person as may wait; cancel some, or have them decided."""

    code = "too_many_approvals"
