"""Pictures of balances outside of the database, for those who may be told what was true a moment ago.

Events say of which wallets the balances have changed, and the balances are read in the ledger. Those in an event are of
one account at one of its versions: a hold, a credit limit and an entry of the same moment are told apart, and arrive
apart. A picture is of one moment, whatever was told, lost, repeated or made up.

Nothing here decides about money, or about who may see what.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import msgspec
from prometheus_client import Counter, Gauge

from billfold.kernel import forms
from billfold.kernel.clock import Clock
from billfold.kernel.errors import Unavailable
from billfold.kernel.events import Event
from billfold.ledger import Ledger
from billfold.ledger import contracts as ledger
from billfold.ledger import events as ledger_events
from billfold.platform.messaging import topics
from billfold.platform.messaging.cloudevents import InvalidCloudEvent
from billfold.platform.messaging.port import Subscription
from billfold.platform.postgres.database import Database
from billfold.wallets import events as wallet_events
from billfold.wallets.contracts.pictures import PICTURES_BLOCK, Kept, Looked, Picture
from billfold.wallets.store import accounts as store

if TYPE_CHECKING:
    # Its library takes longer to load than all the rest of a start, and most have no Redis.
    from billfold.wallets.adapters.balances import BalancePictures

T = TypeVar("T")

#: The events that say of which wallets the balances have changed. A later picture stays, in whatever order they come:
#: any number of processes may share the work.
SUBSCRIPTION = Subscription(
    name="balances",
    topic=topics.EVENTS,
    types=(ledger_events.POSTED, "hold.", wallet_events.UPDATED),
    ordered=False,
)

REDIS_UP = Gauge(
    "billfold_balances_redis_up", "1 while the Redis of the balances is asked, 0 while there is none or it is lost."
)
WRITES = Counter("billfold_balances_writes", "Pictures of wallets that were to be kept in Redis.", ["outcome"])
LAG = Gauge(
    "billfold_balances_lag_seconds",
    "From an event's time until what it tells of was in Redis, for the oldest one of those that came together last.",
)


class _Posted(msgspec.Struct, frozen=True):
    debit_account: UUID
    credit_account: UUID


class _HoldChanged(msgspec.Struct, frozen=True):
    account: UUID


class _WalletUpdated(msgspec.Struct, frozen=True):
    wallet_id: UUID


class Pictures:
    """Keeps them, and looks at what is kept."""

    def __init__(self, *, database: Database, ledger: Ledger, clock: Clock, kept: BalancePictures) -> None:
        self.kept = kept
        self._database = database
        self._ledger = ledger
        self._clock = clock

    async def apply(self, events: Sequence[Event]) -> None:
        """Keep new pictures of all wallets whose balances the events have changed. Doing so twice is as doing it once.

        Raises:
            InvalidCloudEvent: an event does not say what events of its type say.
            RedisUnavailable, DatabaseUnavailable: do it again.
        """
        wallets, accounts = _named(events)
        at_us = await self.kept.now_us()
        await self.keep(await self.taken(wallet_ids=wallets, account_ids=accounts, at_us=at_us))
        if events:
            oldest = min(event.time for event in events)
            LAG.set(max(0.0, (self._clock.now() - oldest).total_seconds()))

    async def look(self, wallet_id: UUID) -> Looked | None:
        """What is kept of a wallet; None when that can't be known."""
        with suppress(Unavailable):
            return await self.kept.look(wallet_id)
        return None

    async def take(self, wallet_id: UUID, *, at_us: int) -> Picture:
        """A new picture, which is kept where that is possible. `at_us` is a moment that has passed.

        Raises:
            DatabaseUnavailable.
        """
        found = await self.taken(wallet_ids=[wallet_id], at_us=at_us)
        with suppress(Unavailable):
            await self.keep(found)
        return found[wallet_id]

    async def taken(
        self, *, wallet_ids: Collection[UUID] = (), account_ids: Collection[UUID] = (), at_us: int
    ) -> dict[UUID, Picture]:
        """Pictures of these wallets, and of those that have one of these accounts; as they were at `at_us` or later.

        Raises:
            DatabaseUnavailable.
        """
        async with self._database.connection() as connection:
            wallets = await store.of_wallets(connection, wallet_ids=list(wallet_ids), account_ids=list(account_ids))
        wanted = [account for accounts in wallets.values() for account in accounts.values()]
        found = {account.id: _kept(account) for account in await self._ledger.accounts(ids=wanted)} if wanted else {}
        return {
            wallet_id: Picture(
                read_at_us=at_us,
                accounts={asset: found[account] for asset, account in accounts.items() if account in found},
            )
            for wallet_id, accounts in wallets.items()
        }

    async def keep(self, pictures: Mapping[UUID, Picture]) -> int:
        """Keep them, and say for how many there was no room.

        Raises:
            RedisUnavailable: perhaps some are kept.
        """
        full = 0
        for block in blocks(list(pictures)):
            outcomes = await self.kept.keep({wallet_id: pictures[wallet_id] for wallet_id in block})
            for outcome in outcomes.values():
                WRITES.labels(outcome).inc()
                full += outcome == "full"
        return full


def blocks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many at a time as go into one question."""
    for begin in range(0, len(items), PICTURES_BLOCK):
        yield items[begin : begin + PICTURES_BLOCK]


def _kept(account: ledger.Account) -> Kept:
    return Kept(
        account=account.id,
        asset=account.asset,
        changes=account.changes,
        version=account.version,
        posted=account.posted,
        held=account.held,
        floor=account.floor,
    )


def _named(events: Sequence[Event]) -> tuple[set[UUID], set[UUID]]:
    """The wallets and the accounts that the events name."""
    wallets: set[UUID] = set()
    accounts: set[UUID] = set()
    for event in events:
        if event.type == ledger_events.POSTED:
            posted = _data(event, _Posted)
            accounts.update((posted.debit_account, posted.credit_account))
        elif event.type in ledger_events.TYPES:
            accounts.add(_data(event, _HoldChanged).account)
        elif event.type == wallet_events.UPDATED:
            wallets.add(_data(event, _WalletUpdated).wallet_id)
    return wallets, accounts


def _data(event: Event, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(msgspec.json.encode(event.data), type=kind)
    except msgspec.DecodeError as error:
        raise InvalidCloudEvent(f"data is not that of {event.type}: {forms.said(error)}", pointer="/data") from error
