"""Why custody turns a request down.

CustodyError
"""

from __future__ import annotations

from billfold.kernel import errors


class CustodyError(errors.BillfoldError):
    """Custody could not do this."""

    code = "custody_error"
