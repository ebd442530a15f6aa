"""A transaction of the house's own that no block takes is replaced by one that offers more; one of the two happens."""

from datetime import timedelta
from typing import Any

import pytest

from billfold.custody.store import queue
from billfold.platform.postgres.database import Connection
from tests.integration.withdrawals.support import BAND, HOT, TOKEN_ASSET, WARM, Office

one_chain = pytest.mark.parametrize("chain_name", ["ethereum"], indirect=True)


async def stuck(office: Office, *, minutes: int = 16) -> int:
    """No block is made for so long; and how many transactions were replaced then."""
    office.clock.ahead += timedelta(minutes=minutes)
    done = await office.withdrawals.hurry(chain=office.chain.name)
    await office.withdrawals.work(chain=office.chain.name)
    return done


@one_chain
async def test_a_stuck_sweep_offers_more_out_of_what_it_moves(office: Office) -> None:
    _, address = await office.deposit(5_000, place=0)
    await office.work()
    await office.withdrawals.work(chain="ethereum")
    assert await stuck(office, minutes=10) == 0
    assert await stuck(office) == 1
    assert (await stuck(office, minutes=1), office.chain.waiting()) == (0, 1)
    await office.finish()
    # 20 were offered at first, then 23: what it costs is twice that, with room for a quarter more.
    assert office.chain.received(HOT) == [5_000 - 58]
    assert office.chain.balances()[address, ""] == 58 - 2 * 23 * 3 // 4
    await office.check_conserved()


@one_chain
async def test_a_stuck_sweep_waits_for_a_price_at_which_it_is_worth_it(office: Office) -> None:
    _, address = await office.deposit(5_000, place=0)
    await office.work()
    await office.withdrawals.work(chain="ethereum")
    office.chain.spike = 20
    assert await stuck(office) == 0
    office.chain.spike = 5
    assert await stuck(office) == 1
    await office.finish()
    # Twice 100 are what it costs at most, with room for a quarter more.
    assert office.chain.received(HOT) == [5_000 - 250]
    assert office.chain.balances()[address, ""] == 250 - 2 * 100 * 3 // 4
    await office.check_conserved()


@one_chain
async def test_a_stuck_surplus_and_a_stuck_gift_of_gas_arrive_once(office: Office) -> None:
    _, target, _ = BAND
    await office.endow(10_000)
    assert await office.tend() == 1
    _, address = await office.deposit(700, place=0, asset=TOKEN_ASSET)
    await office.withdrawals.sweep(chain="ethereum")
    await office.withdrawals.work(chain="ethereum")
    assert await stuck(office) == 2
    await office.finish()
    assert office.chain.received(WARM) == [10_000 - target]
    assert office.chain.received(address) == [50]
    await office.check_conserved()


@pytest.mark.parametrize("chain_name", ["solana"], indirect=True)
async def test_where_nothing_is_replaced_it_is_waited_for(office: Office) -> None:
    await office.deposit(5_000, place=0)
    await office.work()
    assert await stuck(office) == 0
    await office.finish()
    assert office.chain.received(HOT) == [5_000 - 40]
    await office.check_conserved()


@one_chain
async def test_what_has_died_meanwhile_is_not_replaced(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    await office.deposit(5_000, place=0)
    await office.work()
    await office.withdrawals.work(chain="ethereum")
    find = queue.stuck

    async def found_late(connection: Connection, *given: Any, **also: Any) -> list[queue.Tx]:
        found = await find(connection, *given, **also)
        await connection.execute("UPDATE custody.tx_queue SET state = 'dead'")
        return found

    monkeypatch.setattr(queue, "stuck", found_late)
    assert await stuck(office) == 0
