"""SQL over requests that were accepted to be carried out later. They only go on: a trigger refuses what goes back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec

from billfold.kernel.idempotency import Key
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Connection
from billfold.wallets.contracts import RequestStatus

#: What it can end as without a transfer.
EndsAs = Literal["failed", "cancelled", "expired"]

_COLUMNS = (
    "id, owner_id, user_id, credential_id, is_session, scopes, content, key_text, key_digest, key_fingerprint, "
    "traceparent, accepted_at, expires_at, status, ends_as, tries, started_at, ended_at, transfer_id, reason, detail, "
    "pointer"
)
_RETURNED = ", ".join(f"request.{column}" for column in _COLUMNS.split(", "))


#: Before all others.
_NO_REQUEST = UUID(int=0)
_STAYS = "NOT EXISTS (SELECT FROM wallets.departures AS gone WHERE gone.owner_id = request.owner_id)"


class New(msgspec.Struct, frozen=True):
    """A request as it is handed in: when it was accepted, and when its time is over, says the database."""

    id: UUID
    owner_id: UUID
    user_id: UUID | None
    credential_id: UUID
    is_session: bool
    scopes: Sequence[str]
    content: Mapping[str, Any]
    key_text: str
    key_digest: UUID
    key_fingerprint: int
    #: W3C's, of the trace that it was sent in.
    traceparent: str | None

    @property
    def key(self) -> Key:
        """Under what the ledger knows it."""
        return Key(self.key_digest, self.key_fingerprint)


class Row(New, frozen=True):
    """A request as it is kept."""

    accepted_at: datetime
    expires_at: datetime
    status: RequestStatus
    ends_as: EndsAs | None = None
    tries: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    transfer_id: UUID | None = None
    reason: str | None = None
    detail: str | None = None
    pointer: str | None = None
    #: Whether its time was over when it was taken: by the database's clock, which is one for all who take requests.
    is_overdue: bool = False

    @property
    def principal(self) -> Principal:
        """In whose name it is carried out."""
        return Principal(
            credential_id=self.credential_id,
            owner_id=self.owner_id,
            scopes=frozenset(self.scopes),
            user_id=self.user_id,
            is_session=self.is_session,
        )


async def count_open(
    connection: Connection, owners: Collection[UUID], *, owners_max: int, most: int
) -> tuple[dict[UUID, int], int]:
    """How many of each of these owners' are open, and of everybody's; each counted up to its limit."""
    rows = await connection.fetch(
        "SELECT owner, (SELECT count(*) FROM "
        "(SELECT FROM wallets.requests WHERE owner_id = owner AND ended_at IS NULL LIMIT $2) AS a), "
        "(SELECT count(*) FROM (SELECT FROM wallets.requests WHERE ended_at IS NULL LIMIT $3) AS b) "
        "FROM unnest($1::uuid[]) AS owner",
        owners,
        owners_max,
        most,
    )
    return {row[0]: row[1] for row in rows}, rows[0][2] if rows else 0


async def of_keys(connection: Connection, digests: Sequence[UUID]) -> dict[UUID, Row]:
    """What was accepted with these idempotency keys, by their digests."""
    rows = await connection.fetch(f"SELECT {_COLUMNS} FROM wallets.requests WHERE key_digest = ANY($1)", digests)
    return {row["key_digest"]: Row(*row) for row in rows}


async def insert(
    connection: Connection, requests: Sequence[New], *, expire_after: timedelta, due_after: timedelta
) -> dict[UUID, Row]:
    """Add new ones, to be taken at the latest so long after they were accepted; those that were added, by their ids.

    The others have an idempotency key that another one has by now, one of these perhaps. The clock that says when they
    were accepted is the one that says whether they have expired.
    """
    # Two who add the same keys wait for each other in this order, or they would wait in a circle.
    ordered = sorted(requests, key=lambda one: one.key_digest.int)
    added = await connection.fetch(
        "INSERT INTO wallets.requests (id, owner_id, user_id, credential_id, is_session, scopes, content, key_text, "
        "key_digest, key_fingerprint, traceparent, accepted_at, expires_at, due_at) "
        "SELECT id, owner_id, user_id, credential_id, is_session, string_to_array(scopes, ' '), content::jsonb, "
        "key_text, key_digest, key_fingerprint, traceparent, "
        "statement_timestamp(), statement_timestamp() + $12, statement_timestamp() + $13 "
        "FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::boolean[], $6::text[], $7::text[], "
        "$8::text[], $9::uuid[], $10::bigint[], $11::text[]) "
        "AS new (id, owner_id, user_id, credential_id, is_session, scopes, content, key_text, key_digest, "
        "key_fingerprint, traceparent) "
        f"ON CONFLICT (key_digest) DO NOTHING RETURNING {_COLUMNS}",
        [one.id for one in ordered],
        [one.owner_id for one in ordered],
        [one.user_id for one in ordered],
        [one.credential_id for one in ordered],
        [one.is_session for one in ordered],
        # No scope has a space in it.
        [" ".join(one.scopes) for one in ordered],
        [msgspec.json.encode(one.content).decode() for one in ordered],
        [one.key_text for one in ordered],
        [one.key_digest for one in ordered],
        [one.key_fingerprint for one in ordered],
        [one.traceparent for one in ordered],
        expire_after,
        due_after,
    )
    return {row["id"]: Row(*row) for row in added}


async def find(connection: Connection, request_id: UUID, *, owner: UUID) -> Row | None:
    """One of an owner's."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM wallets.requests WHERE id = $1 AND owner_id = $2", request_id, owner
    )
    return None if row is None else Row(*row)


