"""Refusals about operations that need a fresh factor."""

from __future__ import annotations

from billfold.kernel import errors


class StepUpRequired(errors.Denied):
    """Approve this with a factor of yours, as `step_up` says, and send it again with the header Step-Up."""

    code = "step_up_required"


class StepUpUnknown(errors.NotFound):
    """There is no such approval waiting, or it is not yours."""

    code = "step_up_unknown"
