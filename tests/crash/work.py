"""What clients do next: any of the ways in which money moves or is set aside, on what others have done before."""

from __future__ import annotations

import random
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from tests.crash.journal import Answer, Intent, Kind

T = TypeVar("T")

#: What is remembered to be settled, released or reversed: few, so that several clients go for the same.
REMEMBERED = 40
#: Value dates lie in a year that was over before this was written.
YEAR = datetime(2025, 1, 1, tzinfo=UTC)
#: How often each kind is done.
SHARES: dict[Kind, int] = {
    "transfer": 30,
    "deposit": 8,
    "withdrawal": 8,
    "bulk": 10,
    "reverse": 10,
    "hold": 14,
    "settle": 12,
    "release": 5,
    "wallet": 1,
    "rename": 2,
}


class Work:
    """Makes up requests, and remembers from their answers what later ones can be about."""

    def __init__(self, wallets: Sequence[str], chance: random.Random) -> None:
        self._wallets = wallets
        self._chance = chance
        self._holds: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
        self._moved: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
        self._makers: dict[Kind, Callable[[str], Intent]] = {
            "transfer": lambda key: Intent(key, "transfer", "/transfers", self._order(key, "transfer")),
            "deposit": self._deposit,
            "withdrawal": self._withdrawal,
            "bulk": self._bulk,
            "reverse": self._reverse,
            "hold": self._hold,
            "settle": self._settle,
            "release": self._release,
            "wallet": lambda key: Intent(key, "wallet", "/wallets", {"name": key, "external_id": key}),
            "rename": lambda key: Intent(
                key, "rename", f"/wallets/{self._chance.choice(self._wallets)}", {"name": key}
            ),
        }

    def next(self) -> Intent:
        """The next request."""
        (kind,) = self._chance.choices(list(SHARES), list(SHARES.values()))
        if (kind == "reverse" and not self._moved) or (kind in ("settle", "release") and not self._holds):
            kind = "transfer"
        return self._makers[kind](uuid.uuid4().hex)

    def learn(self, intent: Intent, answer: Answer) -> None:
        """Remember what was done."""
        if not answer.done:
            return
        if intent.kind == "hold":
            self._holds.append(answer.body)
        elif intent.kind == "bulk":
            self._moved += [item["transfer"] for item in answer.body["results"] if "transfer" in item]
        elif intent.kind == "settle":
            self._moved.append(answer.body["transfer"])
        elif intent.kind in ("transfer", "deposit", "withdrawal"):
            self._moved.append(answer.body)

    def _deposit(self, key: str) -> Intent:
        body = self._order(key, "deposit")
        return Intent(key, "deposit", f"/wallets/{body.pop('to')}/deposits", body)

    def _withdrawal(self, key: str) -> Intent:
        body = self._order(key, "withdrawal")
        return Intent(key, "withdrawal", f"/wallets/{body.pop('from')}/withdrawals", body)

    def _bulk(self, key: str) -> Intent:
        kinds: list[Kind] = [self._chance.choice(("transfer", "deposit", "withdrawal")) for _ in range(5)]
        items = [{"kind": kind, **self._order(f"{key}-{place}", kind)} for place, kind in enumerate(kinds)]
        form = self._chance.choice(("atomic", "separate", "own keys"))
        if form == "own keys":
            items = [item | {"idempotency_key": item["reference"]} for item in items]
        return Intent(key, "bulk", "/transfers/bulk", {"items": items, "atomic": form == "atomic"})

    def _reverse(self, key: str) -> Intent:
        moved = self._chance.choice(self._moved)
        body = {} if self._chance.random() < 0.3 else {"money": self._part(moved["money"])}
        return Intent(key, "reverse", f"/transfers/{moved['id']}/reverse", body, of=moved)

    def _hold(self, key: str) -> Intent:
        body: dict[str, Any] = {"wallet": self._chance.choice(self._wallets), "money": self._money(), "reference": key}
        if self._chance.random() < 0.4:
            expires_at = datetime.now(UTC) + timedelta(seconds=self._chance.uniform(0.5, 8))
            body["expires_at"] = expires_at.isoformat()
        return Intent(key, "hold", "/holds", body)

    def _settle(self, key: str) -> Intent:
        hold = self._some_hold()
        others = [wallet for wallet in self._wallets if wallet != hold["wallet"]]
        body: dict[str, Any] = {"to": self._chance.choice([*others, "outside"])}
        if self._chance.random() < 0.6:
            body |= {"money": self._part(hold["money"]), "release_rest": self._chance.random() < 0.3}
        return Intent(key, "settle", f"/holds/{hold['id']}/settle", body, of=hold)

    def _release(self, key: str) -> Intent:
        hold = self._some_hold()
        return Intent(key, "release", f"/holds/{hold['id']}/release", {}, of=hold)

    def _some_hold(self) -> dict[str, Any]:
        """One that others may be about to end too; those that were ended are met again now and then."""
        hold = self._chance.choice(self._holds)
        if self._chance.random() < 0.3:
            self._holds.remove(hold)
        return hold

    def _order(self, reference: str, kind: Kind) -> dict[str, Any]:
        source, target = self._chance.sample(self._wallets, 2)
        order: dict[str, Any] = {"money": self._money(), "reference": reference}
        if kind != "deposit":
            order["from"] = source
        if kind != "withdrawal":
            order["to"] = target
        if self._chance.random() < 0.4:
            order["effective_at"] = self._value_date()
        return order

    def _money(self) -> dict[str, str]:
        return {"amount": f"{self._chance.randint(1, 500)}.{self._chance.randint(0, 99):02d}", "asset": "USD"}

    def _part(self, money: dict[str, str]) -> dict[str, str]:
        cents = int(Decimal(money["amount"]) * 100)
        return money | {"amount": str(Decimal(self._chance.randint(1, cents)) / 100)}

    def _value_date(self) -> str:
        """A day, or an instant to the microsecond, in any zone."""
        at = YEAR + timedelta(microseconds=self._chance.randrange(365 * 24 * 3600 * 1_000_000))
        if self._chance.random() < 0.3:
            return at.date().isoformat()
        return at.isoformat(timespec="microseconds").replace("+00:00", self._chance.choice(("Z", "+02:00", "-05:30")))
