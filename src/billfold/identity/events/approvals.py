"""What happened to requests that wait for a second person."""

from typing import Literal, get_args

ApprovalEventType = Literal[
    "approval.requested.v1",
    "approval.approved.v1",
    "approval.rejected.v1",
    "approval.executed.v1",
    "approval.failed.v1",
    "approval.cancelled.v1",
    "approval.expired.v1",
]
APPROVAL_TYPES: tuple[ApprovalEventType, ...] = get_args(ApprovalEventType)
