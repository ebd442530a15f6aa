"""What the relay tells about itself."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

OUTBOX_ROWS = Gauge("billfold_outbox_rows", "Rows in the outbox that are not published yet, counted up to 100,000.")
OUTBOX_AGE = Gauge("billfold_outbox_age_seconds", "Age of the oldest row that is not published yet.")
OUTBOX_PARKED = Gauge("billfold_outbox_parked", "Rows that could not be turned into events and wait for a repair.")
OUTBOX_WITHHELD = Gauge(
    "billfold_outbox_withheld",
    "Messages that wait because their queue is full, counted up to 100,000.",
)
PUBLISHED = Counter("billfold_outbox_published", "Events published, repeats included.")
FAILURES = Counter("billfold_outbox_failures", "Rounds of the relay that failed, and are repeated.", ["part"])
DELAY = Histogram(
    "billfold_outbox_delay_seconds",
    "From the append of an outbox row to the moment its last event is stored by the broker.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 120, 600),
)
LEADING = Gauge("billfold_relay_leading", "1 in the process whose relay publishes, 0 in those that stand by.")
REFUSED_OPEN = Gauge(
    "billfold_refused_events_open", "Events that a consumer has refused and not applied yet, counted up to 100,000."
)
CONSUMER_LAG = Gauge("billfold_consumer_lag", "Events that a consumer has not settled yet.", ["consumer"])
CONSUMER_EVENTS = Counter(
    "billfold_consumer_events", "Events that a consumer has taken, or refused and set aside.", ["consumer", "outcome"]
)
CONSUMER_REDELIVERED = Counter(
    "billfold_consumer_redelivered", "Events that were delivered to a consumer more than once.", ["consumer"]
)
