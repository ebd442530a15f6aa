"""Who somebody is: people, owners and their credentials. This is all that others may import."""

from billfold.identity import contracts, errors, events
from billfold.identity.service import AliasLimits, Approvals, Attempts, Hashing, Identity, OtherProviders, StepUp

__all__ = [
    "AliasLimits",
    "Approvals",
    "Attempts",
    "Hashing",
    "Identity",
    "OtherProviders",
    "StepUp",
    "contracts",
    "errors",
    "events",
]
