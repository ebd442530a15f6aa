"""Stellar: `open` makes its adapter, which speaks with Horizon.

Deposits come to one account and are told apart by memos. Withdrawals are fee bumps around a transaction of a channel
account: the channel gives the sequence number, the hot account pays amounts and fee.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billfold.chains.nodes import Nodes
    from billfold.chains.port import Chain


def open(nodes: Nodes) -> Chain:  # noqa: A001 - every chain's package has it
    """The adapter; its library is loaded only now."""
    from billfold.chains.stellar.adapter import Stellar  # noqa: PLC0415

    return Stellar(nodes)
