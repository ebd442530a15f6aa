"""The part of the facade over gRPC that reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from billfold.ledger import Ledger
from billfold.ledger.contracts import (
    GROUP_MAX,
    Account,
    BalancePoint,
    Entry,
    EntryFilter,
    EntrySummary,
    Hold,
    HoldStatus,
    Transfer,
)
from billfold.ledger.rpc import reading, values, writing
from billfold.ledger.rpc.v1 import ledger_pb2 as pb
from billfold.platform.postgres.database import Connection
from billfold.platform.rpc.replicas import Replicas

P = TypeVar("P")
T = TypeVar("T")


class RemoteReader(Ledger):
    """Balances, entries, transfers and holds, as servers of the role `ledger` tell them."""

    _replicas: Replicas

    async def accounts(self, *, ids: Sequence[UUID], transaction: Connection | None = None) -> list[Account]:
        if transaction is not None:
            return await super().accounts(ids=ids, transaction=transaction)
        found: list[Account] = []
        for first in range(0, len(ids), GROUP_MAX):
            request = pb.GetAccountsRequest(ids=map(str, ids[first : first + GROUP_MAX]))
            found += map(reading.account, (await self._ask("GetAccounts", request)).accounts)
        return found

    async def now(self) -> datetime:
        return values.read_instant((await self._ask("GetTime", pb.GetTimeRequest())).now, "/now")

    async def balances_recorded(self, *, points: Sequence[tuple[UUID, datetime]]) -> list[BalancePoint]:
        return await self._balances_at(points, "recorded")

    async def balances_effective(self, *, points: Sequence[tuple[UUID, datetime]]) -> list[BalancePoint]:
        return await self._balances_at(points, "effective")

    async def _balances_at(self, points: Sequence[tuple[UUID, datetime]], basis: str) -> list[BalancePoint]:
        posted: list[str] = []
        for first in range(0, len(points), GROUP_MAX):
            wanted = [
                pb.GetBalancesRequest.Point(account=str(account), at=values.instant(at))
                for account, at in points[first : first + GROUP_MAX]
            ]
            request = pb.GetBalancesRequest(points=wanted, basis=values.BASES.number[basis])
            posted += (await self._ask("GetBalances", request)).posted
        return [BalancePoint(at=at, posted=int(units)) for (_, at), units in zip(points, posted, strict=True)]

    async def balance_history(
        self, *, account_id: UUID, since: datetime, until: datetime, step: timedelta, effective: bool
    ) -> list[BalancePoint]:
        request = pb.GetBalanceHistoryRequest(
            account=str(account_id),
            since=values.instant(since),
            until=values.instant(until),
            step=values.duration(step),
            basis=values.BASES.number["effective" if effective else "recorded"],
        )
        points = (await self._ask("GetBalanceHistory", request)).points
        return [BalancePoint(at=values.read_instant(point.at, "/at"), posted=int(point.posted)) for point in points]

    async def entries(
        self,
        *,
        account_ids: Sequence[UUID],
        filter: EntryFilter,  # noqa: A002 - it is what the caller means
        after: tuple[datetime, UUID] | None,
        limit: int,
    ) -> list[Entry]:
        accounts, narrowed = list(map(str, account_ids)), writing.entry_filter(filter)

        async def page(after: tuple[datetime, UUID] | None, limit: int) -> list[Entry]:
            position = after and pb.ListEntriesRequest.After(
                recorded_at=values.instant(after[0]), account=str(after[1])
            )
            request = pb.ListEntriesRequest(accounts=accounts, filter=narrowed, after=position, limit=limit)
            return [reading.entry(entry) for entry in (await self._ask("ListEntries", request)).entries]

        return await _pages(page, after, limit, lambda last: (last.recorded_at, last.account))

    async def stream_entries(
        self,
        *,
        account_ids: Sequence[UUID],
        filter: EntryFilter,  # noqa: A002 - it is what the caller means
    ) -> AsyncIterator[list[Entry]]:
        request = pb.StreamEntriesRequest(accounts=map(str, account_ids), filter=writing.entry_filter(filter))
        async for block in self._replicas.stream(lambda stub, **given: stub.StreamEntries(request, **given)):
            yield [reading.entry(entry) for entry in block.entries]

    async def summary(
        self,
        *,
        account_ids: Sequence[UUID],
        filter: EntryFilter,  # noqa: A002 - it is what the caller means
    ) -> EntrySummary:
        request = pb.SummarizeEntriesRequest(accounts=map(str, account_ids), filter=writing.entry_filter(filter))
        return reading.summary((await self._ask("SummarizeEntries", request)).summary)

    async def entries_of_all(
        self,
        *,
        filter: EntryFilter,  # noqa: A002 - it is what the caller means
        after: tuple[UUID, UUID] | None,
        limit: int,
    ) -> list[Entry]:
        narrowed = writing.entry_filter(filter)

        async def page(after: tuple[UUID, UUID] | None, limit: int) -> list[Entry]:
            position = after and pb.ListAllEntriesRequest.After(transfer_id=str(after[0]), account=str(after[1]))
            request = pb.ListAllEntriesRequest(filter=narrowed, after=position, limit=limit)
            return [reading.entry(entry) for entry in (await self._ask("ListAllEntries", request)).entries]

        return await _pages(page, after, limit, lambda last: (last.transfer_id, last.account))

    async def summaries_of_all(
        self,
        *,
        filter: EntryFilter,  # noqa: A002 - it is what the caller means
    ) -> dict[str, EntrySummary]:
        request = pb.SummarizeAllEntriesRequest(filter=writing.entry_filter(filter))
        found = (await self._ask("SummarizeAllEntries", request)).summaries
        return {code: reading.summary(sums) for code, sums in found.items()}

    async def transfer(self, *, transfer_id: UUID) -> Transfer:
        request = pb.GetTransferRequest(transfer_id=str(transfer_id))
        return reading.transfer((await self._ask("GetTransfer", request)).transfer)

    async def hold(self, *, hold_id: UUID) -> Hold:
        return reading.hold((await self._ask("GetHold", pb.GetHoldRequest(hold_id=str(hold_id)))).hold)

    async def holds(
        self, *, account_ids: Sequence[UUID], status: HoldStatus | None, after: UUID | None, limit: int
    ) -> list[Hold]:
        accounts = list(map(str, account_ids))

        async def page(after: UUID | None, limit: int) -> list[Hold]:
            request = pb.ListHoldsRequest(accounts=accounts, status=_number(status), after=_text(after), limit=limit)
            return [reading.hold(hold) for hold in (await self._ask("ListHolds", request)).holds]

        return await _pages(page, after, limit, lambda last: last.id)

    async def holds_of_all(self, *, status: HoldStatus | None, after: UUID | None, limit: int) -> list[Hold]:
        async def page(after: UUID | None, limit: int) -> list[Hold]:
            request = pb.ListAllHoldsRequest(status=_number(status), after=_text(after), limit=limit)
            return [reading.hold(hold) for hold in (await self._ask("ListAllHolds", request)).holds]

        return await _pages(page, after, limit, lambda last: last.id)

    async def _ask(self, method: str, request: Any) -> Any:
        """Ask for what has no effect, or the same one however often."""
        return await self._replicas.call(method, lambda stub, **given: getattr(stub, method)(request, **given))


async def _pages(
    page: Callable[[P | None, int], Awaitable[list[T]]], after: P | None, limit: int, position: Callable[[T], P]
) -> list[T]:
    """The first `limit` behind `after`, of which the service gives so many at a time."""
    found: list[T] = []
    while len(found) < limit:
        wanted = min(limit - len(found), GROUP_MAX)
        part = await page(after, wanted)
        found += part
        if len(part) < wanted:
            break
        after = position(part[-1])
    return found


def _number(status: HoldStatus | None) -> Any:
    return None if status is None else values.HOLD_STATUSES.number[status]


def _text(after: UUID | None) -> str | None:
    return None if after is None else str(after)
