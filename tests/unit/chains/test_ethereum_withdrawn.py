"""What validators take out of their stakes arrives without any transaction, and is money all the same."""

from __future__ import annotations

from typing import Any, cast

import pytest

from billfold.chains.errors import NodeWrong
from billfold.chains.ethereum import node as nodes
from billfold.chains.ethereum.node import Node, RawBlock
from billfold.chains.ethereum.watching import Watching
from billfold.chains.port import Movement

HASH, OWNER = "0x" + "ab" * 32, "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"
BLOCK: dict[str, Any] = {
    "number": "0x7",
    "hash": HASH,
    "parentHash": "0x" + "cd" * 32,
    "timestamp": "0x6a000000",
    "baseFeePerGas": "0x7",
    "transactions": [],
}
#: As geth has it: the amount is in Gwei.
WITHDRAWAL = {"index": "0x5", "validatorIndex": "0x9", "address": OWNER.lower(), "amount": "0x3b9aca00"}


class OneBlock:
    """A node that has it, as another has sent it."""

    def __init__(self, said: Any) -> None:
        self._said = said

    async def block(self, _at: int, *, whole: bool) -> RawBlock:
        return nodes._block(self._said, whole=whole)


async def read(**said: Any) -> tuple[Movement, ...]:
    block = await Watching(cast("Node", OneBlock(BLOCK | said)), frozenset()).block(7)
    assert block is not None
    return tuple(block.movements)


async def test_it_is_a_movement_of_its_block() -> None:
    (found,) = await read(withdrawals=[WITHDRAWAL])
    assert found == Movement(chain_tx=HASH, index="withdrawal:5", address=OWNER, token=None, amount=10**18)


@pytest.mark.parametrize("said", [{}, {"withdrawals": None}, {"withdrawals": []}])
async def test_where_nobody_has_taken_anything_there_is_none(said: dict[str, Any]) -> None:
    assert await read(**said) == ()


@pytest.mark.parametrize(
    "wrong", [{"amount": "-0x1"}, {"amount": hex(2**200)}, {"address": "0x12"}, {"index": None}, {"address": None}]
)
async def test_what_can_not_be_is_not_believed(wrong: dict[str, Any]) -> None:
    with pytest.raises(NodeWrong):
        await read(withdrawals=[WITHDRAWAL | wrong])
