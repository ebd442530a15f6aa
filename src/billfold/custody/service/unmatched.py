"""Money of nobody known: listed for operators, who give it to the wallet that it was meant for."""

from __future__ import annotations

from uuid import UUID

import msgspec
import structlog

from billfold.custody import errors
from billfold.custody.contracts import Deposit
from billfold.custody.events.deposits import Assigned
from billfold.custody.service import telling
from billfold.custody.service.deposits import Deposits
from billfold.custody.service.house import House, WalletAccounts
from billfold.custody.service.keys import key
from billfold.custody.store import deposits as deposit_store
from billfold.custody.store import unmatched as store
from billfold.custody.store.deposits import Row
from billfold.custody.store.unmatched import Claim
from billfold.kernel import paging
from billfold.kernel.clock import Clock
from billfold.kernel.idempotency import IdempotencyKeyInUse
from billfold.ledger import Ledger
from billfold.ledger.contracts import NewTransfer
from billfold.ledger.errors import AccountClosed, BalanceTooLarge, LedgerError
from billfold.platform.postgres.database import Connection, Database

#: What a crash has left is finished so much at a time.
_AT_ONCE = 100
#: By these an account does not take what it is given. Frozen it takes it.
_REFUSALS = (AccountClosed, BalanceTooLarge)

log = structlog.get_logger(__name__)


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
            AccountClosed, BalanceTooLarge: the wallet can't take it, so the deposit stays nobody's.
            Unavailable: call it again.
        """
        async with self._database.transaction() as connection:
            row = await deposit_store.get(connection, deposit_id, lock=True)
            if row is None:
                raise errors.DepositUnknown
            claim = None
            if row.wallet_id != wallet_id:
                word = Assigned(wallet_id=wallet_id, asked_by=claimed_by, reason=reason)
                claim = await self._claim(connection, row, word)
        if claim is not None:
            await self._move(row, claim)
        return await self._deposits.deposit(deposit_id=deposit_id)

    async def _claim(self, connection: Connection, row: Row, word: Assigned) -> Claim | None:
        """Write who is given it; None where nothing has to be moved for that."""
        if row.kind != "unmatched":
            raise errors.DepositNotUnmatched
        if row.state == "detected":
            await store.give_early(connection, row.id, word.wallet_id)
            await self._tell(connection, row.id, "assigned", word)
            return None
        if row.state not in {"credited", "releasable"}:
            raise errors.DepositNotUnmatched("The deposit is being credited or taken back just now; look again.")
        accounts = await self._wallet_accounts(connection, {(word.wallet_id, row.asset)})
        claim, is_new = await store.add(
            connection,
            deposit_id=row.id,
            wallet_id=word.wallet_id,
            account_id=accounts[word.wallet_id, row.asset],
            claimed_by=word.asked_by,
            reason=word.reason,
            now=self._clock.now(),
        )
        if claim.wallet_id != word.wallet_id:
            raise errors.DepositNotUnmatched
        if is_new:
            await self._tell(connection, row.id, "assign_requested", word)
        return claim

    async def finish(self, *, chain: str) -> None:
        """Move what a crash has left of a chain, or end it: what an account does not take is nobody's, as before.

        Raises:
            Unavailable: call it again.
        """
        async with self._database.connection() as connection:
            claims = await store.open_(connection, chain, limit=_AT_ONCE)
        for row, claim in claims:
            try:
                await self._move(row, claim)
            except (*_REFUSALS, IdempotencyKeyInUse):
                # It has ended, or whoever has asked for it is about to move it.
                continue

    async def _move(self, row: Row, claim: Claim) -> None:
        """Have the ledger move it. What it refuses it has refused for this key, so the claim can't be done later."""
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
        # The first claim has none: whoever asked the ledger before there were others gave it none.
        numbers = (row.epoch, claim.attempt) if claim.attempt else (row.epoch,)
        word = Assigned(wallet_id=claim.wallet_id, asked_by=claim.claimed_by, reason=claim.reason)
        try:
            transfer = (await self._ledger.post(key=key("claim", row.id, *numbers), transfers=[new])).single()
        except _REFUSALS as refusal:
            await self._end(claim, word, refusal)
            raise
        async with self._database.transaction() as connection:
            await deposit_store.get(connection, claim.deposit_id, lock=True)
            if await store.moved(connection, claim, transfer.id):
                await self._tell(connection, claim.deposit_id, "assigned", word)

    async def _end(self, claim: Claim, word: Assigned, refusal: LedgerError) -> None:
        async with self._database.transaction() as connection:
            await deposit_store.get(connection, claim.deposit_id, lock=True)
            if await store.end(connection, claim, why=refusal.code):
                failed = msgspec.structs.replace(word, why=refusal.code)
                await self._tell(connection, claim.deposit_id, "assign_failed", failed)
                log.warning("a deposit could not be assigned", deposit=str(claim.deposit_id), why=refusal.code)

    async def _tell(self, connection: Connection, deposit_id: UUID, step: telling.Step, word: Assigned) -> None:
        row = await deposit_store.get(connection, deposit_id)
        assert row is not None, "it is locked"
        await telling.tell(connection, self._ledger, step, [row], now=self._clock.now(), assignment=word)
