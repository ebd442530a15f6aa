"""What our own books say at one instant: how far the chain is read, what the ledger owes, and what is on its way.

The ledger posts to the account of what a chain holds only for rows that say so beforehand. So the account is looked at,
then the rows, then for each row that is being posted whether its key was answered, and then the account again: where
its entries are as many as before, nothing was posted in between, and all of it is of one instant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from billfold.chains.port import Coin
from billfold.custody.contracts.reconciling import IDS_MAX
from billfold.custody.domain import withdrawals as rules
from billfold.custody.domain.reconciling import Paid, Terms
from billfold.custody.service.house import House
from billfold.custody.service.keys import key
from billfold.custody.service.recording import KEPT_DEPTHS
from billfold.custody.service.served import Served
from billfold.custody.store import cursors, flux, holdings, sources
from billfold.custody.store.allocations import AllocationRow
from billfold.custody.store.cursors import Cursor
from billfold.custody.store.deposits import Row as Deposit
from billfold.custody.store.flux import Summed
from billfold.custody.store.queue import Tx
from billfold.custody.store.withdrawals import Hold
from billfold.custody.store.withdrawals import Row as Withdrawal
from billfold.kernel.assets import Asset
from billfold.kernel.idempotency import Key
from billfold.ledger import Ledger
from billfold.ledger.contracts import HoldChange, Posting, Transfer
from billfold.platform.postgres.database import Connection, Database

#: More that is on its way at once is not looked at: each may take a question to a node and one to the ledger.
ON_THEIR_WAY_MAX = 2_000
#: Between two postings there is mostly time; a ledger that never pauses is waited for no longer than so many looks.
LOOKS_MAX = 40
_LOOK_PAUSE_S = 0.05
_WAITS = {None: "deposits_unconfirmed", "below_minimum": "deposits_below_minimum"}


class Unsettled(Exception):
    """It can't be said now; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Rows(msgspec.Struct, kw_only=True):
    """What custody has stored, at one instant."""

    cursor: Cursor
    house: Mapping[str, Sequence[str]]
    #: What addresses or coins hold, by token, and what of that lies at each purpose's addresses.
    held: Mapping[str, int]
    places: Mapping[str, Mapping[str, int]]
    missing: Sequence[Coin]
    uncredited: Sequence[Summed]
    gone: Sequence[Summed]
    asked: Sequence[Deposit]
    unlisted: Sequence[Summed]
    allocations: Sequence[AllocationRow]
    txs: Mapping[UUID, Sequence[Tx]]
    pays: Mapping[UUID, Sequence[UUID]]
    withdrawals: Mapping[UUID, Sequence[Withdrawal]]
    holds: Mapping[UUID, Sequence[Hold]]
    #: What allocations bring to the operator's own warm address, by token.
    to_warm: Mapping[UUID, tuple[str | None, int]]


class Books(msgspec.Struct, kw_only=True):
    """All of it, with the answers of the ledger."""

    rows: Rows
    #: What the ledger owes of what came from elsewhere, by a chain or not, by asset.
    owed: Mapping[str, int]
    #: What is explained by deposits and the like; what was sent is explained when the chain has been asked for it.
    terms: Terms
    #: The withdrawals that share each allocation, and what of its fee was posted from the house's.
    paid: Mapping[UUID, Sequence[Paid]]
    house_fees: Mapping[UUID, int]


