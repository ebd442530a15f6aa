"""What all routes have in common."""

from billfold.audit import Audit, errors

TAG = "Audit"


def kept(audit: Audit | None) -> Audit:
    """The audit.

    Raises:
        AuditNotKept: there is none.
    """
    if audit is None:
        raise errors.AuditNotKept
    return audit
