"""Whatever a chain does, and however many read it: the ledger ends up with what the chain has, and nothing else."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from billfold.chains.port import Head
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from tests.integration.custody.simulated import SimulatedChain
from tests.integration.custody.support import TERMS, Bank

STEPS = 25
WALLETS = 4


class Stale:
    """A node of the same chain that is some blocks late."""

    def __init__(self, chain: SimulatedChain, *, late: int) -> None:
        self._chain = chain
        self._late = late

    async def head(self) -> Head:
        last = self._chain.state.blocks[max(len(self._chain.state.blocks) - 1 - self._late, 0)]
        return Head(height=last.height, hash=last.hash, time=last.time)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_ledger_has_what_the_chain_has(database: Database, ledger: Ledger, seed: int) -> None:
    chance = random.Random(seed)
    chain = SimulatedChain()
    # Frozen wallets take nothing until somebody looks; here it is about the money alone.
    bank = Bank(database=database, ledger=ledger, chain=chain, freezes=False)
    late = Bank(database=database, ledger=ledger, chain=Stale(chain, late=2), freezes=False)
    wallets = dict([await bank.wallet() for _ in range(WALLETS)])
    await bank.read()
    for _ in range(STEPS):
        _happen(chain, chance, list(wallets.values()))
        for reader in chance.sample([bank, late], chance.randint(0, 2)):
            await reader.custody.watchers[chain.name].look()
    chain.mine(TERMS.release_after)
    await bank.read()
    await bank.read()
    for wallet_id, address in wallets.items():
        assert await bank.balance(wallet_id) == sum(one.amount for one in chain.on_chain() if one.address == address)
    assert await bank.held("omnibus") == -sum(one.amount for one in chain.on_chain())
    assert await bank.held("liquidity") == await bank.held("suspense") == 0
    assert set(await bank.states()) <= {"releasable", "reverted"}
    assert (await ledger.verify()).faults == []
    await _each_was_credited_once(database)


def _happen(chain: SimulatedChain, chance: random.Random, addresses: list[str]) -> None:
    """One thing that chains do."""
    what = chance.random()
    if what < 0.6:
        for _ in range(chance.randint(0, 3)):
            chain.pay(chance.choice(addresses), chance.randint(1, 10**12))
        chain.mine(chance.randint(1, 3))
    elif what < 0.9 and len(chain.state.blocks) > TERMS.reorg_limit:
        chain.reorganise(chance.randint(1, TERMS.reorg_limit - 2), drop=chance.random() < 0.5)
    else:
        lost = chain.reorganise(1, drop=True) if len(chain.state.blocks) > 1 else []
        chain.state.waiting += lost


async def _each_was_credited_once(database: Database) -> None:
    """Of each deposit and epoch there is one transfer, and one that takes it back where it was taken back."""
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT kind, metadata FROM ledger.transfers WHERE metadata <> ''")
        ends = await connection.fetch("SELECT id, state, epoch FROM custody.deposits")
    counted: Counter[tuple[str, str]] = Counter((row["metadata"], row["kind"]) for row in rows)
    by_deposit: Counter[tuple[UUID, str]] = Counter()
    for row in ends:
        for (metadata, kind), number in counted.items():
            if str(row["id"]) in metadata:
                by_deposit[row["id"], kind] += number
        credited, taken = by_deposit[row["id"], "deposit"], by_deposit[row["id"], "adjustment"]
        assert credited - taken == (row["state"] == "releasable"), row
        assert credited <= row["epoch"] + 1, row
