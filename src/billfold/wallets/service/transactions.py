"""The history of wallets: transactions, their sums, and statements. Nothing here writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from billfold.kernel import clock, ids, looks, money, paging
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.ledger import contracts as ledger
from billfold.ledger import errors as ledger_errors
from billfold.wallets import contracts, domain, errors
from billfold.wallets.contracts import StatementHead, Summary, Transaction, TransactionFilter, TransactionPage
from billfold.wallets.domain import Side
from billfold.wallets.service.history import Reading
from billfold.wallets.service.holdings import Holdings
from billfold.wallets.service.resolution import Resolution

#: Lines of a statement that are written in one go: a few milliseconds in which no other request is served.
STATEMENT_BLOCK = 200


class Transactions:
    """Use cases that read what has happened."""

    def __init__(self, *, ledger: Ledger, resolution: Resolution, holdings: Holdings, reading: Reading) -> None:
        """`reading` is where lists of one's own transactions come from; all else is read in the ledger."""
        self._ledger = ledger
        self._reading = reading
        self._resolution = resolution
        self._holdings = holdings

    async def page(
        self,
        *,
        principal: Principal,
        wanted: TransactionFilter,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> TransactionPage:
        """Transactions in the caller's wallets, the newest first. Those that come meanwhile don't shift the pages.

        Raises:
            MissingScope, WalletUnknown, WalletNeeded, AssetUnknown, AssetNeeded, InvalidId, InvalidAmount, PeriodWrong,
            InvalidCursor, InvalidLimit
        """
        principal.require(contracts.READ)
        size = paging.check_limit(limit)
        if principal.sees_everybody and wanted.wallet is None:
            return await self._everybodys(principal, wanted, cursor, size)
        after = None if cursor is None else _after(cursor)
        accounts = await self._holdings.readable(principal, wallet=wanted.wallet, asset=wanted.asset)
        narrowed = await self._filter(wanted)
        found, source = await self._reading.entries(
            sides=list(accounts.values()), filter=narrowed, after=after, limit=size + 1
        )
        items = await self._seen(principal, found[:size], accounts)
        if len(found) <= size:
            return TransactionPage(items, source=source)
        last = found[size - 1]
        return TransactionPage(items, paging.encode((last.recorded_at, last.account)), source)

    async def _everybodys(
        self, principal: Principal, wanted: TransactionFilter, cursor: str | None, size: int
    ) -> TransactionPage:
        """A page of what has happened in all wallets, whose number does not matter."""
        after = None if cursor is None else paging.decode(cursor, tuple[UUID, UUID])
        found = await self._ledger.entries_of_all(filter=await self._filter(wanted), after=after, limit=size + 1)
        sides = await self._resolution.holders(principal, {entry.account for entry in found})
        items = await self._seen(principal, found[:size], sides)
        last = found[size - 1] if len(found) > size else None
        return TransactionPage(items, None if last is None else paging.encode((last.transfer_id, last.account)))

    async def summary(self, *, principal: Principal, wanted: TransactionFilter) -> list[Summary]:
        """Count and sums of the transactions that `wanted` selects, for each asset.

        Raises:
            MissingScope, WalletUnknown, WalletNeeded, AssetUnknown, AssetNeeded, InvalidId, InvalidAmount, PeriodWrong
        """
        principal.require(contracts.READ)
        if principal.sees_everybody and wanted.wallet is None:
            found = await self._ledger.summaries_of_all(filter=await self._filter(wanted))
            return [
                domain.summary(sums, asset=await self._ledger.asset(code=code)) for code, sums in sorted(found.items())
            ]
        accounts = await self._holdings.readable(principal, wallet=wanted.wallet, asset=wanted.asset)
        narrowed = await self._filter(wanted)
        by_asset: dict[str, list[UUID]] = {}
        for account, side in accounts.items():
            by_asset.setdefault(side.asset, []).append(account)
        summaries = []
        for code in sorted(by_asset):
            sums = await self._ledger.summary(account_ids=by_asset[code], filter=narrowed)
            summaries.append(domain.summary(sums, asset=await self._ledger.asset(code=code)))
        return summaries

    async def transaction(
        self, *, principal: Principal, transaction_id: UUID, wallet: str | None = None
    ) -> Transaction:
        """A transaction as `wallet` saw it; or if that is not said, as the caller's wallet that it left, else entered.

        Raises:
            MissingScope, InvalidId, TransactionUnknown
        """
        principal.require(contracts.READ)
        wanted = None if wallet is None else str(ids.parse(wallet, pointer="wallet"))
        try:
            posted = await self._ledger.transfer(transfer_id=transaction_id)
        except ledger_errors.TransferUnknown:
            raise errors.TransactionUnknown from None
        sides = await self._resolution.holders(principal, [posted.debit_account, posted.credit_account])
        for entry in domain.entries(posted):
            side = sides.get(entry.account)
            if side is not None and (side.mine or principal.sees_everybody) and wanted in (None, side.wallet):
                looks.saw(own=side.mine)
                return (await self._seen(principal, [entry], sides))[0]
        raise errors.TransactionUnknown

    async def statement(
        self,
        *,
        principal: Principal,
        wallet_id: UUID,
        asset: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> tuple[StatementHead, AsyncIterator[list[Transaction]]]:
        """The opening balance, and all transactions of a period, the oldest first, in blocks: any number of them.

        Each transaction has the balance after it, so the last one's is the closing balance.

        Raises:
            MissingScope, WalletUnknown, AssetUnknown, AssetNeeded, PeriodWrong, InstantInFuture
        """
        principal.require(contracts.READ)
        code, account = await self._holdings.one_of_wallet(principal, wallet_id, asset=asset)
        # By the clock that entries are recorded by, so that the head says exactly where the lines end.
        now = await self._ledger.now()
        if until is not None and until > now:
            raise ledger_errors.InstantInFuture(pointer="until")
        until = until or now
        if since is not None and since > until:
            raise errors.PeriodWrong(pointer="until")
        opening = 0 if account is None else await self._balance_before(account, since, until)
        head = StatementHead(
            wallet=str(wallet_id),
            asset=code,
            since=since,
            until=until,
            opening_balance=money.format(opening, (await self._ledger.asset(code=code)).scale),
        )
        period = ledger.EntryFilter(recorded_from=since, recorded_to=until)
        sides = {} if account is None else {account: Side(account, str(wallet_id), code, mine=True)}
        return head, self._blocks(principal, sides, period)

    async def _balance_before(self, account: UUID, since: datetime | None, until: datetime) -> int:
        """The balance before `since`. What is still being posted before `until` is waited for: a statement is final."""
        ends = [at - clock.MICROSECOND for at in (since, until) if at is not None]
        found = await self._ledger.balances_recorded(points=[(account, at) for at in ends])
        return 0 if since is None else found[0].posted

    async def _blocks(
        self, principal: Principal, sides: Mapping[UUID, Side], period: ledger.EntryFilter
    ) -> AsyncIterator[list[Transaction]]:
        if sides:
            async for entries in self._ledger.stream_entries(account_ids=list(sides), filter=period):
                for start in range(0, len(entries), STATEMENT_BLOCK):
                    yield await self._seen(principal, entries[start : start + STATEMENT_BLOCK], sides)
                    # Whoever reads as fast as we write would otherwise keep all other requests waiting.
                    await asyncio.sleep(0)

    async def _seen(
        self, principal: Principal, entries: Sequence[ledger.Entry], sides: Mapping[UUID, Side]
    ) -> list[Transaction]:
        """Entries in the words of wallets."""
        others = await self._resolution.holders(principal, {entry.counterparty for entry in entries})
        assets = {side.asset: await self._ledger.asset(code=side.asset) for side in sides.values()}
        seen = []
        for entry in entries:
            side = sides[entry.account]
            other = others.get(entry.counterparty)
            seen.append(
                domain.transaction(
                    entry,
                    wallet=side.wallet,
                    counterparty=contracts.OUTSIDE if other is None else other.wallet,
                    asset=assets[side.asset],
                )
            )
        return seen

    async def _filter(self, wanted: TransactionFilter) -> ledger.EntryFilter:
        if wanted.asset is not None:
            await self._holdings.check_asset(wanted.asset)
        if wanted.since is not None and wanted.until is not None and wanted.until < wanted.since:
            raise errors.PeriodWrong(pointer="until")
        return ledger.EntryFilter(
            recorded_from=wanted.since,
            recorded_to=wanted.until,
            kinds=None if wanted.kind is None else frozenset([wanted.kind]),
            direction=wanted.direction,
            reference=wanted.reference,
            asset=wanted.asset,
            amount_min=await self._units(wanted, "amount_min", wanted.amount_min),
            amount_max=await self._units(wanted, "amount_max", wanted.amount_max),
        )

    async def _units(self, wanted: TransactionFilter, name: str, text: str | None) -> int | None:
        if text is None:
            return None
        if wanted.asset is None:
            raise errors.AssetNeeded("An amount means something only in an asset: say which.", pointer="asset")
        return money.parse(text, (await self._ledger.asset(code=wanted.asset)).scale, pointer=name)


def _after(cursor: str) -> tuple[datetime, UUID]:
    """The entry that a page ended with: when it was recorded, and in which account.

    Raises:
        InvalidCursor: it was not made of one.
    """
    recorded_at, account = paging.decode(cursor, tuple[datetime, UUID])
    try:
        return clock.checked(recorded_at), account
    except clock.InvalidInstant:
        raise paging.InvalidCursor(pointer="cursor") from None
