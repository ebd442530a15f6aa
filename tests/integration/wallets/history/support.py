"""Wallets whose lists of transactions are read in the journal or in the copy, and what brings the copy up to date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from billfold.identity import events as identity_events
from billfold.kernel import ids
from billfold.kernel.clock import Clock, SystemClock
from billfold.kernel.events import Event
from billfold.kernel.principal import Principal
from billfold.ledger import OUTBOX_KIND, Ledger
from billfold.platform.cql import Session
from billfold.platform.messaging import cloudevents, outbox
from billfold.platform.postgres.database import Database
from billfold.wallets import CqlHistory, Wallets
from billfold.wallets.contracts import HistorySource, Transaction, TransactionFilter
from billfold.wallets.service.history import HistoryCopy
from billfold.wallets.service.resolution import Resolution
from tests.integration.wallets.support import wallet_of

#: How many rows of the outbox are read at a time.
_BLOCK = 1_000


@dataclass
class Histories:
    """The same wallets twice: one facade reads the journal, the other one the copy where it is whole."""

    database: Database
    ledger: Ledger
    journal: Wallets
    copied: Wallets
    copy: CqlHistory

    @property
    def keeping(self) -> HistoryCopy:
        assert self.copied.history is not None
        return self.copied.history

    def kept_by(self, where: tuple[Session, str], clock: Clock) -> HistoryCopy:
        """What keeps the same copy in a process whose clock is that."""
        session, keyspace = where
        copy = CqlHistory(session=session, ledger=self.ledger, keyspace=keyspace, ttl_days=None, clock=clock)
        return HistoryCopy(database=self.database, ledger=self.ledger, copy=copy)

    async def events(self) -> list[Event]:
        """What was told since the last time, as the relay would publish it."""
        found = []
        async with self.database.connection() as connection:
            while rows := await outbox.waiting(connection, _BLOCK):
                for row in rows:
                    if row.kind == OUTBOX_KIND:
                        (batch,) = await self.ledger.expand(connection, [row.payload])
                        found += batch
                    else:
                        found.append(cloudevents.event(cloudevents.decode(row.payload)))
                await outbox.waiting(connection, 0, remove=[row.seq for row in rows])
        return [event for event in found if event.type in HistoryCopy.TYPES]

    async def catch_up(self) -> None:
        """Let the copy take all that has happened."""
        await self.keeping.take(await self.events())

    async def leave(self, who: Principal) -> None:
        """Let an owner close their account, as identity does."""
        async with self.database.transaction() as connection:
            assert await self.journal.departures.close_all(connection, owner_id=who.owner_id) == []
            await outbox.append(connection, closed(who))

    async def of(self, source: HistorySource) -> Wallets:
        """Those that read there."""
        if source == "cql":
            await self.catch_up()
            return self.copied
        return self.journal


def closed(who: Principal) -> Event:
    """What is told when an account was closed."""
    return identity_events.person_event(
        event_id=str(ids.new()),
        kind=identity_events.USER_CLOSED,
        user_id=str(who.owner_id),
        by=who,
        time=SystemClock().now(),
    )


async def everything(
    wallets: Wallets,
    principal: Principal,
    wanted: TransactionFilter,
    *,
    limit: int = 100,
    source: HistorySource | None = None,
) -> list[Transaction]:
    """All pages of a list, each of which has to come from `source` if that is given."""
    found: list[Transaction] = []
    cursor = None
    while True:
        page = await wallets.transactions.page(principal=principal, wanted=wanted, cursor=cursor, limit=limit)
        assert source in {None, page.source}
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


async def grown_old(histories: Histories, principal: Principal, instants: Sequence[datetime]) -> str:
    """A new wallet with deposits of 1.00 at these instants of the past, in order.

    They are written straight into the journal, as the ledger would have then; nobody tells of them.
    """
    wallet = await wallet_of(histories.journal, principal)
    opened = await Resolution(database=histories.database, ledger=histories.ledger).open([(ids.parse(wallet), "USD")])
    (account,) = opened.values()
    outside = await histories.ledger.external_account(asset="USD")
    async with histories.database.transaction() as connection:
        await connection.execute(
            """
            INSERT INTO ledger.transfers (recorded_at, effective_at, debit_version, credit_version, batch, kind, id,
                debit_account, credit_account, amount, debit_balance, credit_balance, asset, reference, description,
                metadata)
            SELECT at, at, debit.version + n, credit.version + n, pg_current_xact_id()::xid, 'deposit', uuidv7(),
                debit.id, credit.id, 100, debit.posted - 100 * n, credit.posted + 100 * n, 'USD', 'ref ' || n, '', ''
            FROM unnest($3::timestamptz[]) WITH ORDINALITY AS past (at, n),
                ledger.accounts AS debit, ledger.accounts AS credit
            WHERE debit.id = $1 AND credit.id = $2
            """,
            outside,
            account,
            list(instants),
        )
        await connection.execute(
            "UPDATE ledger.accounts SET version = version + $3, "
            "posted = posted + CASE id WHEN $1 THEN -100 ELSE 100 END * $3 WHERE id IN ($1, $2)",
            outside,
            account,
            len(instants),
        )
    return wallet
