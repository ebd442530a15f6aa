"""Takes back what was credited and no block has any more. By new entries, forced: the chain does not ask either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import structlog

from billfold.custody.service import telling
from billfold.custody.service.house import House
from billfold.custody.service.keys import key
from billfold.custody.service.served import Served
from billfold.custody.store import crediting as store
from billfold.custody.store.deposits import Row
from billfold.kernel.clock import Clock
from billfold.kernel.errors import BillfoldError
from billfold.ledger import Ledger
from billfold.ledger import errors as ledger_errors
from billfold.ledger.contracts import NewTransfer, Transfer
from billfold.platform.postgres.database import Connection, Database

AT_ONCE = 500

log = structlog.get_logger(__name__)


class FreezeWallet(Protocol):
    """How custody has a wallet frozen, in its own database transaction; one that is not open stays as it is."""

    async def __call__(self, connection: Connection, wallet_id: UUID) -> None:
        """Freeze it."""
        ...


class Reverting:
    """Of one chain."""

    def __init__(
        self,
        *,
        served: Served,
        database: Database,
        ledger: Ledger,
        house: House,
        freeze_wallet: FreezeWallet,
        clock: Clock,
    ) -> None:
        self._chain = served.name
        self._database = database
        self._ledger = ledger
        self._house = house
        self._freeze_wallet = freeze_wallet
        self._clock = clock

    async def run(self) -> None:
        """Take back all that is gone. To be called when the chain has been read to its end: until then it may return.

        Raises:
            Unavailable: call it again.
        """
        while gone := await self._start():
            await self._ask(gone)

    async def finish(self) -> None:
        """Ask again what nobody has written down the answer of.

        Raises:
            Unavailable: call it again.
        """
        async with self._database.connection() as connection:
            asked = await store.asked(connection, self._chain, state="reverting", limit=AT_ONCE)
        if asked:
            await self._ask(asked)

    async def _start(self) -> Sequence[Row]:
        """Write that the ledger is asked. Wallets are frozen with it, so that nothing leaves them in between."""
        async with self._database.transaction() as connection:
            gone = await store.start_reverting(connection, self._chain, limit=AT_ONCE)
            for wallet_id in sorted({row.wallet_id for row in gone if row.wallet_id is not None}):
                await self._freeze_wallet(connection, wallet_id)
        return gone

    async def _ask(self, rows: Sequence[Row]) -> None:
        done = [(row, (await self._taken_back(row)).id) for row in rows]
        now = self._clock.now()
        async with self._database.transaction() as connection:
            reverted = await store.reverted(connection, done, now=now)
            await telling.tell(connection, self._ledger, "reverted", reverted, now=now)
            again = await store.begin_anew(connection, [row.id for row in reverted], now=now)
            await telling.tell(connection, self._ledger, "detected", again, now=now)
        for row in reverted:
            log.warning(
                "a deposit that was credited is not on the chain any more", chain=row.chain, deposit=str(row.id)
            )

    async def _taken_back(self, row: Row) -> Transfer:
        """The transfer that takes it back: from its account, or from the house's own where that is closed for ever.

        Raises:
            Unavailable: nobody knows yet.
        """
        assert row.account_id is not None, "it was credited"
        try:
            return await self._post(row, "revert", row.account_id)
        except ledger_errors.AccountClosed:
            return await self._post(row, "revert.house", await self._house.account(kind="liquidity", asset=row.asset))

    async def _post(self, row: Row, step: str, account: UUID) -> Transfer:
        new = NewTransfer(
            debit_account=account,
            credit_account=await self._house.account(kind="omnibus", asset=row.asset),
            amount=row.amount,
            asset=row.asset,
            # No `reversal`: one stands for a transfer that people may ask about, and is bound to what that left.
            kind="adjustment",
            reference=row.chain_tx,
            metadata={"deposit": str(row.id), "chain": row.chain},
            forced=True,
        )
        (answer,) = await self._ledger.post_many(requests=[(key(step, row.id, row.epoch), new)])
        if isinstance(answer, BillfoldError):
            raise answer
        return answer.single()
