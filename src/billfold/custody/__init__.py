"""Custody: money on chains. This is all that others may import."""

from billfold.custody import contracts, errors, events
from billfold.custody.service import Custody
from billfold.custody.service.house import WalletAccounts
from billfold.custody.service.reverting import FreezeWallet
from billfold.custody.service.served import Served, Showing

__all__ = ["Custody", "FreezeWallet", "Served", "Showing", "WalletAccounts", "contracts", "errors", "events"]
