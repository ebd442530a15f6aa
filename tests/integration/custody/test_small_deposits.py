"""Sums below the minimum, of which anybody may send as many as they like."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from billfold.custody.service import crediting
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from tests.integration.custody.simulated import SimulatedChain
from tests.integration.custody.support import TERMS, Bank


async def test_dust_does_not_keep_what_comes_later_from_being_added_up(
    database: Database, ledger: Ledger, chain: SimulatedChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crediting, "SMALL_MAX", 5)
    bank = Bank(database=database, ledger=ledger, chain=chain, terms=replace(TERMS, minimum={"BTC": "0.00000100"}))
    wallet, address = await bank.wallet()
    await bank.read()
    for _ in range(6):
        chain.pay(address, 1)
    chain.mine(2)
    await bank.read()
    for _ in range(2):
        assert await bank.balance(wallet) == 0
        chain.pay(address, 60)
        chain.mine(2)
        await bank.read()
    # The two and three of the dust: so many are added up at a time.
    assert await bank.balance(wallet) == 123
    assert (await bank.states()).count("detected") == 3
