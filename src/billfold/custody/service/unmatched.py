"""Money of nobody known: listed for operators, who give it to the wallet that it was meant for."""

from __future__ import annotations

from uuid import UUID

from billfold.custody import errors
from billfold.custody.contracts import Deposit
from billfold.custody.service.deposits import Deposits
from billfold.custody.service.house import House, WalletAccounts
from billfold.custody.service.keys import key
from billfold.custody.store import deposits as deposit_store
from billfold.custody.store import unmatched as store
from billfold.custody.store.deposits import Row
from billfold.custody.store.unmatched import Claim
from billfold.kernel import paging
from billfold.kernel.clock import Clock
from billfold.ledger import Ledger
from billfold.ledger import errors as ledger_errors
from billfold.ledger.contracts import NewTransfer
from billfold.platform.postgres.database import Connection, Database

#: What a crash has left is finished so much at a time.
_AT_ONCE = 100


class Unmatched:
    """Of all chains."""

    def __init__(
        self,
        *,
        deposits: Deposits,
        database: Database,
        ledger: Ledger,
        house: House,
        wallet_accounts: WalletAccounts,
        clock: Clock,
    ) -> None:
        self._deposits = deposits
        self._database = database
        self._ledger = ledger
        self._house = house
        self._wallet_accounts = wallet_accounts
        self._clock = clock

    async def page(self, *, cursor: str | None = None, limit: int | None = None) -> paging.Page[Deposit]:
        """What is nobody's, the newest first.

        Raises:
            InvalidCursor, InvalidLimit
        """
        return await self._deposits.page(wallet_id=None, kind="unmatched", cursor=cursor, limit=limit)

    async def assign(self, *, deposit_id: UUID, wallet_id: UUID, claimed_by: UUID, reason: str) -> Deposit:
        """Give a deposit to a wallet; again is no change.

        Raises:
            DepositUnknown
            DepositNotUnmatched: it is another's, or was taken back.
            AccountClosed, AccountFrozen: the wallet takes nothing now.
            Unavailable: call it again.
        """
        async with self._database.transaction() as connection:
            row = await deposit_store.get(connection, deposit_id, lock=True)
            if row is None:
                raise errors.DepositUnknown
            claim = None
            if row.wallet_id != wallet_id:
                claim = await self._claim(connection, row, wallet_id, claimed_by=claimed_by, reason=reason)
        if claim is not None:
            await self._move(row, claim)
        return await self._deposits.deposit(deposit_id=deposit_id)

    async def _claim(
        self, connection: Connection, row: Row, wallet_id: UUID, *, claimed_by: UUID, reason: str
    ) -> Claim | None:
        """Write who is given it; None where nothing has to be moved for that."""
        if row.kind != "unmatched":
            raise errors.DepositNotUnmatched
        if row.state == "detected":
            await store.give_early(connection, row.id, wallet_id)
            return None
        if row.state not in {"credited", "releasable"}:
            raise errors.DepositNotUnmatched("The deposit is being credited or taken back just now; look again.")
        accounts = await self._wallet_accounts(connection, {(wallet_id, row.asset)})
        claim = await store.add(
            connection,
            deposit_id=row.id,
            wallet_id=wallet_id,
            account_id=accounts[wallet_id, row.asset],
            claimed_by=claimed_by,
            reason=reason,
            now=self._clock.now(),
        )
        if claim.wallet_id != wallet_id:
            raise errors.DepositNotUnmatched
        return claim

    async def finish(self) -> None:
        """Move what a crash has left. What its account does not take stays for later.

        Raises:
            Unavailable: call it again.
        """
        async with self._database.connection() as connection:
            claims = await store.open_(connection, limit=_AT_ONCE)
        for row, claim in claims:
            try:
                await self._move(row, claim)
            except (ledger_errors.AccountFrozen, ledger_errors.AccountClosed):
                continue

    async def _move(self, row: Row, claim: Claim) -> None:
        new = NewTransfer(
            debit_account=await self._house.account(kind="suspense", asset=row.asset),
            credit_account=claim.account_id,
            amount=row.amount,
            asset=row.asset,
            kind="deposit",
            reference=row.chain_tx,
            metadata={"deposit": str(row.id), "chain": row.chain},
            # It is the wallet's by an operator's word, frozen or not.
            forced=True,
        )
        transfer = (await self._ledger.post(key=key("claim", row.id, row.epoch), transfers=[new])).single()
        async with self._database.transaction() as connection:
            await store.moved(connection, claim, transfer.id)
