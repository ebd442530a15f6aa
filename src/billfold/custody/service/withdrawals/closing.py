"""Step 12: what a transaction has cost the house, and what it has moved of the house's own, is posted and told.

All of it follows from rows that were stored before: the share of the fee, and the payments of the transaction that is
final. Each posting has a key of its own, made of the allocation's.
"""

from __future__ import annotations

from uuid import UUID

from billfold.chains.port import Chain
from billfold.custody.domain import withdrawals as rules
from billfold.custody.domain.withdrawals import Payment
from billfold.custody.events.treasury import TreasuryMoved, moved_event
from billfold.custody.service.withdrawals.parts import Overtaken, Parts
from billfold.custody.store import allocations, queue
from billfold.custody.store.allocations import AllocationRow
from billfold.custody.store.queue import Kind, Tx
from billfold.kernel import ids, money
from billfold.kernel.assets import Asset
from billfold.kernel.money import Money
from billfold.ledger.contracts import NewTransfer, TransferKind
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection

#: What the house does for itself; it is told of when it is final.
OWN_KINDS: frozenset[Kind] = frozenset({"sweep", "gas", "warm", "merge", "child"})


class Closing:
    """Ends allocations of which one transaction is final."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def close(self, chain: Chain, row: AllocationRow) -> None:
        """Post what is the house's part of it, once, and say that it is done.

        Raises:
            LedgerError: it is tried again.
        """
        async with self._parts.database.connection() as connection:
            final = next((tx for tx in await queue.txs(connection, row.id) if tx.state == "final"), None)
            assert final is not None, "there is one, or nothing would have to be posted"
            pays = [payment for payment, _ in await queue.payments(connection, final.id)]
        if row.house_fee:
            fees = await self._parts.fees(chain.coin)
            await self._post(
                row, "house-fee", (fees, await self._parts.omnibus(chain.coin)), (chain.coin, row.house_fee), "fee"
            )
        if final.kind == "open" and final.succeeded and (given := sum(payment.amount for payment in pays)):
            # It is on the chain still, and the house's: nobody else is paid from it.
            fees = await self._parts.fees(chain.coin)
            liquidity = await self._parts.house.account(kind="liquidity", asset=chain.coin)
            await self._post(row, "given", (fees, liquidity), (chain.coin, given), "transfer")
        if final.kind == "warm" and final.succeeded:
            for number, payment in enumerate(pays):
                asset = (await self._asset(chain, payment)).code
                warm = await self._parts.warm(asset)
                omnibus = await self._parts.omnibus(asset)
                await self._post(row, f"to-warm-{number}", (warm, omnibus), (asset, payment.amount), "transfer")
        async with self._parts.database.transaction() as connection:
            if await allocations.lock(connection, row.id, fence=row.fence) is None:
                raise Overtaken
            await allocations.change(connection, row.id, state="used", next_at=self._parts.now())
            if final.kind in OWN_KINDS and final.succeeded:
                await self._tell(connection, chain, row, final, pays[0] if pays else None)

    async def _post(
        self, row: AllocationRow, step: str, sides: tuple[UUID, UUID], moved: tuple[str, int], kind: TransferKind
    ) -> None:
        (debit, credit), (asset, amount) = sides, moved
        transfer = NewTransfer(
            debit_account=debit,
            credit_account=credit,
            amount=amount,
            asset=asset,
            kind=kind,
            reference=str(row.id),
        )
        (await self._parts.ledger.post(key=rules.key(row.id, step), transfers=[transfer])).single()

    async def _asset(self, chain: Chain, payment: Payment) -> Asset:
        if payment.token is None:
            return await self._parts.ledger.asset(code=chain.coin)
        known = (await self._parts.ledger.assets()).values()
        return next(one for one in known if one.chain == chain.name and one.contract == payment.token)

    async def _tell(
        self, connection: Connection, chain: Chain, row: AllocationRow, final: Tx, payment: Payment | None
    ) -> None:
        assert final.fee is not None and final.chain_tx is not None, "a block has it"
        asset = None if payment is None else await self._asset(chain, payment)
        moved = TreasuryMoved(
            movement_id=row.id,
            kind=final.kind,
            chain=chain.name,
            money=None if payment is None or asset is None else _written(payment.amount, asset),
            source=row.source,
            address=row.change or row.source if payment is None else payment.address,
            network_fee=_written(final.fee, await self._parts.ledger.asset(code=chain.coin)),
            chain_tx=final.chain_tx,
        )
        await outbox.append(connection, moved_event(event_id=str(ids.new()), moved=moved, time=self._parts.now()))


def _written(units: int, asset: Asset) -> Money:
    return Money(money.format(units, asset.scale), asset.code)
