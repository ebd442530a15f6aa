"""What can be wrong with a mail.

Invalid
└── MailAddressInvalid
Refusal
├── PhonesUnreachable      no gateway to phones is configured
├── MailRefused            the mail server will never take it
└── Unrenderable           it can't be written
Unavailable
└── MailServerUnavailable  the mail server does not take it now
"""

from __future__ import annotations

from billfold.kernel import errors


class MailAddressInvalid(errors.Invalid):
    """This is no address that a mail can be sent to."""

    code = "mail_address_invalid"


class PhonesUnreachable(errors.Refusal):
    """No message can be sent to a phone here; use an e-mail address instead."""

    code = "phones_unreachable"


class MailRefused(errors.Refusal):
    """The mail server will not take this mail, however often it is sent."""

    code = "mail_refused"


class Unrenderable(errors.Refusal):
    """The mail can't be written: its template or a value is missing, or can't be read."""

    code = "mail_unrenderable"


class MailServerUnavailable(errors.Unavailable):
    """The mail server does not take the mail now; it is sent again later."""

    code = "mail_server_unavailable"
