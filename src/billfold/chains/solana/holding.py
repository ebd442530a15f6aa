"""What an owner has of a token: what lies in their associated token account, as the quorum agrees.

Anybody may make any number of other accounts for anybody. Nothing of ours pays or sweeps from these, so nobody who asks
what there is of a token may count them.
"""

from __future__ import annotations

from solders.token.state import TokenAccount, TokenAccountState

from billfold.chains.solana import addresses, orders
from billfold.chains.solana.node import Node


async def balance(node: Node, owner: str, token: str, *, slot: int = 0) -> int:
    """All of it after a slot or later, also where it is frozen.

    Raises:
        NodeUnavailable, NodeWrong.
    """
    found = await _account(node, owner, token, slot=slot)
    return 0 if found is None else found.amount


async def movable(node: Node, owner: str, token: str) -> int:
    """What the owner's signature can move now.

    Raises:
        NodeUnavailable, NodeWrong.
    """
    found = await _account(node, owner, token, slot=0)
    return 0 if found is None or found.state == TokenAccountState.Frozen else found.amount


async def _account(node: Node, owner: str, token: str, *, slot: int) -> TokenAccount | None:
    """None also where it was given away: its address stays that of who had it first."""
    found = await node.agreed_account(str(orders.token_account(owner, token)), slot=slot)
    held = None if found is None else addresses.token_account(found)
    if held is None or str(held.owner) != owner or str(held.mint) != token:
        return None
    return held
