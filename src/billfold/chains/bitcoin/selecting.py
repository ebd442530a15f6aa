"""Which coins to pay with: such that nothing is left over if possible, else few large ones. Rules alone, no chance.

The search for coins without a rest is branch and bound over their effective values, that is, what they are worth less
what it costs to spend them (M. Erhardt, "An Evaluation of Coin Selection Strategies", 2016, §4.3).
"""

from __future__ import annotations

from collections.abc import Sequence

from billfold.chains import errors
from billfold.chains.bitcoin import sizes
from billfold.chains.port import Coin

#: Steps of the search, after which a rest is accepted: a few milliseconds.
TRIES_MAX = 5_000


def chosen(coins: Sequence[Coin], *, amount: int, scripts: Sequence[bytes], rate: int) -> list[Coin]:
    """Coins for payments of `amount` satoshi in all to `scripts`, at a rate for 1,000 virtual bytes.

    Raises:
        FundsShort.
    """
    cost = sizes.fee_for(rate, sizes.INPUT_VSIZE)
    worth = sorted((each for each in coins if each.amount > cost), key=lambda each: (-each.amount, _place(each)))
    target = amount + sizes.fee_for(rate, sizes.vsize(0, scripts))
    # What the change would cost now, and what it would cost to spend it: up to that, a rest is cheaper as a fee.
    slack = sizes.fee_for(rate, sizes.CHANGE_VSIZE) + cost
    exact = _exact([each.amount - cost for each in worth], target, slack)
    if exact is not None:
        return [worth[at] for at in exact]
    return _largest(worth, target, cost, slack)


def _exact(values: Sequence[int], target: int, slack: int) -> list[int] | None:
    """Places of a few values, given from the largest, whose sum is from `target` to `target + slack`; the tightest."""
    left = sum(values)
    best: list[int] | None = None
    best_total = target + slack + 1
    taken: list[int] = []
    total, at = 0, 0
    for _ in range(TRIES_MAX):
        back = total + left < target or total >= best_total or at == len(values)
        if target <= total < best_total:
            best, best_total, back = list(taken), total, True
            if total == target:
                break
        if not back and len(taken) < sizes.INPUTS_FEW:
            taken.append(at)
            total += values[at]
            left -= values[at]
            at += 1
            continue
        # Back to the last one that was taken; without it from there.
        if not taken:
            break
        last = taken.pop()
        total -= values[last]
        left += sum(values[last + 1 : at])
        at = last + 1
    return best


def _largest(worth: Sequence[Coin], target: int, cost: int, slack: int) -> list[Coin]:
    taken: list[Coin] = []
    total = 0
    for each in worth[: sizes.INPUTS_MAX]:
        taken.append(each)
        total += each.amount - cost
        # With change, for which there must be room.
        if total >= target + slack:
            return taken
    if total >= target:
        return taken
    raise errors.FundsShort(f"The coins are worth {total} satoshi after their own fees; {target} are needed.")


def _place(coin: Coin) -> tuple[str, int]:
    return coin.chain_tx, int(coin.index)
