"""What the tests of requests share: an office that accepts them and carries them out, at any time of day."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from billfold.kernel import ids
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.wallets import Wallets
from billfold.wallets.contracts import Acceptance, MoneyRequest, Order, OrderKind, RequestLimits
from billfold.wallets.service.endings import Endings
from tests import facades
from tests.integration.approvals.people import Bank


class Watch:
    """A clock that can be put forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Office(Bank):
    """A bank that accepts requests."""

    clock: Watch

    @property
    def endings(self) -> Endings:
        return self.wallets.carrying_out._endings

    async def accept(
        self,
        by: Principal,
        kind: OrderKind = "transfer",
        *,
        source: str | None = None,
        target: str | None = None,
        amount: str = "1.00",
        key: str | None = None,
    ) -> MoneyRequest:
        """What was accepted to be carried out later."""
        accepted = await self.accepted(by, kind, source=source, target=target, amount=amount, key=key)
        assert accepted.request is not None
        return accepted.request

    async def accepted(
        self,
        by: Principal,
        kind: OrderKind = "transfer",
        *,
        source: str | None = None,
        target: str | None = None,
        amount: str = "1.00",
        key: str | None = None,
    ) -> Acceptance:
        order = Order(kind=kind, source=source, target=target, money=Money(amount, "USD"))
        return await self.wallets.requests.accept(principal=by, order=order, key=key or str(ids.new()))

    async def accept_overdue(self, by: Principal, *, source: str, target: str, key: str | None = None) -> MoneyRequest:
        """What was accepted to be carried out within no time at all."""
        async with opened(self.dsn, limits=RequestLimits(expire_after=timedelta())) as hasty:
            return await hasty.accept(by, source=source, target=target, key=key)

    async def look(self, by: Principal, request: MoneyRequest, *, wait_s: float = 0) -> MoneyRequest:
        return (await self.wallets.requests.request(principal=by, request_id=request.id, wait_s=wait_s)).request

    async def carry_out(self, *requests: MoneyRequest) -> dict[str, int]:
        """As the worker does when an event tells of these."""
        return dict(await self.wallets.carrying_out.named(request_ids=[request.id for request in requests]))

    async def sweep(self, ahead: timedelta = timedelta(minutes=2)) -> dict[str, int]:
        """As the worker does so much later, when it looks for itself."""
        self.clock.ahead += ahead
        return dict(await self.wallets.carrying_out.due())

    async def told(self, kind: str) -> list[dict[str, Any]]:
        """The data of all events of this type that wait to be published."""
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT payload FROM messaging.outbox WHERE kind = 'event' ORDER BY seq")
        found = [msgspec.json.decode(row["payload"]) for row in rows]
        return [event["data"] for event in found if event["type"] == kind]


@asynccontextmanager
async def opened(dsn: str, *, limits: RequestLimits | None = None) -> AsyncIterator[Office]:
    """An office over this database."""
    database = await Database.connect(dsn, name="test")
    ledger = await Ledger.start(database=database)
    identity, clock = facades.identity(database), Watch()
    wallets = Wallets(
        database=database,
        ledger=ledger,
        identity=identity,
        approvals=identity.approvals,
        approval_above={"USD": "100"},
        step_up=identity.step_up,
        request_limits=limits,
        clock=clock,
    )
    identity.approvals.carried_out_by(wallets.executors)
    office = Office(dsn, database, identity=identity, ledger=ledger, wallets=wallets)
    office.clock = clock
    try:
        yield office
    finally:
        await ledger.close()
        await database.close()
