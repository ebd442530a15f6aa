"""What one batch reads and writes. Each function is one round trip inside the batch's database transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from billfold.kernel.idempotency import Key
from billfold.ledger.contracts import Hold, Transfer
from billfold.ledger.domain.backdating import Backdated
from billfold.ledger.domain.book import AccountState, Link
from billfold.ledger.store import rows
from billfold.platform.postgres.database import Connection

_COLUMNS = [
    *("recorded_at", "effective_at", "debit_version", "credit_version", "batch", "kind", "id", "debit_account"),
    *("credit_account", "amount", "debit_balance", "credit_balance", "asset", "reference", "description", "metadata"),
]

_LOCK = """
WITH locked AS MATERIALIZED (
    SELECT id, asset, floor, status, posted, held, version, last_recorded_us
    FROM ledger.accounts WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE
)
SELECT id, asset, floor, status::text, posted, held, version, last_recorded_us FROM locked
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, pg_current_xact_id()::xid::text::bigint,
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
FROM (SELECT count(*) FROM locked) AS all_locked
"""

_WRITE = """
WITH changed AS (
    UPDATE ledger.accounts AS account
    SET posted = new.posted, held = new.held, version = new.version, last_recorded_us = new.recorded_us,
        changes = account.changes + 1
    FROM unnest($1::uuid[], $2::bigint[], $3::numeric[], $4::numeric[], $5::bigint[], $6::bigint[])
        AS new (id, version_before, posted, held, version, recorded_us)
    WHERE account.id = new.id AND account.version = new.version_before
    RETURNING 1
), noted AS (
    INSERT INTO ledger.idempotency (digest, fingerprint, subject, answer)
    SELECT * FROM unnest($7::uuid[], $8::bigint[], $9::uuid[], $10::bytea[])
)
SELECT count(*), (SELECT messaging.append($11, $12) WHERE $11::text IS NOT NULL) FROM changed
"""

_ANSWERED = """
SELECT digest, fingerprint, subject, answer FROM ledger.idempotency WHERE digest = ANY($1)
UNION ALL
SELECT digest, fingerprint, NULL, NULL FROM ledger.reservations WHERE digest = ANY($1)
"""

#: The constraint that refuses a second answer under one key.
KEYS_UNIQUE = "idempotency_pkey"


class Span(NamedTuple):
    """Transfers that one batch posted one after the other: the first and last id, and the batch's number."""

    first: UUID
    last: UUID
    batch: int


class OutboxRow(NamedTuple):
    """What tells of a batch: how to read the payload, and the payload."""

    kind: str
    payload: bytes


class Answered(msgspec.Struct, frozen=True):
    """The record of a request that was answered before; or that was accepted, and then it has no answer yet."""

    fingerprint: int
    subject: UUID | None
    answer: bytes | None

    @property
    def is_reserved(self) -> bool:
        """Whether the key only stands for this request, and nothing was posted or refused."""
        return self.subject is None and self.answer is None


class Record(msgspec.Struct, frozen=True):
    """The answer of a request, to be kept under its key: the transfer `subject` says it all, or `answer` does."""

    key: Key
    subject: UUID | None
    answer: bytes | None


class Locked(msgspec.Struct, frozen=True):
    """The locked accounts, the database transaction's number, and the database's clock read after the last lock."""

    accounts: dict[UUID, AccountState]
    batch: int
    now_us: int


async def answered(connection: Connection, digests: Sequence[UUID]) -> dict[UUID, Answered]:
    """Which of these keys have an answer, or are reserved."""
    known: dict[UUID, Answered] = {}
    for digest, fingerprint, subject, answer in await connection.fetch(_ANSWERED, digests):
        one = Answered(fingerprint, subject, answer)
        # What has an answer may be reserved still: the answer counts.
        if not (one.is_reserved and digest in known):
            known[digest] = one
    return known


async def reserve(connection: Connection, keys: Sequence[Key]) -> None:
    """Let each key stand for its request alone."""
    await connection.execute(
        "INSERT INTO ledger.reservations (digest, fingerprint) SELECT * FROM unnest($1::uuid[], $2::bigint[]) "
        "ON CONFLICT DO NOTHING",
        [key.digest for key in keys],
        [key.fingerprint for key in keys],
    )


async def unreserve(connection: Connection, digests: Sequence[UUID]) -> None:
    """Forget reservations."""
    await connection.execute("DELETE FROM ledger.reservations WHERE digest = ANY($1)", digests)


