"""Solana: `open` makes its adapter, which speaks to any node that has Solana's JSON-RPC.

`keys` and `signing` are the signer's. What a transaction of ours looks like stands in `orders`, for both sides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billfold.chains.nodes import Nodes
    from billfold.chains.port import Chain


def open(nodes: Nodes) -> Chain:  # noqa: A001 - every chain's package has it by this name
    """The adapter. Nothing is asked of the nodes yet."""
    from billfold.chains.solana import chain  # noqa: PLC0415 - the codes of the chain take a moment and some megabytes

    return chain.Solana(nodes)
