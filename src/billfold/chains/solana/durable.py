"""Transactions with a durable nonce: until when one can happen, and what has used its nonce up.

Of all that have the same value of the same nonce one happens at most: the runtime takes the value as a blockhash, and
each that is in a block, done or failed, makes the next value. So one is alive as long as that value is the final one;
and it is dead when a final block has another that has the same value. That the value is gone proves nothing by itself:
this one may have used it up.

An anchor is the slot at which the value was final, the value, and the account: `1234:9hSR…:4Vc7…`.
"""

from __future__ import annotations

import asyncio

import msgspec
from solders.transaction import VersionedTransaction

from billfold.chains.port import Allocation
from billfold.chains.solana import nonces, orders
from billfold.chains.solana.node import Node

#: So many transactions that name the account are looked at, of which ours are few.
_LISTED_MAX = 1_000
#: So many are asked for at the same time.
_AT_ONCE = 8


class Anchor(msgspec.Struct, frozen=True):
    """A nonce as it was at a final slot."""

    slot: int
    value: str
    account: str


def anchor(allocation: Allocation) -> Anchor:
    """That of an allocation which has no last height."""
    assert allocation.anchor is not None and allocation.last_height is None, "its nonce is durable"
    slot, value, account = allocation.anchor.split(":")
    return Anchor(int(slot), value, account)


async def fresh(node: Node, account: str, *, source: str) -> str | None:
    """A nonce as an anchor; None where the account is no nonce of that source.

    Raises:
        NodeUnavailable, NodeWrong.
    """
    slot, found = await node.final_account(account, read=nonces.nonce)
    return None if found is None or found.authority != source else f"{slot}:{found.value}:{account}"


async def moved_on(node: Node, given: Anchor) -> int | None:
    """A final slot at which the nonce has another value, or is gone; None: it has the same.

    Raises:
        NodeUnavailable, NodeWrong.
    """
    slot, found = await node.final_account(given.account, read=nonces.nonce, slot=given.slot)
    return None if found is not None and found.value == given.value else slot


async def user(node: Node, given: Anchor, *, slot: int) -> VersionedTransaction | None:
    """The transaction that has used the nonce up by a final slot, out of those that name its account.

    None where none of them did: the nodes have forgotten it, or somebody with the key has moved the nonce on otherwise.

    Raises:
        NodeUnavailable, NodeWrong.
    """
    listed = await node.naming(given.account, slot=slot, most=_LISTED_MAX)
    # The list begins with the last one; ours is among the first after the anchor.
    names = [signature for signature, at in reversed(listed) if at > given.slot]
    for start in range(0, len(names), _AT_ONCE):
        for found in await asyncio.gather(*(node.final_transaction(one) for one in names[start : start + _AT_ONCE])):
            if found is not None and _has(found, given):
                return found
    return None


def _has(found: VersionedTransaction, given: Anchor) -> bool:
    """Whether a transaction has the nonce: its value, and its account in the first instruction, which moves it on.

    The value alone says nothing. All nonces that go on in one block have the same then, and whoever has another one may
    name our account, too.
    """
    return str(found.message.recent_blockhash) == given.value and _advanced(found) == given.account


def _advanced(found: VersionedTransaction) -> str | None:
    """The account whose nonce stands in a transaction for a recent block; None where a recent block does."""
    keys, instructions = found.message.account_keys, found.message.instructions
    if not instructions or keys[instructions[0].program_id_index] != orders.SYSTEM:
        return None
    first = instructions[0]
    if not first.data.startswith(orders.ADVANCE) or not first.accounts or first.accounts[0] >= len(keys):
        return None
    return str(keys[first.accounts[0]])
