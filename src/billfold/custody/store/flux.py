"""SQL over all that is on its way: what the chain has and the ledger not yet, and the other way about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from billfold.custody.contracts.reconciling import IDS_MAX
from billfold.custody.store.allocations import AllocationRow
from billfold.custody.store.deposits import COLUMNS as DEPOSIT
from billfold.custody.store.deposits import Row as Deposit
from billfold.custody.store.queue import Tx
from billfold.custody.store.withdrawals import Hold
from billfold.custody.store.withdrawals import Row as Withdrawal
from billfold.platform.postgres.database import Connection

_ALLOCATION = ", ".join(f"a.{name}" for name in AllocationRow.__struct_fields__)
_TX = ", ".join(Tx.__struct_fields__)
_WITHDRAWAL = ", ".join(Withdrawal.__struct_fields__)
_SUMMED = f"count(*), sum(amount), (array_agg(id ORDER BY id))[1:{IDS_MAX}]"


class Summed(msgspec.Struct, frozen=True):
    """Many rows that say the same of an asset or a token."""

    of: str
    #: Why they wait, if they do.
    waits: str | None
    count: int
    units: int
    ids: Sequence[str]


async def freeze(connection: Connection) -> None:
    """Let all that this database transaction reads be of one instant. To be called first."""
    await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


async def uncredited(connection: Connection, chain: str) -> list[Summed]:
    """Deposits that a block has and nobody has asked the ledger for."""
    rows = await connection.fetch(
        f"SELECT asset, waits, {_SUMMED} FROM custody.deposits "
        "WHERE chain = $1 AND state = 'detected' AND height IS NOT NULL GROUP BY asset, waits",
        chain,
    )
    return [_summed(row) for row in rows]


async def gone(connection: Connection, chain: str) -> list[Summed]:
    """Deposits that are in the ledger and in no block."""
    rows = await connection.fetch(
        f"SELECT asset, NULL, {_SUMMED} FROM custody.deposits "
        "WHERE chain = $1 AND height IS NULL AND state IN ('credited', 'releasable') GROUP BY asset",
        chain,
    )
    return [_summed(row) for row in rows]


async def asked(connection: Connection, chain: str, *, limit: int) -> list[Deposit]:
    """Deposits that the ledger is being asked to credit or to take back."""
    rows = await connection.fetch(
        f"SELECT {DEPOSIT} FROM custody.deposits WHERE chain = $1 AND state IN ('crediting', 'reverting') LIMIT $2",
        chain,
        limit,
    )
    return [Deposit(*row) for row in rows]


async def unlisted(connection: Connection, chain: str, tokens: Sequence[str]) -> list[Summed]:
    """What came of tokens that were no assets then."""
    rows = await connection.fetch(
        f"SELECT token, NULL, count(*), sum(amount), (array_agg(chain_tx ORDER BY height))[1:{IDS_MAX}] "
        "FROM custody.ignored WHERE chain = $1 AND token = ANY($2::text[]) AND reason = 'token_not_listed' "
        "GROUP BY token",
        chain,
        list(tokens),
    )
    return [_summed(row) for row in rows]


def _summed(row: Any) -> Summed:
    of, waits, count, units, named = row
    return Summed(of, waits, count, int(units), [str(one) for one in named])


async def allocations(connection: Connection, chain: str, *, height: int, limit: int) -> list[AllocationRow]:
    """Those that are not done with: in the chain, in the ledger, or only in blocks after a height."""
    rows = await connection.fetch(
        f"""
        SELECT {_ALLOCATION} FROM custody.allocations AS a WHERE a.id IN (
            SELECT id FROM custody.allocations WHERE chain = $1 AND state IN ('living', 'settling')
            UNION SELECT allocation_id FROM custody.withdrawals
                WHERE chain = $1 AND state = 'settling' AND allocation_id IS NOT NULL
            UNION SELECT allocation_id FROM custody.tx_queue WHERE chain = $1 AND height > $2
        ) LIMIT $3
        """,
        chain,
        height,
        limit,
    )
    return [AllocationRow(*row) for row in rows]


async def txs(connection: Connection, allocations: Sequence[UUID]) -> Mapping[UUID, list[Tx]]:
    """Their transactions that were signed and may have happened, by allocation."""
    rows = await connection.fetch(
        f"SELECT {_TX} FROM custody.tx_queue WHERE allocation_id = ANY($1) AND raw IS NOT NULL "
        "AND state NOT IN ('dead', 'dropped') ORDER BY created_at, id",
        allocations,
    )
    found: dict[UUID, list[Tx]] = {}
    for row in rows:
        tx = Tx(*row)
        found.setdefault(tx.allocation_id, []).append(tx)
    return found


async def pays(connection: Connection, allocations: Sequence[UUID]) -> Mapping[UUID, list[UUID]]:
    """The withdrawals that each of their transactions pays."""
    rows = await connection.fetch(
        "SELECT p.tx_id, p.withdrawal_id FROM custody.tx_payments p JOIN custody.tx_queue t ON t.id = p.tx_id "
        "WHERE t.allocation_id = ANY($1) AND p.withdrawal_id IS NOT NULL",
        allocations,
    )
    found: dict[UUID, list[UUID]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row[1])
    return found


async def to_warm(connection: Connection, allocations: Sequence[UUID]) -> Mapping[UUID, tuple[str | None, int]]:
    """What each is to bring to the operator's own warm address, by token; its transactions all bring the same."""
    rows = await connection.fetch(
        "SELECT DISTINCT t.allocation_id, p.token, p.amount FROM custody.tx_payments p "
        "JOIN custody.tx_queue t ON t.id = p.tx_id WHERE t.allocation_id = ANY($1) AND t.kind = 'warm'",
        allocations,
    )
    return {row[0]: (row[1], int(row[2])) for row in rows}


async def withdrawals(connection: Connection, allocations: Sequence[UUID]) -> Mapping[UUID, list[Withdrawal]]:
    """The withdrawals that share each."""
    rows = await connection.fetch(
        f"SELECT {_WITHDRAWAL} FROM custody.withdrawals WHERE allocation_id = ANY($1) ORDER BY id", allocations
    )
    found: dict[UUID, list[Withdrawal]] = {}
    for row in rows:
        one = Withdrawal(*row)
        assert one.allocation_id is not None, "it was asked for by that"
        found.setdefault(one.allocation_id, []).append(one)
    return found


async def holds(connection: Connection, withdrawals: Sequence[UUID]) -> Mapping[UUID, list[Hold]]:
    """What the ledger holds for each, or was to hold."""
    rows = await connection.fetch(
        "SELECT withdrawal_id, number, amount, hold_id FROM custody.withdrawal_holds WHERE withdrawal_id = ANY($1) "
        "ORDER BY withdrawal_id, number",
        withdrawals,
    )
    found: dict[UUID, list[Hold]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(Hold(*row[1:]))
    return found
