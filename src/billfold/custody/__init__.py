"""Custody: money on chains. This is all that others may import."""

from billfold.custody import contracts, errors, events
from billfold.custody.domain import reserves
from billfold.custody.service import Custody
from billfold.custody.service.house import WalletAccounts
from billfold.custody.service.reserves.owing import WalletPages
from billfold.custody.service.reverting import FreezeWallet
from billfold.custody.service.served import Served, Showing

__all__ = [
    "Custody",
    "FreezeWallet",
    "Refuted",
    "Served",
    "Showing",
    "WalletAccounts",
    "WalletPages",
    "check_holder_proof",
    "check_reserves",
    "contracts",
    "errors",
    "events",
]

#: Whoever has a published file needs nothing else to check it.
check_reserves = reserves.check
check_holder_proof = reserves.check_proof
Refuted = reserves.Refuted
