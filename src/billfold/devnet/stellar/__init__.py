"""A Stellar of this machine's own: a small ledger of ours behind Horizon's REST interface.

No engine of the network exists as a library, so this one is written after the protocol: signatures and thresholds,
sequences, time bounds, fees and fee bumps, reserves, trustlines, an order book. It proves nothing about the network;
`docs/why/chains-and-their-engines.md` says how they differ. Contracts, liquidity pools, claimable balances and
sponsoring are not here.
"""

from billfold.devnet.stellar.local import Local

__all__ = ["Local"]