async def page(
    connection: Connection, *, owner: UUID, status: RequestStatus | None, before: UUID | None, limit: int
) -> list[Row]:
    """An owner's, the newest first."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM wallets.requests WHERE owner_id = $1 AND ($2::text IS NULL OR status = $2) "
        "AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
        owner,
        status,
        before,
        limit,
    )
    return [Row(*row) for row in rows]


async def ended_of(connection: Connection, request_ids: Sequence[UUID]) -> set[UUID]:
    """Which of these have ended."""
    rows = await connection.fetch(
        "SELECT id FROM wallets.requests WHERE id = ANY($1) AND ended_at IS NOT NULL", request_ids
    )
    return {row["id"] for row in rows}


async def ended(connection: Connection, request_ids: Sequence[UUID]) -> list[tuple[Row, bool]]:
    """Those of these that have ended, and whether the owner of each stays."""
    rows = await connection.fetch(
        f"SELECT {_RETURNED}, {_STAYS} FROM wallets.requests AS request WHERE id = ANY($1) AND ended_at IS NOT NULL",
        request_ids,
    )
    return [(Row(*row[:-1]), row[-1]) for row in rows]


async def ended_of_those_who_stay(
    connection: Connection, *, since: datetime | None, after: UUID | None, limit: int
) -> list[Row]:
    """What has ended of everybody's, the first accepted first, but for those who have left."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM wallets.requests AS request WHERE id > $1 AND ended_at IS NOT NULL "
        f"AND ($2::timestamptz IS NULL OR ended_at >= $2) AND {_STAYS} ORDER BY id LIMIT $3",
        after or _NO_REQUEST,
        since,
        limit,
    )
    return [Row(*row) for row in rows]


async def count_ended(connection: Connection, *, since: datetime | None) -> int:
    """How many `ended_of_those_who_stay` finds."""
    counted: int = await connection.fetchval(
        "SELECT count(*) FROM wallets.requests AS request WHERE ended_at IS NOT NULL "
        f"AND ($1::timestamptz IS NULL OR ended_at >= $1) AND {_STAYS}",
        since,
    )
    return counted


async def months_of(connection: Connection, owner: UUID) -> tuple[list[datetime], datetime | None]:
    """In which months an owner's that have ended were accepted, as their ids say; and when the last one ended."""
    rows = await connection.fetch(
        "SELECT date_trunc('month', uuid_extract_timestamp(id), 'UTC'), max(ended_at) FROM wallets.requests "
        "WHERE owner_id = $1 AND ended_at IS NOT NULL GROUP BY 1",
        owner,
    )
    return [row[0] for row in rows], max((row[1] for row in rows), default=None)


async def take_named(
    connection: Connection, request_ids: Sequence[UUID], *, now: datetime, until: datetime
) -> list[Row]:
    """Take those of these requests that nobody has taken yet, or that are due. Nobody else takes them `until` then.

    Whoever does so after that does nothing twice: the ledger knows the key.
    """
    return await _take(connection, "id = ANY($3) AND (status = 'accepted' OR due_at <= $1)", now, until, request_ids)


