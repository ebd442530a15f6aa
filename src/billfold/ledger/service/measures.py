"""What the writer of transfers tells about itself, once a batch."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

WAITING = Gauge("billfold_ledger_waiting", "Transfers and steps of holds that this process has taken and not answered.")
BATCH_REQUESTS = Histogram(
    "billfold_ledger_batch_requests",
    "How many requests were committed together.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096),
)
BATCH_SECONDS = Histogram(
    "billfold_ledger_batch_seconds",
    "From the begin of a batch to the answer of its COMMIT, repetitions included.",
    buckets=(0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.25, 0.5, 1, 5, 30),
)
BATCH_FAILURES = Counter(
    "billfold_ledger_batch_failures", "Batches that could not be committed, and were told so, halved or put off."
)
