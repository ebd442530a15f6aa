"""What a queue of confirmed transactions delivers: applied exactly once, or set aside with the reason."""

from __future__ import annotations

from collections.abc import Sequence

from billfold.kernel.errors import BillfoldError
from billfold.platform.messaging.tries import Tries
from billfold.wallets.contracts import ConfirmedTransaction, Delivery, Taken, Transfer
from billfold.wallets.service import confirmed
from billfold.wallets.service.bulk import Bulk
from billfold.wallets.service.dead_letters import DeadLetters


class Deliveries:
    """Use cases of the queue of confirmed transactions. Whoever may write to it is trusted; nobody else asks."""

    def __init__(self, *, bulk: Bulk, dead_letters: DeadLetters, tries: Tries) -> None:
        #: Of messages that came often.
        self.tries = tries
        self._bulk = bulk
        self._dead_letters = dead_letters

    async def take(self, *, deliveries: Sequence[Delivery]) -> list[Taken]:
        """Apply what can be applied and set aside what can't. Both are durable when this returns.

        Delivered again, each gets the same answer and does nothing more, and what an operator has discarded is dropped.
        What is answered with `later` is to be taken again: something it needs is not there now, or another process has
        it in hand.

        Raises:
            Unavailable: all of them are to be taken again.
        """
        outcomes = await self._outcomes(deliveries)
        refused = [
            (delivery, outcome)
            for delivery, outcome in zip(deliveries, outcomes, strict=True)
            if isinstance(outcome, BillfoldError) and not outcome.retryable
        ]
        kept = iter(await self._dead_letters.record(refused=refused) if refused else ())
        return [next(kept) if taken == "refused" else taken for taken in map(_taken, outcomes)]

    async def give_up(self, *, delivery: Delivery, why: BillfoldError) -> Taken:
        """Set a message aside that can't even be tried."""
        (taken,) = await self._dead_letters.record(refused=[(delivery, why)])
        return taken

    async def _outcomes(self, deliveries: Sequence[Delivery]) -> list[Transfer | BillfoldError]:
        found: dict[int, Transfer | BillfoldError] = {}
        waiting: dict[int, ConfirmedTransaction] = {}
        for place, delivery in enumerate(deliveries):
            try:
                waiting[place] = confirmed.read(delivery.body, delivery.headers)
            except BillfoldError as error:
                found[place] = error
        while waiting:
            # A sender's id that is there twice is answered from the first one's record, so that has to be there.
            first: dict[tuple[str, str], int] = {}
            for place, transaction in waiting.items():
                first.setdefault((transaction.source, transaction.id), place)
            transactions = [waiting.pop(place) for place in first.values()]
            answers = await self._bulk.apply_confirmed(transactions=transactions)
            found.update(zip(first.values(), answers, strict=True))
        return [found[place] for place in range(len(deliveries))]


def _taken(outcome: Transfer | BillfoldError) -> Taken:
    if isinstance(outcome, Transfer):
        return "applied"
    return "later" if outcome.retryable else "refused"
