"""What must be true of a topology at its end: what was told, recorded, kept and copied of the ledger agrees with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import asyncpg

from billfold import wallets
from billfold.app import messaging
from billfold.kernel import clock
from billfold.kernel.errors import Unavailable
from billfold.platform import cql
from billfold.wallets.adapters.history import schema
from tests.crash import audit, telling
from tests.crash.books import Books, Connection, Posted
from tests.crash.telling import Told
from tests.crash.topology import Topology

#: What is under way when the last request has ended. A Cassandra that has just started on a busy machine is slow.
WITHIN_S = 180.0
#: Events of these types are what is waited for.
_ABOUT = ("transfer.", "request.accepted.")


async def everything(running: Topology) -> None:
    """The events, the audit, the balances in Redis and the history in CQL; none of it is still on its way for ever."""
    ledger = await asyncpg.connect(running.record["postgres_owner_dsn"])
    try:
        await _until(lambda: _published(ledger), "all that was committed is published")
        books = await Books.read(ledger)
        requests = [tuple(row) for row in await ledger.fetch("SELECT owner_id, id, status FROM wallets.requests")]
    finally:
        await ledger.close()
    await _told(running, books, {str(request): status for _, request, status in requests})
    await _recorded(running, books)
    await _kept(running, books)
    await _copied(running, books, requests)
    await audit.verify(running.record["postgres_dsn"])


async def _until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = asyncio.get_running_loop().time() + WITHIN_S
    while True:
        with contextlib.suppress(Unavailable):
            if await condition():
                return
        assert asyncio.get_running_loop().time() < deadline, f"not within {WITHIN_S:.0f} s: {what}"
        await asyncio.sleep(0.1)


async def _published(ledger: Connection) -> bool:
    waiting: int = await ledger.fetchval(
        "SELECT (SELECT count(*) FROM messaging.outbox) + (SELECT count(*) FROM messaging.parked) "
        "+ (SELECT count(*) FROM messaging.withheld)"
    )
    return waiting == 0


async def _told(running: Topology, books: Books, ended: dict[str, str]) -> None:
    wanted = len(books.posted) + 2 * len(ended)

    def whole(told: Told) -> bool:
        # Asked after each event: whoever counted all of them anew would read so slowly that NATS forgets the reader.
        return sum(count for kind, count in told.kinds.items() if kind.startswith(_ABOUT)) >= wanted

    async with asyncio.timeout(WITHIN_S):
        told = await Told.tailed(messaging.of(running.settings), whole)
    telling.by_key(told, books)
    telling.requests(told, ended)


async def _recorded(running: Topology, books: Books) -> None:
    """The audit has each transfer once, whoever was killed on the way."""
    records = await asyncpg.connect(running.record["audit_dsn"])
    try:

        async def all_are() -> bool:
            rows = await records.fetch("SELECT event_id FROM audit.records WHERE type = 'transfer.posted.v1'")
            found[:] = [row["event_id"] for row in rows]
            return len(found) >= len(books.posted)

        found: list[str] = []
        await _until(all_are, "each transfer is recorded")
        assert sorted(found) == sorted(books.posted)
    finally:
        await records.close()


async def _kept(running: Topology, books: Books) -> None:
    """What is kept of balances is what the ledger has. What a killed Redis has lost comes with the next reader."""
    url = running.settings.balances.redis_url
    assert url is not None
    with running.client() as http:
        for wallet in books.wallets:
            http.get(f"/api/v1/wallets/{wallet}/balance", headers={"cache-control": "max-age=3600"}).raise_for_status()
    async with wallets.balances_in_redis(url, keep_seconds=3600) as pictures:
        for wallet in books.wallets:
            entries = [one for one in books.posted.values() if wallet in (one.source, one.target)]
            right = (len(entries), sum(one.cents if one.target == wallet else -one.cents for one in entries))

            async def is_kept(wallet: str = wallet, right: tuple[int, int] = right) -> bool:
                picture = (await pictures.look(UUID(wallet))).picture
                kept = None if picture is None else picture.accounts.get("USD")
                # A version that is behind will come; with the right one the sum has to be right.
                if picture is None or (kept.version if kept else 0) < right[0]:
                    return False
                assert (kept.version, kept.posted) == right if kept else right == (0, 0), f"{wallet}: {kept}"
                return True

            await _until(is_kept, f"the balance of {wallet} is kept")


async def _copied(running: Topology, books: Books, requests: Sequence[Request]) -> None:
    """The history has each entry of each wallet once, with the balance that it left, and each request as it ended."""
    told = running.settings.history
    assert told.contact_points is not None
    address, _, port = told.contact_points.partition(":")
    at = cql.Server(contact_points=[(address, int(port))], user=told.user, password=told.password)
    async with cql.opened(at) as session:
        await session.wait_until_up(WITHIN_S)
        for wallet in books.wallets:
            right = {row for one in books.posted.values() for row in _entries(one, wallet)}
            months = {schema.month_of(clock.microseconds(one.recorded_at)) for one in books.posted.values()}

            async def is_copied(wallet: str = wallet, right: set[Row] = right, months: set[int] = months) -> bool:
                statement = (
                    f"SELECT transfer, version, balance FROM {told.keyspace}.transactions "
                    "WHERE wallet = ? AND month = ?"
                )
                pages = [await session.execute(statement, UUID(wallet), month) for month in months]
                rows = [(str(transfer), version, balance) for page in pages for transfer, version, balance in page]
                assert set(rows) <= right, f"{wallet}: {set(rows) - right}"
                return sorted(rows) == sorted(right)

            await _until(is_copied, f"the history of {wallet} is copied")
        await _ended(session, told.keyspace, requests)


async def _ended(session: cql.Session, keyspace: str, requests: Sequence[Request]) -> None:
    statement = f"SELECT id, status FROM {keyspace}.requests WHERE owner = ? AND month = ?"
    for owner in {owner for owner, _, _ in requests}:
        right = {(request, status) for its, request, status in requests if its == owner}

        async def is_copied(owner: UUID = owner, right: set[tuple[UUID, str]] = right) -> bool:
            months = {schema.month_of_id(request) for request, _ in right}
            pages = [await session.execute(statement, owner, month) for month in months]
            rows = [(request, status) for page in pages for request, status in page]
            assert set(rows) <= right, f"{owner}: {set(rows) - right}"
            return sorted(rows) == sorted(right)

        await _until(is_copied, f"the requests of {owner} are copied")


#: Whose it is, its id, and how it has ended.
Request = tuple[UUID, UUID, str]
#: A transfer, the version of the wallet's account after it, and what was in it then.
Row = tuple[str, int, int]


def _entries(posted: Posted, wallet: str) -> list[Row]:
    sides = (
        (posted.source, posted.debit_version, posted.debit_balance),
        (posted.target, posted.credit_version, posted.credit_balance),
    )
    return [(posted.id, version, balance) for side, version, balance in sides if side == wallet]
