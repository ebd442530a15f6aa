"""The ledger's facade: one method per use case."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from uuid import UUID

import structlog

from billfold.kernel.errors import BillfoldError
from billfold.kernel.idempotency import Key
from billfold.ledger import errors
from billfold.ledger.contracts import (
    GROUP_MAX,
    HoldChange,
    NewHold,
    NewTransfer,
    Posting,
    Transfer,
    Unopened,
    Verification,
    Watched,
)
from billfold.ledger.errors import LedgerError
from billfold.ledger.service import commands, replaying, verification
from billfold.ledger.service.accounts import Accounts
from billfold.ledger.service.journal import Journal
from billfold.ledger.service.posting import Poster
from billfold.ledger.service.reader import Reader
from billfold.ledger.service.watching import Watching
from billfold.ledger.store import batch as batch_store
from billfold.platform.postgres.database import Connection, Database

log = structlog.get_logger(__name__)


class Ledger(Accounts, Reader):
    """Accounts, transfers, holds, and balances now and at any instant.

    Amounts are whole smallest units. What moves money takes an idempotency key; the same key again gets the same
    answer, refusals too, and posts nothing. Everything that is returned has been committed.
    """

    #: Whether another process does it.
    is_remote = False
    _poster: Poster
    _watching: Watching

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._journal = Journal(self.assets_known)
        #: Turns the outbox's pointers to batches into events.
        self.expand = self._journal.expand
        #: The same for each kind of row that a batch may leave, or may have left in an earlier version.
        self.expanders = self._journal.expanders

    @classmethod
    async def start(cls, *, database: Database) -> Ledger:
        """A ledger on `database`, ready to post; must be closed."""
        ledger = cls(database)
        ledger._poster = Poster(database, journal=ledger._journal)
        ledger._watching = Watching(database)
        await ledger.assets()
        return ledger

    async def close(self) -> None:
        """Finish what waits."""
        await self._watching.close()
        await self._poster.close()

    async def check(self) -> None:
        """Pass if it can be reached; in this process it always can."""

    async def post(self, *, key: Key, transfers: Sequence[NewTransfer | LedgerError], atomic: bool = True) -> Posting:
        """Post 1 to 1,000 transfers: all or nothing, or (not `atomic`) each that fits.

        A refused transfer stands in the results at its place; see Posting.single. One that `rehearse` has found
        refused is given as its refusal, to be kept with the others; of a group that is all of them.

        Raises:
            IdempotencyKeyReused, IdempotencyKeyInUse, Overloaded, OutcomeUnknown, DatabaseUnavailable.
        """
        assert 1 <= len(transfers) <= GROUP_MAX, "callers check the length"
        posting: Posting = await self._poster.submit(commands.Post(key, transfers, atomic=atomic))
        return posting

    async def post_many(
        self, *, requests: Sequence[tuple[Key, NewTransfer | LedgerError]]
    ) -> list[Posting | BillfoldError]:
        """Post many requests, each on its own and under its own key, and answer each at its place.

        The ledger's refusals stand in the postings; what is no answer of the ledger (a key reused or in use, too much
        waiting, the database away, a defect of ours) stands as its error. Others were posted, so none may hide them.
        """
        waiting: list[asyncio.Future[Posting] | BillfoldError] = []
        for key, new in requests:
            try:
                waiting.append(self._poster.enqueue(commands.Post(key, (new,), atomic=True)))
            except BillfoldError as error:
                waiting.append(error)
        outcomes: list[Posting | BillfoldError] = []
        for answer in waiting:
            try:
                outcomes.append(answer if isinstance(answer, BillfoldError) else await answer)
            except BillfoldError as error:
                outcomes.append(error)
            except Exception:  # noqa: BLE001 - the writer has logged it
                outcomes.append(errors.RequestFailed())
        return outcomes

    async def answered(self, *, keys: Iterable[Key]) -> set[UUID]:
        """The digests of those keys that have an answer."""
        async with self._database.connection() as connection:
            known = await batch_store.answered(connection, [key.digest for key in keys])
        return {digest for digest, answered in known.items() if not answered.is_reserved}

    async def reserve(self, *, keys: Sequence[Key], transaction: Connection) -> None:
        """Let each key stand for its request alone from COMMIT on: used for anything else it is refused as reused.

        It belongs to who accepts a request to post it later. Whoever posts it with this key sooner has posted it.
        """
        await batch_store.reserve(transaction, keys)

    async def unreserve(self, *, keys: Iterable[Key], transaction: Connection) -> None:
        """Forget reservations of keys that have an answer by now."""
        await batch_store.unreserve(transaction, [key.digest for key in keys])

    async def look_up(self, *, digest: UUID) -> replaying.Answer | None:
        """What was answered under the key that is known by `digest`; None if nothing was.

        A request that is being worked on may be answered a moment later.
        """
        async with self._database.connection() as connection:
            return await replaying.answer(connection, digest)

    async def rehearse(
        self, *, transfers: Sequence[NewTransfer], unopened: Sequence[Unopened], atomic: bool
    ) -> Sequence[Transfer | LedgerError]:
        """What `post` would answer if the `unopened` accounts were there. Nothing is posted or kept.

        Raises:
            Overloaded, DatabaseUnavailable, OutcomeUnknown.
        """
        command = commands.Post(None, transfers, atomic=atomic)
        posting: Posting = await self._poster.submit(commands.Rehearse(command, unopened))
        return posting.results

    async def void(self, *, key: Key) -> Posting:
        """See to it that nothing is posted under `key` any more: its answer is Voided, for ever and for everybody.

        An answer that it has already stands, and is what this returns. Of a posting and a void that race, one wins.
        """
        posting: Posting = await self._poster.submit(commands.Void(key))
        return posting

    async def reverse(self, *, key: Key, transfer_id: UUID, amount: int | None) -> Posting:
        """Post the opposite of a transfer, or of `amount` of it; None is all that is left of it.

        Raises:
            TransferUnknown, TransferNotReversible, ReversalExceedsTransfer, and whatever refuses a transfer.
        """
        posting: Posting = await self._poster.submit(commands.Reverse(key, transfer_id, amount))
        return posting

    async def place_hold(self, *, key: Key, hold: NewHold) -> HoldChange:
        """Set money aside.

        Raises:
            AccountUnknown, AssetMismatch, AccountClosed, AccountFrozen, ExpiryInPast, InsufficientFunds.
        """
        change: HoldChange = await self._poster.submit(commands.PlaceHold(key, hold))
        return change

    async def settle_hold(
        self,
        *,
        key: Key,
        hold_id: UUID,
        credit_account: UUID,
        amount: int | None,
        release_rest: bool,
        forced: bool = False,
    ) -> HoldChange:
        """Move held money, `amount` or all that is left, to an account; `release_rest` gives the remainder back.

        What has happened already is `forced`, as in a NewTransfer.

        Raises:
            HoldUnknown, HoldEnded, SettlementExceedsHold, and whatever refuses a transfer.
        """
        change: HoldChange = await self._poster.submit(
            commands.SettleHold(
                key, hold_id, credit_account=credit_account, amount=amount, release_rest=release_rest, forced=forced
            )
        )
        return change

    async def refusal_of_hold(self, *, hold: NewHold, unopened: Unopened) -> LedgerError:
        """What refuses to set money aside on an account that is not there yet: there is nothing in it.

        Raises:
            Overloaded, DatabaseUnavailable, OutcomeUnknown.
        """
        refusal = await self._refusal(commands.PlaceHold(None, hold), unopened)
        assert refusal is not None, "an empty account has nothing to set aside"
        return refusal

    async def refusal_of_settlement(
        self, *, hold_id: UUID, unopened: Unopened, amount: int | None, release_rest: bool
    ) -> LedgerError | None:
        """What would refuse to settle a hold to an account that is not there yet, if anything would.

        Raises:
            Overloaded, DatabaseUnavailable, OutcomeUnknown.
        """
        return await self._refusal(
            commands.SettleHold(None, hold_id, credit_account=unopened.id, amount=amount, release_rest=release_rest),
            unopened,
        )

    async def _refusal(self, command: commands.Command, unopened: Unopened) -> LedgerError | None:
        try:
            await self._poster.submit(commands.Rehearse(command, [unopened]))
        except (errors.Overloaded, errors.OutcomeUnknown):
            raise
        except LedgerError as refusal:
            return refusal
        return None

    async def refuse(self, *, key: Key, refusal: LedgerError) -> HoldChange:
        """Refuse what `key` stands for with what was found before, and keep that; or answer as it was answered.

        Raises:
            LedgerError: `refusal`, or what it was refused with before.
            IdempotencyKeyReused, IdempotencyKeyInUse, DatabaseUnavailable.
        """
        change: HoldChange = await self._poster.submit(commands.Refuse(key, refusal))
        return change

    async def release_hold(self, *, key: Key, hold_id: UUID) -> HoldChange:
        """Give held money back.

        Raises:
            HoldUnknown, HoldEnded.
        """
        change: HoldChange = await self._poster.submit(commands.ReleaseHold(key, hold_id))
        return change

    async def expire_holds(self, *, limit: int) -> int:
        """Give back the money of up to `limit` holds whose time is over, and say how many. Safe to run anywhere."""
        async with self._database.connection() as connection:
            due = await batch_store.due_holds(connection, limit)
        waiting = [self._poster.enqueue(commands.ExpireHold(None, hold_id)) for hold_id in due]
        expired = 0
        for hold_id, outcome in zip(due, await asyncio.gather(*waiting, return_exceptions=True), strict=True):
            if isinstance(outcome, errors.HoldEnded):
                log.debug("another process ended the hold first", hold=str(hold_id))
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                expired += 1
        return expired

    def watch(self, *, account_id: UUID, after: datetime | None = None) -> AsyncIterator[Watched]:
        """The account as it is, and whenever it changes, with its entries since then or since `after`; without end.

        Nothing is kept for a reader who falls behind: the next look gives all that there is by then, in blocks.

        Raises:
            AccountUnknown: there is no such account.
            Overloaded: too many are being watched.
            DatabaseUnavailable: go on with the recorded_at of the last entry that came.
        """
        return self._watching.watch(account_id, after)

    async def verify(self, *, progress: verification.Progress | None = None, share: float = 1) -> Verification:
        """Derive every balance and version again from the entries; `progress` gets (entries done, of).

        It keeps PostgreSQL at work for `share` of the time: 1 is full speed.
        """
        return await verification.verify(self._database, progress, share=share)
