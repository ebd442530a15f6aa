"""Who may call: owners and their API keys. This is all that others may import."""

from billfold.identity import contracts, errors, events
from billfold.identity.service import Approvals, Identity, StepUp

__all__ = ["Approvals", "Identity", "StepUp", "contracts", "errors", "events"]
