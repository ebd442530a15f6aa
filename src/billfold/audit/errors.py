"""Why the audit turns a request down.

BillfoldError
├── NotFound     RecordUnknown, HeadUnknown, AuditNotKept, SinkUnknown
├── Conflict     NotSealedYet, FactDiffers
├── Invalid      FactInvalid, KeyInvalid, HeadsInvalid, SinkRefused
└── Unavailable  PublishingFailed (HeadDiffers), SinkUnavailable
"""

from __future__ import annotations

from billfold.kernel import errors


class RecordUnknown(errors.NotFound):
    """There is no such record, or it is not yours."""

    code = "audit_record_unknown"


class HeadUnknown(errors.NotFound):
    """There is no signed head of that size."""

    code = "audit_head_unknown"


class AuditNotKept(errors.NotFound):
    """No audit is kept here: the setting audit.dsn names no database."""

    code = "audit_not_kept"


class SinkUnknown(errors.NotFound):
    """No sink of that name was ever fed."""

    code = "audit_sink_unknown"


class NotSealedYet(errors.Conflict):
    """The record is there and not sealed yet; ask again in a few seconds."""

    code = "audit_not_sealed_yet"
    retryable = True


class FactDiffers(errors.Conflict):
    """What came for the audit has the id of what is recorded already, and says something else; it is set aside."""

    code = "audit_fact_differs"


class PublishingFailed(errors.Unavailable):
    """A place did not take a signed head; it is tried again."""

    code = "audit_publishing_failed"


class HeadDiffers(PublishingFailed):
    """A place keeps another signed head of this size: a history was written anew, or two deployments share it."""

    code = "audit_head_differs"


class SinkUnavailable(errors.Unavailable):
    """A sink of the audit does not answer, or takes nothing now; the records wait for it."""

    code = "audit_sink_unavailable"


class FactInvalid(errors.Invalid):
    """What came for the audit is no facts; it is set aside, and told in the dead letters."""

    code = "audit_fact_invalid"


class KeyInvalid(errors.Invalid):
    """This is no public key that signed heads are checked with."""

    code = "audit_key_invalid"


class HeadsInvalid(errors.Invalid):
    """The published heads can't be read, there are none, or nobody who is trusted has signed them."""

    code = "audit_heads_invalid"


class SinkRefused(errors.Invalid):
    """A sink of the audit does not take this record; it is set aside, and the others go on."""

    code = "audit_sink_refused"
