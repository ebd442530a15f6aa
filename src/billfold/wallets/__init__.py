"""Wallets: what a user holds, and how money gets in, out and between. This is all that others may import."""

from billfold.wallets import contracts, errors, events
from billfold.wallets.service import Wallets

__all__ = ["Wallets", "contracts", "errors", "events"]
