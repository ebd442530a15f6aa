"""The part of the service that changes nothing but the list of accounts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

from billfold.ledger import Ledger
from billfold.ledger.contracts import GROUP_MAX, Entry, Watched
from billfold.ledger.rpc import reading, values, writing
from billfold.ledger.rpc.moving import counted, limit_of
from billfold.ledger.rpc.v1 import ledger_pb2 as pb
from billfold.platform.rpc.errors import MessageInvalid, Stopping
from billfold.platform.rpc.serving import Stop


class Telling:
    """Each method is the facade's of the same name."""

    _ledger: Ledger
    _stop: Stop

    async def ListAssets(self, _request: pb.ListAssetsRequest, _context: Any) -> pb.ListAssetsResponse:
        known = await self._ledger.assets()
        assets = [
            writing.asset(asset, await self._ledger.external_account(asset=code)) for code, asset in known.items()
        ]
        return pb.ListAssetsResponse(assets=assets)

    async def OpenAccounts(self, request: pb.OpenAccountsRequest, _context: Any) -> pb.OpenAccountsResponse:
        accounts = [
            reading.new_account(message, f"/accounts/{place}")
            for place, message in enumerate(counted(request.accounts, "/accounts"))
        ]
        await self._ledger.open_accounts(accounts=accounts)
        return pb.OpenAccountsResponse()

    async def GetAccounts(self, request: pb.GetAccountsRequest, _context: Any) -> pb.GetAccountsResponse:
        ids = [values.read_id(text, f"/ids/{place}") for place, text in enumerate(counted(request.ids, "/ids"))]
        found = await self._ledger.accounts(ids=ids)
        return pb.GetAccountsResponse(accounts=[writing.account(account) for account in found])

    async def WatchAccount(
        self, request: pb.WatchAccountRequest, _context: Any
    ) -> AsyncIterator[pb.WatchAccountResponse]:
        account_id = values.read_id(request.account, "/account")
        watching = self._ledger.watch(account_id=account_id, after=reading.optional_instant(request, "after"))
        async for watched in self._until_stop(watching):
            account = writing.account(watched.account)
            for part in _parts(watched.entries) or [[]]:
                yield pb.WatchAccountResponse(account=account, entries=part)

    async def _until_stop(self, watching: AsyncIterator[Watched]) -> AsyncIterator[Watched]:
        """What comes, until the server stops: it would otherwise wait for a stream without end."""
        stopped: asyncio.Future[Any] = asyncio.ensure_future(self._stop.begun.wait())
        coming: asyncio.Future[Any] = asyncio.ensure_future(anext(watching))
        try:
            while True:
                await asyncio.wait([coming, stopped], return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    raise Stopping
                yield coming.result()
                coming = asyncio.ensure_future(anext(watching))
        finally:
            coming.cancel()
            stopped.cancel()
            await asyncio.wait([coming, stopped])

    async def GetBalances(self, request: pb.GetBalancesRequest, _context: Any) -> pb.GetBalancesResponse:
        points = [
            (
                values.read_id(point.account, f"/points/{place}/account"),
                values.read_instant(point.at, f"/points/{place}/at"),
            )
            for place, point in enumerate(counted(request.points, "/points"))
        ]
        is_effective = values.BASES.read(request.basis, "/basis") == "effective"
        read = self._ledger.balances_effective if is_effective else self._ledger.balances_recorded
        return pb.GetBalancesResponse(posted=[str(balance.posted) for balance in await read(points=points)])

    async def GetBalanceHistory(
        self, request: pb.GetBalanceHistoryRequest, _context: Any
    ) -> pb.GetBalanceHistoryResponse:
        since, until = values.read_instant(request.since, "/since"), values.read_instant(request.until, "/until")
        step = values.read_duration(request.step)
        if since > until or step <= timedelta(0):
            raise MessageInvalid("The history goes from `since` to a later `until` in steps forward.", pointer="/until")
        found = await self._ledger.balance_history(
            account_id=values.read_id(request.account, "/account"),
            since=since,
            until=until,
            step=step,
            effective=values.BASES.read(request.basis, "/basis") == "effective",
        )
        points = [
            pb.GetBalanceHistoryResponse.Point(at=values.instant(point.at), posted=str(point.posted)) for point in found
        ]
        return pb.GetBalanceHistoryResponse(points=points)

    async def GetTime(self, _request: pb.GetTimeRequest, _context: Any) -> pb.GetTimeResponse:
        return pb.GetTimeResponse(now=values.instant(await self._ledger.now()))

    async def GetTransfer(self, request: pb.GetTransferRequest, _context: Any) -> pb.GetTransferResponse:
        found = await self._ledger.transfer(transfer_id=values.read_id(request.transfer_id, "/transfer_id"))
        return pb.GetTransferResponse(transfer=writing.transfer(found))

    async def GetHold(self, request: pb.GetHoldRequest, _context: Any) -> pb.GetHoldResponse:
        found = await self._ledger.hold(hold_id=values.read_id(request.hold_id, "/hold_id"))
        return pb.GetHoldResponse(hold=writing.hold(found))

    async def ListHolds(self, request: pb.ListHoldsRequest, _context: Any) -> pb.ListHoldsResponse:
        found = await self._ledger.holds(
            account_ids=_ids(request.accounts),
            status=values.HOLD_STATUSES.read(request.status, "/status") if request.status else None,
            after=values.read_id(request.after, "/after") if request.HasField("after") else None,
            limit=limit_of(request),
        )
        return pb.ListHoldsResponse(holds=[writing.hold(hold) for hold in found])

    async def ListAllHolds(self, request: pb.ListAllHoldsRequest, _context: Any) -> pb.ListAllHoldsResponse:
        found = await self._ledger.holds_of_all(
            status=values.HOLD_STATUSES.read(request.status, "/status") if request.status else None,
            after=values.read_id(request.after, "/after") if request.HasField("after") else None,
            limit=limit_of(request),
        )
        return pb.ListAllHoldsResponse(holds=[writing.hold(hold) for hold in found])

    async def ListEntries(self, request: pb.ListEntriesRequest, _context: Any) -> pb.ListEntriesResponse:
        after = None
        if request.HasField("after"):
            at = values.read_instant(request.after.recorded_at, "/after/recorded_at")
            after = (at, values.read_id(request.after.account, "/after/account"))
        found = await self._ledger.entries(
            account_ids=_ids(request.accounts),
            filter=reading.entry_filter(request.filter),
            after=after,
            limit=limit_of(request),
        )
        return pb.ListEntriesResponse(entries=[writing.entry(entry) for entry in found])

    async def ListAllEntries(self, request: pb.ListAllEntriesRequest, _context: Any) -> pb.ListAllEntriesResponse:
        after = None
        if request.HasField("after"):
            transfer_id = values.read_id(request.after.transfer_id, "/after/transfer_id")
            after = (transfer_id, values.read_id(request.after.account, "/after/account"))
        found = await self._ledger.entries_of_all(
            filter=reading.entry_filter(request.filter), after=after, limit=limit_of(request)
        )
        return pb.ListAllEntriesResponse(entries=[writing.entry(entry) for entry in found])

    async def StreamEntries(
        self, request: pb.StreamEntriesRequest, _context: Any
    ) -> AsyncIterator[pb.StreamEntriesResponse]:
        narrowed = reading.entry_filter(request.filter)
        async for block in self._ledger.stream_entries(account_ids=_ids(request.accounts), filter=narrowed):
            for part in _parts(block):
                yield pb.StreamEntriesResponse(entries=part)

    async def SummarizeEntries(self, request: pb.SummarizeEntriesRequest, _context: Any) -> pb.SummarizeEntriesResponse:
        narrowed = reading.entry_filter(request.filter)
        found = await self._ledger.summary(account_ids=_ids(request.accounts), filter=narrowed)
        return pb.SummarizeEntriesResponse(summary=writing.summary(found))

    async def SummarizeAllEntries(
        self, request: pb.SummarizeAllEntriesRequest, _context: Any
    ) -> pb.SummarizeAllEntriesResponse:
        found = await self._ledger.summaries_of_all(filter=reading.entry_filter(request.filter))
        return pb.SummarizeAllEntriesResponse(summaries={code: writing.summary(sums) for code, sums in found.items()})


def _parts(entries: Sequence[Entry]) -> list[list[pb.Entry]]:
    """As many as fit into a message, whatever people have written about them."""
    return [
        [writing.entry(entry) for entry in entries[first : first + GROUP_MAX]]
        for first in range(0, len(entries), GROUP_MAX)
    ]


def _ids(texts: Any) -> list[Any]:
    """Accounts; there may be none, and so nothing of theirs."""
    return [values.read_id(text, f"/accounts/{place}") for place, text in enumerate(texts)]
