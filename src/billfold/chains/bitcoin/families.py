"""What a transaction must pay so that another one, from which it spends, is worth a place in a block, too.

Miners reckon a transaction together with all that waits and that it builds on: of these the child takes its parent
along. What the nodes keep is bounded: so many ancestors and descendants, and so many bytes of them.
Source: Bitcoin Core, doc/policy/mempool-limits.md, and the help of `getmempoolentry`.
"""

from __future__ import annotations

import msgspec

from billfold.chains.bitcoin import sizes

#: Waiting ancestors or descendants of one transaction, itself counted, and their virtual bytes.
MEMBERS_MAX = 25
VSIZE_MAX = 101_000


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction that waits, with all that it builds on (above) and all that builds on it (below), itself counted.

    Sizes are virtual bytes, fees satoshi.
    """

    vsize: int
    fee: int
    above: int
    above_vsize: int
    above_fee: int
    below: int
    below_vsize: int

    def is_full(self, vsize: int) -> bool:
        """Whether nodes take no child of so many bytes."""
        return max(self.above, self.below) >= MEMBERS_MAX or max(self.above_vsize, self.below_vsize) + vsize > VSIZE_MAX

    def offers(self, rate: int) -> bool:
        """Whether it pays as much without help, by itself and with all that it builds on."""
        return self.fee >= sizes.fee_for(rate, self.vsize) and self.above_fee >= sizes.fee_for(rate, self.above_vsize)


def child_rate(family: Family, *, rate: int, vsize: int) -> int:
    """What a child of so many bytes has to offer that all of it together pays `rate`, for 1,000 virtual bytes.

    Those above may pay more than the parent, and a miner takes them alone: so the two of them have to pay it, too.
    """
    alone = sizes.fee_for(rate, family.vsize + vsize) - family.fee
    together = sizes.fee_for(rate, family.above_vsize + vsize) - family.above_fee
    return -(-max(alone, together, sizes.fee_for(rate, vsize)) * 1_000 // vsize)
