"""The ledger: accounts, transfers, holds, and balances now and at any instant. This is all that others may import."""

from billfold.ledger import contracts, errors, events
from billfold.ledger.service import Ledger
from billfold.ledger.service.journal import OUTBOX_KIND

__all__ = ["OUTBOX_KIND", "Ledger", "contracts", "errors", "events"]
