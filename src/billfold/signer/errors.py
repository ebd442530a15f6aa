"""Why the signer turns a request down.

SignerError
"""

from __future__ import annotations

from billfold.kernel import errors


class SignerError(errors.BillfoldError):
    """The signer could not do this."""

    code = "signer_error"
