"""Ethereum and its ERC-20 tokens, by the JSON-RPC of any node (https://ethereum.github.io/execution-apis).

`watching` reads what blocks have moved, `fees`, `building` and `sending` make transactions and follow them, `node` is
what they all ask with; `transactions` and `addresses` are forms alone. `keys` and `signing` are the signer's.
Balances.json is the compiled Balances.sol (tests/clients/solidity says how).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billfold.chains.nodes import Nodes
    from billfold.chains.port import Chain

__all__ = ["open"]


def open(nodes: Nodes) -> Chain:  # noqa: A001 - the package is spoken in full: ethereum.open(...)
    """The chain by these nodes."""
    # Importing what it needs takes a good part of a second, which only those who serve the chain should pay.
    from billfold.chains.ethereum.chain import Ethereum  # noqa: PLC0415

    return Ethereum(nodes)
