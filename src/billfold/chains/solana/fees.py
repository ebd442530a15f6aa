"""What is offered for a place in a block, in millionths of a lamport for each unit that a transaction may compute.

It comes beside the 5,000 lamports for the signature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from billfold.chains.port import Payment, Rate, Speed
from billfold.chains.solana import nonces, orders

NAME = "micro_lamports"
#: What is offered at least: nodes tell the lowest price that was paid, and in a quiet hour that is nothing. With what a
#: payment computes, the fastest costs a hundredth of a signature.
_LEAST: Mapping[Speed, int] = {"slow": 1_000, "normal": 10_000, "fast": 50_000}
#: And at most, whatever a node says: with what a token payment computes, about 0.0004 SOL.
_MOST = 5_000_000
#: Which part of the recent blocks one would have got into, in per cent.
_PART: Mapping[Speed, int] = {"slow": 50, "normal": 75, "fast": 95}


def rates(recent: Sequence[int]) -> Mapping[Speed, Rate]:
    """Prices for three speeds, from the lowest prices of the last blocks."""
    prices = sorted(recent) or [0]
    found: dict[Speed, Rate] = {}
    for speed, part in _PART.items():
        price = prices[(len(prices) - 1) * part // 100]
        found[speed] = Rate(numbers={NAME: min(max(price, _LEAST[speed]), _MOST)})
    return found


def estimate(payments: Sequence[Payment], *, source: str, rate: Rate) -> int:
    """The fee of one transaction with these payments, in lamports; it is the same whether it succeeds or not.

    What opening token accounts takes is not in it: `Destination.opening` says that. Of what opens accounts for nonces
    the rent is in it, which is all that it pays.
    """
    if nonces.opens(payments):
        return nonces.opening(payments, payer=source, blockhash="", micro_lamports=rate.numbers[NAME]).fee_max
    pays = [
        orders.Pay(address=payment.address, amount=payment.amount, token=payment.token, memo=payment.memo)
        for payment in payments
    ]
    order = orders.Order(
        payer=source, blockhash="", units=orders.units(pays), micro_lamports=rate.numbers[NAME], pays=pays
    )
    return order.fee
