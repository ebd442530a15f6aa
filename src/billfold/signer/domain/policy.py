"""What may be signed: a transaction that does what its sender says, within limits that its sender can't change."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from billfold.chains.port import Network, Payment
from billfold.chains.signing_port import Place, Shown
from billfold.kernel import clock
from billfold.signer import errors
from billfold.signer.contracts import Expected, Limit

#: What has left is kept in slices of so many seconds. The slice in which a window begins counts as a whole, so never
#: too little is counted, and a limit is free again at most so much later than it might be.
SLICE_S: Final = 300
#: Here deposits are coins, which a payment uses up where they lie. Elsewhere they are swept first, and nothing else.
_COIN_CHAINS: Final = frozenset({"bitcoin"})
_OMNIBUS: Final = Place(purpose="hot", index=0)

#: What leaves, by token; None is the coin.
Sums = Mapping[str | None, int]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction as the signer has read it, and what it pays to others than the tree itself."""

    shown: Shown
    outside: Sequence[Payment]
    #: Whether its sender says that all of this goes to the operator's own warm address.
    to_warm: bool = False


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The policy for one chain and network."""

    limits: Mapping[str | None, Limit]
    #: Which destinations are paid, where not all are.
    allowed: Collection[str] | None
    #: The operator's own warm addresses.
    warm: Collection[str] = ()


def check_places(shown: Shown, places: Mapping[str, Place], derived: Mapping[Place, str]) -> None:
    """Each source has a place, and each place has in truth the address that it is given for.

    Raises:
        NotAsExpected.
    """
    for address, place in places.items():
        if derived[place] != address:
            raise errors.NotAsExpected(f"The key at {place.purpose} {place.index} has another address.")
    for source in shown.sources:
        if source not in places:
            raise errors.NotAsExpected("The transaction takes a signature of an address for which no place is given.")


def compare(shown: Shown, expected: Expected, places: Mapping[str, Place]) -> Reading:
    """What the transaction pays to others, when it is what is expected. What is left over may go to the tree alone.

    Raises:
        NotAsExpected.
    """
    if shown.fee_max > expected.fee_max:
        raise errors.NotAsExpected(
            f"The transaction may cost {shown.fee_max} in fees; {expected.fee_max} was expected at most."
        )
    wanted = Counter(_key(payment) for payment in expected.payments)
    for payment in shown.payments:
        if wanted[_key(payment)]:
            wanted[_key(payment)] -= 1
        elif payment.address not in places:
            raise errors.NotAsExpected("The transaction pays something that was not expected.")
    if any(wanted.values()):
        raise errors.NotAsExpected("The transaction does not pay something that was expected.")
    outside = [one for one in shown.payments if one.address not in places]
    return Reading(shown=shown, outside=outside, to_warm=expected.to_warm)


def _key(payment: Payment) -> tuple[str, int, str | None, str | None]:
    return payment.address, payment.amount, payment.token, payment.memo


def leaving(reading: Reading) -> dict[str | None, int]:
    """How much of each asset leaves: payments to others, and of the coin the fee.

    What goes to a warm address stays the operator's.
    """
    sums: dict[str | None, int] = defaultdict(int)
    for payment in () if reading.to_warm else reading.outside:
        sums[payment.token] += payment.amount
    sums[None] += reading.shown.fee_max
    return {token: amount for token, amount in sums.items() if amount}


def check_sweep(chain: str, reading: Reading, places: Mapping[str, Place]) -> None:
    """Keys of deposit addresses pay only the hot address of their own tree.

    Raises:
        SweepElsewhere.
    """
    if chain in _COIN_CHAINS or all(places[source].purpose != "deposit" for source in reading.shown.sources):
        return
    if any(places.get(payment.address) != _OMNIBUS for payment in reading.shown.payments):
        raise errors.SweepElsewhere


def check_rules(rules: Rules, network: Network, reading: Reading, spent: Sums) -> dict[str | None, int]:
    """How much of each asset leaves, when the policy allows it on top of what has left: `spent` in each one's window.

    Without limits nothing leaves but on a sandbox, whose money is none.

    Raises:
        PolicyMissing, LimitExceeded, DestinationNotAllowed, WarmElsewhere.
    """
    if reading.to_warm:
        if any(payment.address not in rules.warm for payment in reading.outside):
            raise errors.WarmElsewhere
    elif rules.allowed is not None and any(payment.address not in rules.allowed for payment in reading.outside):
        raise errors.DestinationNotAllowed
    if reading.shown.kind == "open" and network != "sandbox":
        _check_opened(rules, reading)
    sums = leaving(reading)
    for token, amount in sums.items():
        limit = rules.limits.get(token)
        if limit is None:
            if network != "sandbox":
                raise errors.PolicyMissing
            continue
        if amount > limit.per_transaction:
            raise errors.LimitExceeded(f"One transaction may take {limit.per_transaction}, and this takes {amount}.")
        if spent.get(token, 0) + amount > limit.per_window:
            raise errors.LimitExceeded(
                f"Within {limit.window_s} seconds {limit.per_window} may leave; "
                f"{spent.get(token, 0)} has left, and this would take {amount} more."
            )
    return sums


def _check_opened(rules: Rules, reading: Reading) -> None:
    """Only what the policy names is opened: a chain may keep some of the coin for each, and take any number of them.

    Raises:
        PolicyMissing.
    """
    if any(payment.token not in rules.limits for payment in reading.shown.payments):
        raise errors.PolicyMissing(
            "The signer's policy has no limit for this asset, so it is not opened: the chain would keep some of the "
            "coin for it. A limit of 0 opens it and lets none of it leave."
        )


def slice_of(at: datetime) -> datetime:
    """When the slice of time began that `at` is in."""
    seconds = clock.microseconds(at) // 1_000_000
    return clock.EPOCH + timedelta(seconds=seconds - seconds % SLICE_S)


def window_begins(at: datetime, window_s: int) -> datetime:
    """The first slice that counts for a window that ends at `at`."""
    return slice_of(at - timedelta(seconds=window_s))
