"""What a place in a block costs (EIP-1559): the base fee that is burnt, and a tip by which blocks are filled.

All amounts are wei for one unit of gas, as `eth_feeHistory` has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median_low
from typing import Any

from billfold.chains import errors
from billfold.chains.ethereum.node import SUPPLY_MAX, Node
from billfold.chains.nodes import reading
from billfold.chains.port import Rate, Speed

#: Four minutes: long enough that one strange block decides nothing.
_BLOCKS = 20
#: Of the tips in a block, in percent of its gas from the lowest.
_PERCENTILES: Mapping[Speed, int] = {"slow": 10, "normal": 50, "fast": 90}
#: The base fee grows by at most an eighth from block to block: the fee still does after so many full blocks, about
#: 2, 6 and 12 of them.
_HEADROOM_PERCENT: Mapping[Speed, int] = {"slow": 125, "normal": 200, "fast": 400}
_GWEI = 10**9
#: On a calm day tips go down to nothing; some nodes pass on none so small.
TIP_MIN = _GWEI // 100
#: Nobody has tipped in the last blocks.
_TIP_USUAL: Mapping[Speed, int] = {"slow": _GWEI // 10, "normal": _GWEI, "fast": 2 * _GWEI}
#: Blocks were dearer than this on a few days of ten years. Nothing is offered above it: what costs more waits.
FEE_MAX = 500 * _GWEI
TIP_MAX = 50 * _GWEI
#: A transaction that was sent on the worst day can still be replaced a few times.
REPLACEMENT_FEE_MAX = 4 * FEE_MAX
#: Nodes want ten percent more of both, some of them an eighth.
_RAISE = (9, 8)


async def rates(node: Node) -> Mapping[Speed, Rate]:
    """What is offered now."""
    base, tips = await node.rpc.call(
        "eth_feeHistory", hex(_BLOCKS), "latest", list(_PERCENTILES.values()), read=_history
    )
    return {speed: _rate(speed, base, tip) for speed, tip in tips.items()}


def raised(rate: Rate) -> Rate:
    """An eighth more of both.

    Raises:
        NotReplaceable: it would be more than anybody should pay.
    """
    over, under = _RAISE
    numbers = {name: -(-value * over // under) for name, value in rate.numbers.items()}
    if numbers["max_fee_per_gas"] > REPLACEMENT_FEE_MAX:
        raise errors.NotReplaceable(f"More than {REPLACEMENT_FEE_MAX} wei for a unit of gas is never offered.")
    return Rate(numbers=numbers)


def fields(rate: Rate) -> tuple[int, int]:
    """The highest fee in all and the tip in it.

    Raises:
        PaymentInvalid: it is not a rate of this chain.
    """
    fee, tip = rate.numbers.get("max_fee_per_gas", 0), rate.numbers.get("max_priority_fee_per_gas", 0)
    if not 0 <= tip <= fee <= REPLACEMENT_FEE_MAX or not fee:
        raise errors.PaymentInvalid("The rate has no fee, more tip than fee, or more than is ever offered.")
    return fee, tip


def _rate(speed: Speed, base: int, tip: int) -> Rate:
    fee = min(base * _HEADROOM_PERCENT[speed] // 100 + tip, FEE_MAX)
    return Rate(numbers={"max_fee_per_gas": fee, "max_priority_fee_per_gas": min(tip, fee)})


def _history(said: Any) -> tuple[int, dict[Speed, int]]:
    """The base fee of the next block, and a tip for each speed, none less than that of a slower one."""
    bases = reading.items(reading.member(said, "baseFeePerGas"), "baseFeePerGas", most=_BLOCKS + 1)
    blocks = reading.items(reading.member(said, "reward"), "reward", most=_BLOCKS)
    if not bases:
        raise errors.NodeWrong("A node's history of fees is empty.")
    tips: dict[Speed, int] = {}
    for column, speed in enumerate(_PERCENTILES):
        given = [tip for tip in (_tip(block, column) for block in blocks) if tip]
        found = median_low(given) if given else _TIP_USUAL[speed]
        tips[speed] = min(max(found, TIP_MIN, *tips.values()), TIP_MAX)
    return reading.quantity(bases[-1], "baseFeePerGas", most=SUPPLY_MAX), tips


def _tip(block: Any, column: int) -> int:
    row: Sequence[Any] = reading.items(block, "reward", most=len(_PERCENTILES))
    if len(row) != len(_PERCENTILES):
        raise errors.NodeWrong("A node's history of fees has other percentiles than were asked for.")
    return reading.quantity(row[column], "reward", most=SUPPLY_MAX)
