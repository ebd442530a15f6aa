"""What callers give custody and get from it. Amounts in text are decimal, in the asset's display unit."""

from billfold.custody.contracts.deposits import (
    OPERATOR,
    READ,
    ChainState,
    ChainStatus,
    Deposit,
    DepositAddress,
    DepositState,
    Explained,
    Explanation,
    Terms,
    Verdict,
    Waits,
)

__all__ = [
    "OPERATOR",
    "READ",
    "ChainState",
    "ChainStatus",
    "Deposit",
    "DepositAddress",
    "DepositState",
    "Explained",
    "Explanation",
    "Terms",
    "Verdict",
    "Waits",
]
