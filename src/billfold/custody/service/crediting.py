"""Credits deposits that have their confirmations, and releases them later.

A row that names its key is committed before the ledger is asked; what a crash leaves in between is asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from billfold.custody.service import telling
from billfold.custody.service.house import House, HouseKind, WalletAccounts
from billfold.custody.service.keys import key
from billfold.custody.service.served import Served
from billfold.custody.store import crediting as store
from billfold.custody.store.deposits import Row
from billfold.kernel import money
from billfold.kernel.clock import Clock
from billfold.kernel.errors import BillfoldError
from billfold.ledger import Ledger
from billfold.ledger import errors as ledger_errors
from billfold.ledger.contracts import NewTransfer, Posting, Transfer
from billfold.platform.postgres.database import Connection, Database

#: Deposits of one turn: one database transaction before the ledger is asked, and one after.
AT_ONCE = 500
#: Deposits of a wallet that were too small are added up so many at a time.
SMALL_MAX = 5_000
#: What is the house's own is booked whatever it is.
_MAY_BE_SMALL = ("wallet", "unmatched")
#: What the account does not take now is tried again after this.
RETRY_AFTER = timedelta(seconds=30)
#: Where deposits go that are nobody's on purpose.
_ACCOUNTS: Mapping[str, HouseKind] = {"house": "liquidity", "warm": "warm"}


class Crediting:
    """Of one chain."""

    def __init__(
        self,
        *,
        served: Served,
        database: Database,
        ledger: Ledger,
        house: House,
        wallet_accounts: WalletAccounts,
        clock: Clock,
    ) -> None:
        self._served = served
        self._chain = served.name
        self._terms = served.terms
        self._database = database
        self._ledger = ledger
        self._house = house
        self._wallet_accounts = wallet_accounts
        self._clock = clock

    async def prepare(self, assets: Iterable[str]) -> None:
        """Open the house's accounts beforehand."""
        kinds: Sequence[HouseKind] = ("omnibus", "suspense", "liquidity", "warm")
        for asset in assets:
            for kind in kinds:
                await self._house.account(kind=kind, asset=asset)

    async def run(self, height: int) -> None:
        """Credit all that has its confirmations now.

        Raises:
            Unavailable: call it again.
        """
        while asked := await self._start(height):
            await self._ask(asked)

    async def finish(self) -> None:
        """Ask again what nobody has written down the answer of.

        Raises:
            Unavailable: call it again.
        """
        async with self._database.connection() as connection:
            asked = await store.asked(connection, self._chain, state="crediting", limit=AT_ONCE)
        if asked:
            await self._ask(asked)

    async def release(self, height: int) -> None:
        """Let what is old enough leave on chains."""
        while True:
            now = self._clock.now()
            async with self._database.transaction() as connection:
                released = await store.release(
                    connection,
                    self._chain,
                    height=height,
                    release_after=self._terms.release_after,
                    swept=self._served.swept,
                    now=now,
                    limit=AT_ONCE,
                )
                await telling.tell(connection, self._ledger, "releasable", released, now=now)
            if len(released) < AT_ONCE:
                return

    async def _start(self, height: int) -> Sequence[Row]:
        """Choose what is to be credited, and write that the ledger is asked."""
        async with self._database.transaction() as connection:
            while True:
                ripe = await store.ripe(
                    connection,
                    self._chain,
                    height=height,
                    credit_after=self._terms.credit_after,
                    now=self._clock.now(),
                    limit=AT_ONCE,
                )
                chosen = await self._large_enough(connection, ripe, height)
                if chosen or len(ripe) < AT_ONCE:
                    break
            if not chosen:
                return ()
            accounts = await self._accounts(connection, chosen)
            return await store.start_crediting(connection, list(accounts), list(accounts.values()))

    async def _large_enough(self, connection: Connection, ripe: Sequence[Row], height: int) -> list[Row]:
        """What reaches its minimum, by itself or with others of its wallet; the rest waits for these.

        What is nobody's waits for who is given it: anybody may send any number of such small sums without a memo.
        """
        minimum = {asset: await self._minimum(asset) for asset in {row.asset for row in ripe}}
        small = [row for row in ripe if row.kind in _MAY_BE_SMALL and row.amount < minimum[row.asset]]
        chosen = {row.id: row for row in ripe}
        if not small:
            return list(chosen.values())
        await store.hold_up(connection, small, waits="below_minimum", retry_at=None)
        for row in small:
            del chosen[row.id]
        for wallet_id, asset in sorted({(row.wallet_id, row.asset) for row in small if row.wallet_id is not None}):
            together = await store.small(
                connection,
                self._chain,
                wallet_id=wallet_id,
                asset=asset,
                height=height,
                credit_after=self._terms.credit_after,
                limit=SMALL_MAX,
            )
            if sum(row.amount for row in together) >= minimum[asset]:
                chosen.update({row.id: row for row in together})
        return list(chosen.values())

    async def _minimum(self, asset: str) -> int:
        text = self._terms.minimum.get(asset)
        return 0 if text is None else money.threshold(text, (await self._ledger.asset(code=asset)).scale)

    async def _accounts(self, connection: Connection, rows: Sequence[Row]) -> dict[UUID, UUID]:
        """Which account each deposit goes to."""
        pairs = {(row.wallet_id, row.asset) for row in rows if row.wallet_id is not None}
        of_wallets: Mapping[tuple[UUID, str], UUID] = await self._wallet_accounts(connection, pairs) if pairs else {}
        found = {}
        for row in rows:
            if row.wallet_id is not None:
                found[row.id] = of_wallets[row.wallet_id, row.asset]
            else:
                kind = _ACCOUNTS.get(row.kind, "suspense")
                found[row.id] = await self._house.account(kind=kind, asset=row.asset)
        return found

    async def _ask(self, rows: Sequence[Row]) -> None:
        asked = [(key("credit", row.id, row.epoch, row.attempt), await self._transfer(row)) for row in rows]
        answers = await self._ledger.post_many(requests=asked)
        now = self._clock.now()
        done: list[tuple[Row, UUID]] = []
        lost: BillfoldError | None = None
        async with self._database.transaction() as connection:
            for row, answer in zip(rows, answers, strict=True):
                result = answer.results[0] if isinstance(answer, Posting) else answer
                if isinstance(result, Transfer):
                    done.append((row, result.id))
                elif not await self._refused(connection, row, result):
                    lost = result
            credited = await store.credited(connection, done, now=now)
            await telling.tell(connection, self._ledger, "credited", credited, now=now)
        if lost is not None:
            raise lost

    async def _transfer(self, row: Row) -> NewTransfer:
        assert row.account_id is not None, "it was written before"
        return NewTransfer(
            debit_account=await self._house.account(kind="omnibus", asset=row.asset),
            credit_account=row.account_id,
            amount=row.amount,
            asset=row.asset,
            kind="deposit",
            reference=row.chain_tx,
            metadata={"deposit": str(row.id), "chain": row.chain},
            # What the ledger took back has frozen the account, and comes back to it all the same.
            forced=row.epoch > 0,
        )

    async def _refused(self, connection: Connection, row: Row, refusal: BillfoldError) -> bool:
        """Let a deposit wait that its account does not take now; False if that is no answer of the ledger."""
        retry_at = self._clock.now() + RETRY_AFTER
        if isinstance(refusal, ledger_errors.AccountFrozen):
            await store.hold_up(connection, [row], waits="account_frozen", retry_at=retry_at)
        elif isinstance(refusal, ledger_errors.BalanceTooLarge):
            await store.hold_up(connection, [row], waits="balance_too_large", retry_at=retry_at)
        elif isinstance(refusal, ledger_errors.AccountClosed):
            await store.to_suspense(connection, row)
        else:
            return False
        return True