class Keeper:
    """Of one chain."""

    def __init__(self, *, served: Served, database: Database, ledger: Ledger, house: House) -> None:
        self._served = served
        self._chain = served.name
        self._database = database
        self._ledger = ledger
        self._house = house

    async def assets(self) -> Sequence[Asset]:
        """Those of the chain, its coin first."""
        coin = self._served.chain.coin
        found = [one for one in (await self._ledger.assets()).values() if one.chain == self._chain]
        listed = [one for one in found if one.code == coin or one.contract is not None]
        return sorted(listed, key=lambda one: (one.code != coin, one.code))

    async def opened(self, assets: Sequence[Asset]) -> Books:
        """What the books say now.

        Raises:
            Unsettled, Unavailable.
        """
        accounts = {one.code: await self._house.account(kind="omnibus", asset=one.code) for one in assets}
        # What was booked from the world outside is owed as what came by a chain is, and is on none.
        outside = [await self._ledger.external_account(asset=one.code) for one in assets]
        wanted = [*accounts.values(), *outside]
        for _ in range(LOOKS_MAX):
            before = await self._ledger.accounts(ids=wanted)
            rows = await self._read([one.contract for one in assets if one.contract is not None])
            books = await self._answered(rows, assets, accounts)
            after = await self._ledger.accounts(ids=wanted)
            if [one.version for one in before] == [one.version for one in after]:
                owed = dict.fromkeys(accounts, 0)
                for one in after:
                    owed[one.asset] -= one.posted
                books.owed = owed
                return books
            await asyncio.sleep(_LOOK_PAUSE_S)
        raise Unsettled("ledger_busy")

    async def _read(self, tokens: Sequence[str]) -> Rows:
        async with self._database.transaction() as connection:
            await flux.freeze(connection)
            cursor = await cursors.get(connection, self._chain)
            if cursor is None:
                raise Unsettled("chain_not_read")
            if cursor.halted is not None:
                raise Unsettled("chain_halted")
            house = await sources.house(connection, self._chain)
            if self._served.chain.model != "coins":
                await self._fold(connection, cursor, tokens)
            held, places = await self._held(connection, house)
            found = await flux.allocations(connection, self._chain, height=cursor.height, limit=ON_THEIR_WAY_MAX + 1)
            asked = await flux.asked(connection, self._chain, limit=ON_THEIR_WAY_MAX + 1)
            if max(len(found), len(asked)) > ON_THEIR_WAY_MAX:
                raise Unsettled("too_much_on_its_way")
            shared = await flux.withdrawals(connection, [one.id for one in found])
            settling = [one.id for rows in shared.values() for one in rows if one.state == "settling"]
            ids = [one.id for one in found]
            return Rows(
                cursor=cursor,
                house=house,
                held=held,
                places=places,
                missing=await holdings.missing_coins(connection, self._chain, limit=IDS_MAX),
                uncredited=await flux.uncredited(connection, self._chain),
                gone=await flux.gone(connection, self._chain),
                asked=asked,
                unlisted=await flux.unlisted(connection, self._chain, tokens),
                allocations=found,
                txs=await flux.txs(connection, ids),
                pays=await flux.pays(connection, ids),
                to_warm=await flux.to_warm(connection, ids),
                withdrawals=shared,
                holds=await flux.holds(connection, settling),
            )

    async def _fold(self, connection: Connection, cursor: Cursor, tokens: Sequence[str]) -> None:
        """See which addresses the blocks have moved that were read since; after a reorganisation, more than these."""
        after = cursor.first_height - 1
        last = await holdings.folded(connection, self._chain)
        if last is not None:
            after = last[0]
            if not await holdings.is_known(connection, self._chain, last):
                after = max(after - self._served.terms.reorg_limit * KEPT_DEPTHS, cursor.first_height - 1)
                await holdings.doubt(connection, self._chain, above=after)
        await holdings.fold(connection, self._chain, after=after, height=cursor.height, tokens=tokens)
        await holdings.set_folded(connection, self._chain, (cursor.height, cursor.hash))

    async def _held(
        self, connection: Connection, house: Mapping[str, Sequence[str]]
    ) -> tuple[Mapping[str, int], Mapping[str, Mapping[str, int]]]:
        """All of it by token; and where it lies, by token and purpose."""
        is_coins = self._served.chain.model == "coins"

        async def sums(addresses: Sequence[str] | None) -> Mapping[str, int]:
            if is_coins:
                return {"": await holdings.coins_sum(connection, self._chain, addresses=addresses)}
            return await holdings.sums(connection, self._chain, addresses=addresses)

        held = await sums(None)
        places: dict[str, dict[str, int]] = {}
        for purpose, addresses in house.items():
            for token, units in (await sums(addresses)).items():
                places.setdefault(token, {})[purpose] = units
        for token, units in held.items():
            elsewhere = units - sum(places.get(token, {}).values())
            if elsewhere:
                places.setdefault(token, {})["deposit"] = elsewhere
        return held, places

    async def _answered(self, rows: Rows, assets: Sequence[Asset], accounts: Mapping[str, UUID]) -> Books:
        terms = Terms()
        codes = {one.contract or "": one.code for one in assets}
        for one in rows.uncredited:
            terms.term(one.of, _WAITS.get(one.waits, "deposits_held_up")).add(one.units, one.ids, count=one.count)  # type: ignore[arg-type]
        for one in rows.gone:
            terms.term(one.of, "deposits_to_be_taken_back").add(-one.units, one.ids, count=one.count)
        for one in rows.unlisted:
            terms.term(codes[one.of], "unlisted_token").add(one.units, one.ids, count=one.count)
        for deposit in rows.asked:
            await self._of_asked(terms, deposit)
        for coin in rows.missing:
            name = f"{coin.chain_tx}:{coin.index}"
            terms.term(codes[""], "coins_missing").add(0, [name], on_its_way=coin.amount)
        return Books(
            rows=rows,
            owed={},
            terms=terms,
            paid={one.id: await self._paid(rows, one, accounts) for one in rows.allocations},
            house_fees={one.id: await self._house_fee(one) for one in rows.allocations},
        )

    async def _of_asked(self, terms: Terms, row: Deposit) -> None:
        """A deposit that the ledger is being asked for: it counts by whether the ledger has done it."""
        in_ledger = row.state == "reverting"
        if row.state == "crediting":
            if await self._is_posted(key("credit", row.id, row.epoch, row.attempt)):
                in_ledger = True
        elif await self._is_posted(key("revert", row.id, row.epoch)) or await self._is_posted(
            key("revert.house", row.id, row.epoch)
        ):
            in_ledger = False
        units = row.amount * ((row.height is not None) - in_ledger)
        if units:
            crediting = row.state == "crediting"
            name = terms.term(row.asset, "deposits_being_credited" if crediting else "deposits_being_taken_back")
            name.add(units, [str(row.id)])

    async def _paid(self, rows: Rows, allocation: AllocationRow, accounts: Mapping[str, UUID]) -> list[Paid]:
        shared = [
            Paid(
                id=one.id,
                asset=one.asset,
                token=one.token,
                amount=one.amount,
                opening=one.opening,
                posted=await self._posted(one, rows.holds.get(one.id, ()), accounts[one.asset]),
            )
            for one in rows.withdrawals.get(allocation.id, ())
        ]
        return [*shared, *await self._to_warm(rows, allocation)]

    async def _to_warm(self, rows: Rows, allocation: AllocationRow) -> list[Paid]:
        """What leaves for the operator's own warm address, as if it were a withdrawal of the allocation's id."""
        if allocation.id not in rows.to_warm:
            return []
        token, amount = rows.to_warm[allocation.id]
        assets = await self.assets()
        coin = self._served.chain.coin
        asset = coin if token is None else next(one.code for one in assets if one.contract == token)
        posted = await self._is_posted(rules.key(allocation.id, "to-warm-0"))
        return [
            Paid(
                id=allocation.id,
                asset=asset,
                token=token,
                amount=amount,
                opening=0,
                posted=amount if posted else 0,
            )
        ]

    async def _posted(self, row: Withdrawal, holds: Sequence[Hold], omnibus: UUID) -> int:
        """What the ledger has posted of it as gone: step by step, where it is being settled."""
        if row.state not in ("settling", "settled", "failed", "cancelled") or row.outcome is None:
            return 0
        left = (row.fee_paid or 0 if row.token is None else 0) + (row.amount if row.outcome == "paid" else 0)
        if row.state != "settling" or not left:
            return left
        if any(hold.hold_id is None for hold in holds):
            raise Unsettled("hold_unknown")
        earned = row.service_fee if row.outcome == "paid" else 0
        if row.wallet_id is None and row.outcome == "paid":
            # The steps are those of `ending`: of a refund the house has the rest.
            earned = row.total - left
        dues = [rules.Due(omnibus, left)]
        if earned:
            dues.append(rules.Due(await self._house.account(kind="fees", asset=row.asset), earned))
        placed = [rules.Held(hold.hold_id, hold.amount) for hold in holds if hold.hold_id is not None]
        steps = enumerate(rules.plan(placed, dues))
        done = [
            step.amount
            for number, step in steps
            if step.account == omnibus and await self._is_posted(rules.key(row.id, f"end-{number}"))
        ]
        return sum(done)

    async def _house_fee(self, row: AllocationRow) -> int:
        if not row.house_fee or row.state not in ("settling", "used"):
            return 0
        if row.state == "settling" and not await self._is_posted(rules.key(row.id, "house-fee")):
            return 0
        return row.house_fee

    async def _is_posted(self, asked: Key) -> bool:
        """Whether the ledger has done what it was asked for under a key."""
        answer = await self._ledger.look_up(digest=asked.digest)
        if isinstance(answer, Posting):
            return isinstance(answer.results[0], Transfer)
        return isinstance(answer, HoldChange)
