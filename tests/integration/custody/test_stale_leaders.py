"""Of two who look after a chain, one stands still while the ledger is asked, and goes on when the other has done more.

Each test takes the steps of both by hand, in the order in which it went wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

import pytest

from billfold.custody.events.deposits import Assigned
from billfold.custody.service.watching import Watcher
from billfold.custody.store import deposits
from billfold.custody.store import unmatched as claims
from billfold.kernel import ids
from billfold.kernel.principal import Principal
from tests.integration.custody.simulated import SimulatedChain
from tests.integration.custody.support import Bank


async def read_only(watcher: Watcher) -> int:
    """Read the chain to its end, and do nothing about it. Returns the height."""
    cursor, _ = await watcher._read(await watcher._cursor(), await watcher._assets())
    return cursor.height


def word_of_an_operator(wallet: UUID) -> Assigned:
    return Assigned(wallet_id=wallet, asked_by=ids.new(), reason="ticket 1")


async def claim_for(bank: Bank, wallet: UUID) -> None:
    """Write down whose the deposit is that is nobody's; nothing is moved yet."""
    async with bank.database.transaction() as connection:
        (row,) = await deposits.page(connection, wallet_id=None, kind="unmatched", before=None, limit=1)
        claimed = await bank.custody.unmatched._claim(connection, row, word_of_an_operator(wallet))
    assert claimed is not None


async def open_claims(bank: Bank) -> Callable[..., Awaitable[Sequence[Any]]]:
    """What reads the claims that are open, and goes on to find those that are open now."""
    async with bank.database.connection() as connection:
        stale = await claims.open_(connection, "bitcoin", limit=1)

    async def as_it_was(_: Any, __: str, *, limit: int) -> Sequence[Any]:
        return stale[:limit]

    return as_it_was


async def test_a_stale_refusal_does_not_take_back_what_was_asked_since(bank: Bank, ada: Principal) -> None:
    await bank.pay_closed_wallet(ada)
    watcher = bank.custody.watchers["bitcoin"]
    height = await read_only(watcher)
    stale = await watcher._crediting._start(height)
    # The other one hears the refusal, lets it be nobody's money, and begins to ask for that.
    await watcher._crediting.finish()
    second = await watcher._crediting._start(height)
    await watcher._crediting._ask(stale)
    await watcher._crediting._ask(second)
    await bank.read()
    assert (await bank.held("suspense"), await bank.held("omnibus"), await bank.states()) == (700, -700, ["credited"])


async def test_what_returns_while_it_is_taken_back_is_credited_again(bank: Bank, chain: SimulatedChain) -> None:
    wallet, address = await bank.wallet()
    await bank.read()
    chain.pay(address, 700)
    chain.mine(2)
    await bank.read()
    lost = chain.reorganise(2, drop=True)
    watcher = bank.custody.watchers["bitcoin"]
    await read_only(watcher)
    gone = await watcher._reverting._start()
    chain.state.waiting.extend(lost)
    chain.mine()
    await read_only(watcher)
    await watcher._reverting._ask(gone)
    chain.mine(2)
    await bank.read()
    assert (await bank.balance(wallet), await bank.held("omnibus"), await bank.states()) == (700, -700, ["credited"])
    assert await bank.told() == ["detected", "credited", "reverted", "detected", "credited"]


async def test_a_claim_that_was_moved_is_not_moved_again_when_its_deposit_has_returned(
    bank: Bank, chain: SimulatedChain, ada: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, _ = await bank.wallet(ada)
    await bank.keep_unmatched(ada)
    unmatched = bank.custody.unmatched
    await claim_for(bank, other)
    as_it_was = await open_claims(bank)
    await unmatched.finish(chain="bitcoin")
    chain.state.waiting = chain.reorganise(2, drop=True)
    await bank.read()
    chain.mine(2)
    await bank.read()
    monkeypatch.setattr(claims, "open_", as_it_was)
    await unmatched.finish(chain="bitcoin")
    assert (await bank.balance(other), await bank.held("suspense"), await bank.held("omnibus")) == (700, 0, -700)


async def test_a_claim_of_a_wallet_that_has_closed_says_nothing_of_the_wallet_that_is_given_the_deposit_then(
    bank: Bank, chain: SimulatedChain, ada: Principal, operator: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, _), (second, _) = await bank.wallet(ada), await bank.wallet(ada)
    await bank.keep_unmatched(ada)
    unmatched = bank.custody.unmatched
    await claim_for(bank, first)
    as_it_was = await open_claims(bank)
    await unmatched.finish(chain="bitcoin")
    chain.state.waiting = chain.reorganise(2, drop=True)
    await bank.read()
    await bank.wallets.registry.unfreeze(principal=operator, wallet_id=first)
    await bank.wallets.registry.close(principal=ada, wallet_id=first)
    chain.mine(2)
    for _ in range(2):
        await bank.read()
    await claim_for(bank, second)
    with monkeypatch.context() as patched:
        patched.setattr(claims, "open_", as_it_was)
        await unmatched.finish(chain="bitcoin")
    assert (await bank.balance(second), await bank.held("suspense")) == (0, 700)
    await unmatched.finish(chain="bitcoin")
    assert (await bank.balance(second), await bank.held("suspense"), await bank.held("omnibus")) == (700, 0, -700)


async def test_what_is_being_given_to_a_wallet_is_not_taken_back_from_suspense_meanwhile(
    bank: Bank, chain: SimulatedChain, ada: Principal
) -> None:
    (closed, address), (other, _) = [await bank.wallet(ada) for _ in range(2)]
    await bank.read()
    await bank.wallets.registry.close(principal=ada, wallet_id=closed)
    chain.pay(address, 700)
    chain.mine(2)
    for _ in range(2):
        await bank.read()
    chain.reorganise(2, drop=True)
    watcher, unmatched = bank.custody.watchers["bitcoin"], bank.custody.unmatched
    await read_only(watcher)
    async with bank.database.transaction() as connection:
        (found,) = await deposits.page(connection, wallet_id=None, kind="unmatched", before=None, limit=1)
        row = await deposits.get(connection, found.id, lock=True)
        assert row is not None
        claim = await unmatched._claim(connection, row, word_of_an_operator(other))
        assert claim is not None
        # The other one has looked before this is committed, and waits for the row.
        taking_back = asyncio.create_task(watcher._reverting.run())
        await _until_somebody_waits(bank)
    await taking_back
    await unmatched._move(row, claim)
    await bank.read()
    assert (await bank.balance(other), await bank.held("suspense"), await bank.held("omnibus")) == (0, 0, 0)


async def _until_somebody_waits(bank: Bank) -> None:
    """For the row of a deposit."""
    async with asyncio.timeout(5), bank.database.connection() as connection:
        while not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event_type = 'Lock' AND query LIKE '%custody.deposits%')"
        ):
            pass
