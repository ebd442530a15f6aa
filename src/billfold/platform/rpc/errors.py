"""Why a call does not come through, on either side.

ServiceUnavailable    no server of it can be reached, or none has answered in time
Stopping              this server is stopping
DeadlinePassed        the caller's deadline has passed
CallerUnknown         the caller has shown neither the token nor the certificate that is asked for
CallerNotAllowed      the caller's certificate is good, and for none of the names that are let in
MessageInvalid        a field is missing, or not of its form
"""

from __future__ import annotations

from billfold.kernel import errors


class ServiceUnavailable(errors.Unavailable):
    """A part of the service can't be reached now; try again with the same idempotency key."""

    code = "service_unavailable"


class Stopping(errors.Unavailable):
    """This server is stopping; ask another one, or again in a moment with the same idempotency key."""

    code = "stopping"


class DeadlinePassed(errors.Unavailable):
    """The deadline of the call has passed; ask again with the same idempotency key."""

    code = "deadline_passed"


class CallerUnknown(errors.Unauthenticated):
    """This server takes only callers that it knows; send its token, or show a certificate that it trusts."""

    code = "caller_unknown"


class CallerNotAllowed(errors.Denied):
    """This server knows the caller's certificate, and does not let in its name; add it to its `allowed_clients`."""

    code = "caller_not_allowed"


class MessageInvalid(errors.Invalid):
    """A field of the message is missing or not of its form."""

    code = "message_invalid"
