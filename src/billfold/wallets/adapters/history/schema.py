"""The tables of the copy, and how entries and requests become rows and come back.

A row is written with the instant at which its entry was recorded as its CQL timestamp. So writing it again, in whatever
order, changes nothing; of the rows about an account's month the newest stays; and what was erased stays erased when an
event about it comes late, because the erasure is as young at least, and wins then.

A request is copied once it has ended, which is for ever; its instant is its end. Its partition is its owner and the
month of its id, in which it was accepted: so a row is found by what whoever asks has to know, and nobody else's is.

`wallet` and `month` are the partition of entries: 202611 is November 2026, in UTC. CQL's own timestamps have
milliseconds, entries have microseconds, so instants are whole microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from billfold.kernel import clock
from billfold.ledger.contracts import Entry

_TRANSACTIONS = """
CREATE TABLE IF NOT EXISTS {keyspace}.transactions (
    wallet uuid, month int, account uuid, recorded_us bigint,
    transfer uuid, version bigint, amount varint, balance varint, counterparty uuid, kind text,
    reference text, description text, metadata text, effective_us bigint,
    PRIMARY KEY ((wallet, month), account, recorded_us)
) WITH CLUSTERING ORDER BY (account ASC, recorded_us DESC)
"""
# Which months an account has entries in, so that no empty one is ever looked into, and its last version in each.
_MONTHS = """
CREATE TABLE IF NOT EXISTS {keyspace}.months (
    wallet uuid, account uuid, month int, version bigint, PRIMARY KEY (wallet, account, month)
) WITH CLUSTERING ORDER BY (account ASC, month DESC)
"""
# Whether the copy has all that is older than its consumer, and for how many days rows were written.
_STATE = """
CREATE TABLE IF NOT EXISTS {keyspace}.state (name text PRIMARY KEY, complete boolean, ttl_days int, rebuild uuid)
"""
# The order of ids is the order of acceptance.
_REQUESTS = """
CREATE TABLE IF NOT EXISTS {keyspace}.requests (
    owner uuid, month int, id uuid, status text, request text, PRIMARY KEY ((owner, month), id)
) WITH CLUSTERING ORDER BY (id DESC)
"""
TABLES = (_TRANSACTIONS, _MONTHS, _STATE, _REQUESTS)

_COLUMNS = (
    "recorded_us, transfer, version, amount, balance, counterparty, kind, reference, description, metadata, "
    "effective_us"
)
INSERT = (
    f"INSERT INTO {{keyspace}}.transactions (wallet, month, account, {_COLUMNS}) "  # noqa: S608 - constants
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?"
)
SELECT = (
    f"SELECT {_COLUMNS} FROM {{keyspace}}.transactions "  # noqa: S608 - constants
    "WHERE wallet = ? AND month = ? AND account = ? AND recorded_us <= ? AND recorded_us >= ? LIMIT ?"
)
# The versions of the rows beside a range.
SELECT_NEWER = (
    "SELECT version FROM {keyspace}.transactions WHERE wallet = ? AND month = ? AND account = ? AND recorded_us > ? "
    "ORDER BY account DESC, recorded_us ASC LIMIT 1"
)
SELECT_OLDER = (
    "SELECT version FROM {keyspace}.transactions WHERE wallet = ? AND month = ? AND account = ? AND recorded_us < ? "
    "LIMIT 1"
)
INSERT_MONTH = (
    "INSERT INTO {keyspace}.months (wallet, account, month, version) VALUES (?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?"
)
SELECT_MONTHS = "SELECT account, month, version FROM {keyspace}.months WHERE wallet = ?"
ERASE = "DELETE FROM {keyspace}.transactions USING TIMESTAMP ? WHERE wallet = ? AND month = ?"
ERASE_MONTHS = "DELETE FROM {keyspace}.months USING TIMESTAMP ? WHERE wallet = ?"
INSERT_REQUEST = (
    "INSERT INTO {keyspace}.requests (owner, month, id, status, request) VALUES (?, ?, ?, ?, ?) "
    "USING TIMESTAMP ? AND TTL ?"
)
SELECT_REQUEST = "SELECT request FROM {keyspace}.requests WHERE owner = ? AND month = ? AND id = ?"
ERASE_REQUESTS = "DELETE FROM {keyspace}.requests USING TIMESTAMP ? WHERE owner = ? AND month = ?"
EMPTY = ("TRUNCATE {keyspace}.transactions", "TRUNCATE {keyspace}.months", "TRUNCATE {keyspace}.requests")
DATACENTER = "SELECT data_center FROM system.local"
SELECT_STATE = "SELECT complete, ttl_days, rebuild FROM {keyspace}.state WHERE name = 'transactions'"
WRITE_STATE = "INSERT INTO {keyspace}.state (name, complete, ttl_days, rebuild) VALUES ('transactions', ?, ?, ?)"

_METADATA = msgspec.json.Decoder(dict[str, str])
#: Of UUIDv7, which begin with the milliseconds since 1970 (RFC 9562 §5.7).
_ID_VERSION = 7
_ID_MS_SHIFT = 80
_LAST_US = clock.microseconds(clock.LATEST)
_DAY_US = 24 * 60 * 60 * 1_000_000


def month_of(us: int) -> int:
    """The month of an instant: 202611 is November 2026."""
    at = clock.EPOCH + timedelta(microseconds=us)
    return at.year * 100 + at.month


def month_of_id(made: UUID) -> int | None:
    """The month in which an id of ours was made; None for one that is not, whoever has made it."""
    us = (made.int >> _ID_MS_SHIFT) * 1_000
    return month_of(us) if made.version == _ID_VERSION and us <= _LAST_US else None


def row_of(wallet: UUID, entry: Entry) -> tuple[Any, ...]:
    """The values of INSERT, but for its timestamp and TTL."""
    recorded_us = clock.microseconds(entry.recorded_at)
    return (
        wallet,
        month_of(recorded_us),
        entry.account,
        recorded_us,
        entry.transfer_id,
        entry.version,
        entry.amount,
        entry.balance,
        entry.counterparty,
        entry.kind,
        entry.reference,
        entry.description,
        msgspec.json.encode(entry.metadata).decode() if entry.metadata else "",
        clock.microseconds(entry.effective_at),
    )


def entry_of(account: UUID, row: Sequence[Any]) -> Entry:
    """The entry of a row of SELECT."""
    recorded_us, transfer, version, amount, balance, counterparty, kind, reference, description, metadata, effective = (
        row
    )
    return Entry(
        transfer_id=transfer,
        account=account,
        version=version,
        amount=amount,
        balance=balance,
        counterparty=counterparty,
        kind=kind,
        reference=reference,
        description=description,
        metadata=_METADATA.decode(metadata) if metadata else {},
        effective_at=_instant(effective),
        recorded_at=_instant(recorded_us),
    )


def _instant(us: int) -> datetime:
    return clock.EPOCH + timedelta(microseconds=us)


#: Seconds since 1970. Its `storage_compatibility_mode` moves that to 2106.
EXPIRES_MAX_S = 2**31 - 2


def ttl_left_s(recorded_us: int, now_us: int, ttl_days: int) -> int:
    """For how many seconds a row is still kept; 0 where it is too old to be written at all.

    Not beyond the last second that Cassandra can expire as it is configured by itself, in January 2038: it refuses such
    rows. Who reads for longer than that finds their history in PostgreSQL.
    """
    return max(0, (min(recorded_us + ttl_days * _DAY_US, EXPIRES_MAX_S * 1_000_000) - now_us) // 1_000_000)


def horizon_us(now_us: int, ttl_days: int) -> int:
    """What was recorded before may have gone already. A day of margin is for clocks, and for nodes that expire late."""
    return now_us - (ttl_days - 1) * _DAY_US