async def lock(connection: Connection, account_ids: Iterable[UUID]) -> Locked:
    """Lock the accounts in the order of their ids, which makes deadlock impossible; unknown ones are left out.

    The clock is read in the second branch, which runs only when the first has locked every row: whoever locks an
    account later reads a later time, so a read of the past that waited for the lock can't be overtaken (I15).
    """
    found = await connection.fetch(_LOCK, list(account_ids))
    last = found.pop()
    accounts = {}
    for account_id, asset, floor, status, posted, held, version, recorded_us in found:
        accounts[account_id] = AccountState(
            account_id, asset, floor, status, posted, held, version, recorded_us, version, held
        )
    return Locked(accounts, last[6], last[7])


async def held_by_others(connection: Connection, account_ids: Iterable[UUID]) -> set[UUID]:
    """Which of the accounts another database transaction has locked at this moment."""
    found = await connection.fetch(
        """
        WITH free AS MATERIALIZED (
            SELECT id FROM ledger.accounts WHERE id = ANY($1) FOR NO KEY UPDATE SKIP LOCKED
        )
        SELECT id FROM ledger.accounts WHERE id = ANY($1) EXCEPT SELECT id FROM free
        """,
        list(account_ids),
    )
    return {row["id"] for row in found}


async def write_transfers(
    connection: Connection, transfers: Sequence[Transfer], recorded_us: Sequence[int], batch: int
) -> None:
    """Append to the journal by COPY in text form, which costs a third of the processor time of binary records.

    `recorded_us` is each transfer's recorded_at again, in microseconds since 1970: formatting a datetime is slow.
    """
    await connection.copy_to_table(
        "transfers",
        schema_name="ledger",
        columns=_COLUMNS,
        source=_CopyText(transfers, recorded_us, batch),
        format="text",
    )


class _CopyText:
    """The COPY text of `transfers`: one block of bytes, as an asynchronous iterable because that is what COPY takes."""

    def __init__(self, transfers: Sequence[Transfer], recorded_us: Sequence[int], batch: int) -> None:
        self._second = -1
        self._prefix = ""
        lines = [
            self._line(transfer, self._instant(us), batch) for transfer, us in zip(transfers, recorded_us, strict=True)
        ]
        self._text: str | None = "".join(lines)

    def __aiter__(self) -> _CopyText:
        return self

    async def __anext__(self) -> bytes:
        if self._text is None:
            raise StopAsyncIteration
        text, self._text = self._text, None
        return text.encode()

    def _instant(self, us: int) -> str:
        """Neighbours share their second, so only its text is formatted anew."""
        second, micro = divmod(us, 1_000_000)
        if second != self._second:
            self._second = second
            self._prefix = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%d %H:%M:%S}"
        return f"{self._prefix}.{micro:06d}+00"

    @staticmethod
    def _line(transfer: Transfer, recorded_at: str, batch: int) -> str:
        same = transfer.effective_at is transfer.recorded_at
        effective_at = recorded_at if same else str(transfer.effective_at)
        text = "\t\t"
        if transfer.reference or transfer.description or transfer.metadata:
            text = (
                f"{rows.escape(transfer.reference)}\t{rows.escape(transfer.description)}\t"
                f"{rows.escape(rows.metadata_text(transfer.metadata))}"
            )
        return (
            f"{recorded_at}\t{effective_at}\t{transfer.debit_version}\t{transfer.credit_version}\t{batch}\t"
            f"{transfer.kind}\t{transfer.id.hex}\t{transfer.debit_account.hex}\t{transfer.credit_account.hex}\t"
            f"{transfer.amount}\t{transfer.debit_balance}\t{transfer.credit_balance}\t{transfer.asset}\t{text}\n"
        )


async def write_state(
    connection: Connection,
    accounts: Sequence[AccountState],
    records: Sequence[Record],
    told: OutboxRow | None,
) -> None:
    """Write the accounts' new balances, the answered keys, and what tells of the batch's transfers.

    An account is only changed if its version is still the one that was locked; anything else is a lost lock, which must
    never be written over.

    Raises:
        asyncpg.UniqueViolationError: another process has answered one of the keys meanwhile.
    """
    changed = await connection.fetchval(
        _WRITE,
        [account.id for account in accounts],
        [account.version_before for account in accounts],
        [account.posted for account in accounts],
        [account.held for account in accounts],
        [account.version for account in accounts],
        [account.recorded_us for account in accounts],
        [record.key.digest for record in records],
        [record.key.fingerprint for record in records],
        [record.subject for record in records],
        [record.answer for record in records],
        *(told or (None, None)),
    )
    assert changed == len(accounts), "an account changed although it was locked"


async def write_links(connection: Connection, links: Sequence[Link]) -> None:
    """Write what the batch's transfers have to do with other things."""
    await connection.copy_records_to_table(
        "links",
        schema_name="ledger",
        columns=["transfer_id", "relation", "target"],
        records=[(link.transfer_id, link.relation, link.target) for link in links],
    )


