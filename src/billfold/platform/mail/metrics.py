"""What the sending of mails tells about itself."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

QUEUED = Gauge("billfold_mail_queued", "Mails that are not sent yet, counted up to 100,000.")
AGE = Gauge("billfold_mail_oldest_age_seconds", "Age of the oldest mail that is not sent yet.")
SENT = Counter("billfold_mail_sent", "Mails that the mail server has taken.")
#: Only a postponed one is tried again.
FAILED = Counter("billfold_mail_failed", "Tries to send a mail that failed.", ["outcome"])