async def take_due(connection: Connection, *, now: datetime, until: datetime, limit: int) -> list[Row]:
    """Take those that are due; see `take_named`."""
    return await _take(connection, "due_at <= $1 ORDER BY due_at LIMIT $3", now, until, limit)


async def _take(connection: Connection, which: str, now: datetime, until: datetime, value: object) -> list[Row]:
    rows = await connection.fetch(
        f"WITH due AS MATERIALIZED (SELECT id FROM wallets.requests WHERE ended_at IS NULL AND {which} "
        "FOR UPDATE SKIP LOCKED) "
        "UPDATE wallets.requests AS request SET status = 'processing', tries = tries + 1, due_at = $2, "
        f"started_at = coalesce(started_at, $1) FROM due WHERE request.id = due.id "
        f"RETURNING {_RETURNED}, request.expires_at <= clock_timestamp()",
        now,
        until,
        value,
    )
    return [Row(*row) for row in rows]


async def postpone(
    connection: Connection, request_id: UUID, *, until: datetime, reason: str, detail: str, pointer: str | None
) -> None:
    """Let it be tried again then, and say why."""
    await connection.execute(
        "UPDATE wallets.requests SET due_at = $2, reason = $3, detail = $4, pointer = $5 "
        "WHERE id = $1 AND ended_at IS NULL AND ends_as IS NULL",
        request_id,
        until,
        reason,
        detail,
        pointer,
    )


async def intend(
    connection: Connection,
    request_id: UUID,
    *,
    ends_as: EndsAs,
    reason: str | None = None,
    detail: str | None = None,
    pointer: str | None = None,
) -> Row | None:
    """Say what it is to end as if nothing was posted; the first who says so decides. None if it has ended."""
    row = await connection.fetchrow(
        "UPDATE wallets.requests AS request SET ends_as = coalesce(ends_as, $2), "
        "reason = CASE WHEN ends_as IS NULL THEN $3 ELSE reason END, "
        "detail = CASE WHEN ends_as IS NULL THEN $4 ELSE detail END, "
        "pointer = CASE WHEN ends_as IS NULL THEN $5 ELSE pointer END "
        f"WHERE id = $1 AND ended_at IS NULL RETURNING {_COLUMNS}",
        request_id,
        ends_as,
        reason,
        detail,
        pointer,
    )
    return None if row is None else Row(*row)


async def end(
    connection: Connection, transfer_ids: Mapping[UUID, UUID | None], *, now: datetime, wait: bool
) -> list[Row]:
    """End requests: each with its transfer, or as it is meant to end without one. Without those that have ended.

    Without those too whose rows somebody else holds now, unless they shall `wait` for them.
    """
    rows = await connection.fetch(
        "WITH given AS (SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS given (id, transfer_id)), "
        "open AS MATERIALIZED (SELECT id FROM wallets.requests WHERE id = ANY($1) AND ended_at IS NULL ORDER BY id "
        f"FOR UPDATE{'' if wait else ' SKIP LOCKED'}) "
        "UPDATE wallets.requests AS request SET ended_at = $3, transfer_id = given.transfer_id, "
        "status = CASE WHEN given.transfer_id IS NULL THEN request.ends_as ELSE 'completed' END, "
        "reason = CASE WHEN given.transfer_id IS NULL THEN request.reason END, "
        "detail = CASE WHEN given.transfer_id IS NULL THEN request.detail END, "
        "pointer = CASE WHEN given.transfer_id IS NULL THEN request.pointer END "
        f"FROM open JOIN given USING (id) WHERE request.id = open.id RETURNING {_RETURNED}",
        list(transfer_ids),
        list(transfer_ids.values()),
        now,
    )
    return [Row(*row) for row in rows]


async def backlog(connection: Connection, *, most: int) -> tuple[int, float]:
    """How many are open, counted up to `most`, and for how many seconds the oldest of these has been."""
    row = await connection.fetchrow(
        "SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(accepted_at)), 0)::float8 "
        "FROM (SELECT accepted_at FROM wallets.requests WHERE ended_at IS NULL LIMIT $1) AS open",
        most,
    )
    assert row is not None
    return row[0], row[1]
