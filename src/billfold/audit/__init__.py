"""The audit: an append-only record of what was done, sealed and provable. This is all that others may import."""

from billfold.audit import contracts, errors
from billfold.audit.service import Audit, mongodb, object_store, opensearch, places
from billfold.audit.service.feeding import Sink
from billfold.audit.service.publishing import Place, Store
from billfold.audit.service.verification import verify

__all__ = [
    "Audit",
    "Place",
    "Sink",
    "Store",
    "contracts",
    "errors",
    "mongodb",
    "object_store",
    "opensearch",
    "places",
    "verify",
]
