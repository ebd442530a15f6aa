"""Money that a person sends out of the house: above a limit they approve it with a second factor of theirs.

Without such an approval no more than the limit leaves within 24 hours (`allowance`). What was approved does not count.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from billfold.identity import StepUp
from billfold.identity.errors import SecondFactorMissing
from billfold.kernel import idempotency, money
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.wallets import domain
from billfold.wallets.contracts import OUTSIDE
from billfold.wallets.contracts.chain_withdrawals import NewChainWithdrawal
from billfold.wallets.service.allowance import Allowance

#: So many withdrawals of one request are shown one by one.
_LISTED = 20


class Withdrawals:
    """Demands the approval of whoever withdraws much."""

    def __init__(self, *, step_up: StepUp | None, allowance: Allowance, ledger: Ledger) -> None:
        """`allowance` is what a person withdraws in a day without an approval."""
        self._step_up = step_up
        self._allowance = allowance
        self._ledger = ledger

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

        Raises:
            StepUpRequired, SecondFactorMissing.
        """
        user_id = principal.user_id
        if user_id is None or await self._allowance.covers(user_id, leaving, key=key, posted_under=posted_under):
            return
        assert self._step_up is not None, "where there are limits, there are approvals"
        shown = await self._shown(leaving, content)
        await self._step_up.demand(principal=principal, operation=operation, content=shown, key=key, proof=proof)

    async def check_sent_out(
        self,
        principal: Principal,
        *,
        leaving: Mapping[str, int],
        content: NewChainWithdrawal,
        key: idempotency.Key,
        proof: UUID | None,
        is_new: bool,
    ) -> bool:
        """The same for money that leaves for a chain; it says whether they have approved exactly this by a factor.

        It is demanded for an address that `is_new`, too, unless they have no factor: then it has to wait.

        Raises:
            StepUpRequired, SecondFactorMissing.
        """
        user_id = principal.user_id
        if user_id is None or self._step_up is None:
            return False
        covered = await self._allowance.covers(user_id, leaving, key=key, posted_under=[key])
        if covered and not is_new:
            return False
        shown = {
            "amount": f"{content.money.amount} {content.money.asset}",
            "to": content.to,
            "memo": content.memo or "",
            "wallet": content.wallet,
            "speed": content.speed,
        }
        if content.max_fee is not msgspec.UNSET:
            shown["fees"] = f"at most {content.max_fee} {content.money.asset}"
        try:
            await self._step_up.demand(
                principal=principal, operation="withdrawal to a chain", content=shown, key=key, proof=proof
            )
        except SecondFactorMissing:
            if not covered:
                raise
            return False
        return True

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
