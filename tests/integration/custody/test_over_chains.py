"""Custody over the chains of this machine, from the faucet to a reorganisation that takes all back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, cast
from uuid import UUID

import pytest

from billfold.chains.nodes import Nodes
from billfold.chains.signing_port import Keys, Purpose
from billfold.custody import Showing
from billfold.devnet.bitcoin import COOKIE
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from tests.integration.custody.support import Bank, NamedPlaces

DEADLINE_S = 90.0
UNITS = {"bitcoin": 10**8, "ethereum": 10**18, "solana": 10**9, "stellar": 10**7}


class RealKeys(NamedPlaces):
    """Addresses that nodes take, of a seed that everybody knows."""

    def __init__(self, chain: str) -> None:
        super().__init__()
        self._keys = cast("Keys", import_module(f"billfold.chains.{chain}.keys"))

    async def addresses(self, *, tree_id: UUID, purpose: Purpose, first: int, count: int) -> Sequence[str]:
        seed = tree_id.bytes * 4
        return self._keys.addresses(seed, purpose=purpose, first=first, count=count, network="sandbox")


@asynccontextmanager
async def opened(name: str, server: Any, database: Database, ledger: Ledger) -> AsyncIterator[Bank]:
    """Custody over one of the chains."""
    url = server.url
    if name == "bitcoin":
        url = url.replace("http://", f"http://{(server.folder / COOKIE).read_text()}@")
    chain = import_module(f"billfold.chains.{name}").open(Nodes(network="sandbox", urls=[url]))
    showing = cast("Showing", import_module(f"billfold.chains.{name}.showing"))
    try:
        yield Bank(database=database, ledger=ledger, chain=chain, signer=RealKeys(name), showing=showing)
    finally:
        await chain.close()


@pytest.mark.parametrize("name", ["bitcoin", "ethereum", "solana", "stellar"])
async def test_a_payment_is_credited_and_released_and_taken_back_where_that_happens(
    request: pytest.FixtureRequest, database: Database, ledger: Ledger, name: str
) -> None:
    server = request.getfixturevalue(f"{name}_server")
    coin = {"bitcoin": "BTC", "ethereum": "ETH", "solana": "SOL", "stellar": "XLM"}[name]
    async with opened(name, server, database, ledger) as bank:
        server.mine(3)
        wallet, address = await bank.wallet()
        (shown,) = await bank.custody.addresses.of_wallet(wallet_id=wallet)
        memo = None if shown.memo is None else f"id:{shown.memo}"
        if memo is not None:
            # The shared account is the house's to open.
            server.faucet(address, "10")
        await bank.read()
        paid = server.faucet(address, "5", memo=memo)

        async def state() -> tuple[list[str], int]:
            await bank.read()
            found = (await bank.custody.deposits.page(wallet_id=wallet)).items
            return [one.state for one in found], await bank.balance(wallet, coin)

        server.mine(2)
        await _becomes(state, (["credited"], 5 * UNITS[name]))
        (explained,) = (await bank.custody.explaining.explain(chain_tx=paid, own=None)).found
        assert explained.verdict == "credited"
        if name == "bitcoin":
            server.reorg(2, drop=True)
            await _becomes(state, (["reverted"], 0))
        else:
            server.mine(2)
            await _becomes(state, (["releasable"], 5 * UNITS[name]))
        assert (await ledger.verify()).faults == []


async def _becomes(state: Callable[[], Awaitable[object]], expected: object) -> None:
    found: object = None
    try:
        async with asyncio.timeout(DEADLINE_S):
            while (found := await state()) != expected:  # noqa: ASYNC110 - nobody tells us.
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"it is {found}, and not {expected}") from None
