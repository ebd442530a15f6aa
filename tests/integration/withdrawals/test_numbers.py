"""The numbers of a source that sends its transactions one after the other: a gap would hold up all later ones."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from billfold.custody.store import allocations
from tests.integration.withdrawals.support import HOT, Office

#: As long as anybody would wait for what is not to happen.
SOON_S = 1
DEADLINE_S = 30

only_ethereum = pytest.mark.parametrize("chain_name", ["ethereum"], indirect=True)


async def numbers(office: Office) -> list[tuple[int, str]]:
    async with office.database.connection() as connection:
        rows = await connection.fetch("SELECT nonce, state FROM custody.allocations ORDER BY nonce, created_at")
    return [(row[0], row[1]) for row in rows]


@only_ethereum
async def test_a_cancellation_beside_an_allocation_leaves_no_gap(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await office.customer(100_000)
    first = (await office.request(account, 1_000, "sim-a")).withdrawal.id
    await office.withdrawals._allocating.round(office.chain)
    second = (await office.request(account, 1_000, "sim-b")).withdrawal.id
    looked, goes_on = asyncio.Event(), asyncio.Event()
    is_followed = allocations.is_followed

    async def held_up(*given: object) -> bool:
        found = await is_followed(*given)  # type: ignore[arg-type]
        looked.set()
        await goes_on.wait()
        return found

    monkeypatch.setattr(allocations, "is_followed", held_up)
    office.clock.ahead += timedelta(minutes=1)
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        group.create_task(office.withdrawals.cancel(withdrawal_id=first))
        await looked.wait()
        allocating = group.create_task(office.withdrawals._allocating.round(office.chain))
        await asyncio.wait([allocating], timeout=SOON_S)
        goes_on.set()
    assert await numbers(office) == [(0, "freed"), (0, "living")]
    ended = await office.finish(first, second)
    assert [one.status for one in ended] == ["cancelled", "settled"]
    await office.check_conserved(*ended)


@only_ethereum
async def test_a_gap_is_filled_by_what_leaves_next(office: Office) -> None:
    account = await office.customer(100_000)
    asked = [(await office.request(account, 1_000, f"sim-{to}")).withdrawal.id for to in "abc"]
    await office.withdrawals._allocating.round(office.chain)
    async with office.database.connection() as connection:
        # As it was left by a version that gave a number back that others waited for.
        gone = await connection.fetchval("SELECT allocation_id FROM custody.withdrawals WHERE id = $1", asked[1])
        await connection.execute("UPDATE custody.tx_queue SET state = 'dropped' WHERE allocation_id = $1", gone)
        await connection.execute("UPDATE custody.allocations SET state = 'freed' WHERE id = $1", gone)
        await connection.execute(
            "UPDATE custody.withdrawals SET state = 'held', allocation_id = NULL WHERE id = $1", asked[1]
        )
        left = await numbers(office)
        assert [one[1] for one in left] == ["living", "freed", "living"]
        gap = left[1][0]
        assert await allocations.next_nonces(connection, "ethereum", HOT, least=gap, count=3) == [gap, gap + 2, gap + 3]
        assert await allocations.next_nonces(connection, "ethereum", HOT, least=gap + 1, count=1) == [gap + 2]
        assert await allocations.next_nonces(connection, "ethereum", HOT, least=gap + 7, count=1) == [gap + 7]
    ended = await office.finish(*asked)
    assert {one.status for one in ended} == {"settled"}
    await office.check_conserved(*ended)
