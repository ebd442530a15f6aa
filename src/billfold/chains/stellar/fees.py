"""What is offered for an operation, in stroops.

The network charges every transaction of a ledger the same for an operation, however much more was offered; so an offer
is a bound, and a higher one costs nothing until there is no room.
"""

from __future__ import annotations

from collections.abc import Mapping

from billfold.chains.nodes import reading
from billfold.chains.port import Rate, Speed
from billfold.chains.stellar.horizon import Horizon

#: The network's own minimum.
BASE_FEE = 100
#: By so much a fee bump must outbid what waits with the same number (stellar-core, transaction queue).
REPLACING_FACTOR = 10
#: A hundred lumens for an operation: nobody has ever had to pay that, so no node is believed who says so.
RATE_MAX = 100 * 10**7
_FAST_FACTOR = 2


async def rates(horizon: Horizon) -> Mapping[Speed, Rate]:
    """From what was charged in the last ledgers: the middle, the dear end, and twice the dearest.

    Raises:
        NodeUnavailable, NodeWrong.
    """
    stats = await horizon.fee_stats()
    charged = reading.record(reading.member(stats, "fee_charged"), "fee_charged")

    def least(value: object, what: str) -> int:
        return max(BASE_FEE, reading.digits(value, what, most=RATE_MAX))

    base = least(reading.member(stats, "last_ledger_base_fee"), "last_ledger_base_fee")
    slow, normal, dearest = (max(base, least(reading.member(charged, name), name)) for name in ("p50", "p90", "max"))
    normal = max(slow, normal)
    return {
        "slow": _rate(slow),
        "normal": _rate(normal),
        "fast": _rate(min(max(normal, dearest) * _FAST_FACTOR, RATE_MAX)),
    }


def estimate(payments: int, *, rate: Rate) -> int:
    """What so many payments cost at most; the fee bump counts as one operation more."""
    return stroops(rate) * (payments + 1)


def raised(rate: Rate) -> Rate:
    """The least that replaces what was offered before."""
    return _rate(stroops(rate) * REPLACING_FACTOR)


def stroops(rate: Rate) -> int:
    """The number of a rate, which is at least the network's minimum."""
    return max(BASE_FEE, rate.numbers["stroops"])


def _rate(number: int) -> Rate:
    return Rate(numbers={"stroops": number})
