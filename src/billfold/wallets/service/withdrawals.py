"""Money that a person sends out of the house: above a limit they approve it with a second factor of theirs.

Without such an approval no more than the limit leaves within 24 hours, in however many withdrawals, with whichever of
their credentials. What was approved does not count; what was refused afterwards, for want of money perhaps, does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from billfold.identity import StepUp
from billfold.kernel import idempotency, money
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.wallets import domain
from billfold.wallets.contracts import OUTSIDE
from billfold.wallets.store import withdrawals as store

_TOGETHER = timedelta(hours=24)
#: So many withdrawals of one request are shown one by one.
_LISTED = 20


class Withdrawals:
    """Demands the approval of whoever withdraws much."""

    def __init__(
        self, *, step_up: StepUp | None, above: Mapping[str, str], database: Database, ledger: Ledger, clock: Clock
    ) -> None:
        self._step_up = step_up
        #: What a person withdraws in a day without an approval, by asset.
        self._above = above
        self._database = database
        self._ledger = ledger
        self._clock = clock

    async def check(
        self,
        principal: Principal,
        *,
        leaving: Mapping[str, int],
        operation: str,
        content: Any,
        key: idempotency.Key,
        posted_under: Sequence[idempotency.Key],
        proof: UUID | None,
    ) -> None:
        """Go on only if so much may leave: little enough, or approved as `content`, which is all that is asked for.

        The ledger knows it by the keys `posted_under`, which is the request's own `key` unless it is many in one.

        Raises:
            StepUpRequired, SecondFactorMissing.
        """
        limited = {asset: units for asset, units in leaving.items() if asset in self._above}
        if not limited or principal.user_id is None or await self._is_little(principal.user_id, limited, key):
            return
        assert self._step_up is not None, "where there are limits, there are approvals"
        if {one.digest for one in posted_under} <= await self._ledger.answered(keys=posted_under):
            return  # It moves nothing any more.
        shown = await self._shown(leaving, content)
        await self._step_up.demand(principal=principal, operation=operation, content=shown, key=key, proof=proof)

    async def _is_little(self, user_id: UUID, leaving: Mapping[str, int], key: idempotency.Key) -> bool:
        """Whether this stays within the limits together with the last day's; then it is added to them."""
        limits = {asset: await self._limit(asset) for asset in leaving}
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await store.lock(connection, user_id)
            if await store.is_reckoned(connection, user_id, key):
                return True
            before = await store.sums(connection, user_id, since=now - _TOGETHER)
            if any(before.get(asset, 0) + units > limits[asset] for asset, units in leaving.items()):
                return False
            await store.add(connection, user_id, key, leaving, now=now)
            return True

    async def _limit(self, code: str) -> int:
        return money.threshold(self._above[code], (await self._ledger.asset(code=code)).scale)

    async def _shown(self, leaving: Mapping[str, int], content: Any) -> Mapping[str, str]:
        """What is approved, in words, with a digest of all that is asked for."""
        amounts = [
            f"{money.format(units, (await self._ledger.asset(code=code)).scale)} {code}"
            for code, units in sorted(leaving.items())
        ]
        told = {"amount": ", ".join(amounts), "to": OUTSIDE}
        words = msgspec.to_builtins(content)
        for name, value in words.items():
            if name not in told and value and isinstance(value, str | list | tuple):
                told[name] = value if isinstance(value, str) else str(len(value))
        out = [one for one in words.get("items", ()) if one["kind"] == "withdrawal"]
        told |= {f"withdrawal {place}": _line(one) for place, one in enumerate(out[:_LISTED], 1)}
        if len(out) > _LISTED:
            told["withdrawals left out"] = f"and {len(out) - _LISTED} more"
        return told | {"request": sha256(domain.content_of(content)).hexdigest()}


def _line(order: Mapping[str, Any]) -> str:
    """A withdrawal among others. Its own texts stand in quotes, so that none can look like something else."""
    money = order["money"]
    said = [
        f"{name} {json.dumps(order[name], ensure_ascii=False)}" for name in ("reference", "description") if order[name]
    ]
    return ", ".join([f"{money['amount']} {money['asset']} from {order['from']}", *said])