async def write_holds(connection: Connection, holds: Iterable[Hold]) -> None:
    """Write holds as they are now, new ones and older ones."""
    await connection.executemany(
        """
        INSERT INTO ledger.holds (id, account_id, created_at, expires_at, ended_at, status, asset, amount, settled,
                                  reference, description)
        VALUES ($1, $2, $3, $4, $5, $6::text::ledger.hold_status, $7, $8, $9, $10, $11)
        ON CONFLICT (id) DO UPDATE
        SET settled = excluded.settled, status = excluded.status, ended_at = excluded.ended_at
        """,
        [
            (hold.id, hold.account, hold.created_at, hold.expires_at, hold.ended_at, hold.status, hold.asset,
             hold.amount, hold.settled, hold.reference, hold.description)
            for hold in holds
        ],
    )  # fmt: skip


async def write_backdated(connection: Connection, found: Backdated) -> None:
    """Add the batch's back-dated money to its periods, and to the running total of each account."""
    await connection.execute(
        """
        INSERT INTO ledger.backdated_periods AS period (account_id, shift, bucket, amount)
        SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::numeric[])
        ON CONFLICT (account_id, shift, bucket) DO UPDATE SET amount = period.amount + excluded.amount
        """,
        [account for account, _, _ in found.periods],
        [shift for _, shift, _ in found.periods],
        [bucket for _, _, bucket in found.periods],
        list(found.periods.values()),
    )
    accounts, instants, sums = zip(*found.totals, strict=True)
    await connection.execute(
        """
        WITH before AS MATERIALIZED (
            SELECT account_id, total FROM unnest($1::uuid[]) AS wanted (account_id), LATERAL (
                SELECT total FROM ledger.backdated_totals AS last WHERE last.account_id = wanted.account_id
                ORDER BY recorded_at DESC LIMIT 1
            ) AS newest
        )
        INSERT INTO ledger.backdated_totals (account_id, recorded_at, total)
        SELECT new.account_id, new.recorded_at, new.total + coalesce(before.total, 0)
        FROM unnest($2::uuid[], $3::timestamptz[], $4::numeric[]) AS new (account_id, recorded_at, total)
        LEFT JOIN before USING (account_id)
        """,
        list(set(accounts)),
        list(accounts),
        list(instants),
        list(sums),
    )


async def transfers_of(connection: Connection, spans: Sequence[Span]) -> list[list[Transfer]]:
    """The transfers of each span in the order in which they were posted."""
    found = await connection.fetch(
        f"SELECT place, {rows.TRANSFER} FROM unnest($1::uuid[], $2::uuid[], $3::xid[]) WITH ORDINALITY "
        "AS span (first_id, last_id, number, place) "
        "JOIN ledger.transfers ON id BETWEEN first_id AND last_id AND batch = number ORDER BY place, id",
        *zip(*spans, strict=True),
    )
    posted: list[list[Transfer]] = [[] for _ in spans]
    for row in found:
        values = dict(row)
        posted[values.pop("place") - 1].append(rows.transfer(values))
    return posted


async def reversed_so_far(connection: Connection, originals: Sequence[UUID]) -> tuple[dict[UUID, int], set[UUID]]:
    """The sum of the reversals of each original, and which of these transfers are themselves reversals."""
    sums = await connection.fetch(
        """
        SELECT link.target, sum(transfer.amount) FROM ledger.links AS link
        JOIN ledger.transfers AS transfer ON transfer.id = link.transfer_id
        WHERE link.target = ANY($1) AND link.relation = 'reversal' GROUP BY link.target
        """,
        originals,
    )
    reversals = await connection.fetch(
        "SELECT transfer_id FROM ledger.links WHERE transfer_id = ANY($1) AND relation = 'reversal'", originals
    )
    return {target: int(total) for target, total in sums}, {row["transfer_id"] for row in reversals}


async def due_holds(connection: Connection, limit: int) -> list[UUID]:
    """Active holds whose time is over by the database's clock, the longest overdue first."""
    found = await connection.fetch(
        """
        SELECT id FROM ledger.holds WHERE status = 'active' AND expires_at <= statement_timestamp()
        ORDER BY expires_at LIMIT $1
        """,
        limit,
    )
    return [row["id"] for row in found]


async def transfers(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Transfer]:
    """These transfers, where they exist."""
    found = await connection.fetch(f"SELECT {rows.TRANSFER} FROM ledger.transfers WHERE id = ANY($1)", ids)
    return {row["id"]: rows.transfer(row) for row in found}


async def holds(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Hold]:
    """These holds, where they exist."""
    found = await connection.fetch(f"SELECT {rows.HOLD} FROM ledger.holds WHERE id = ANY($1)", ids)
    return {row["id"]: rows.hold(row) for row in found}
