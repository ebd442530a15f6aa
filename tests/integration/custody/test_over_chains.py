"""Custody over the real Bitcoin of this machine, from the faucet to a reorganisation that takes all back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from billfold.chains import bitcoin
from billfold.chains.bitcoin import keys
from billfold.chains.nodes import Nodes
from billfold.chains.signing_port import Purpose
from billfold.devnet.bitcoin import COOKIE
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from tests.integration.custody.support import Bank, NamedPlaces
from tests.servers.devnets import DevnetServer

DEADLINE_S = 60.0


class RealKeys(NamedPlaces):
    """Addresses that nodes take, of a seed that everybody knows."""

    async def addresses(self, *, tree_id: UUID, purpose: Purpose, first: int, count: int) -> Sequence[str]:
        return keys.addresses(tree_id.bytes * 4, purpose=purpose, first=first, count=count, network="sandbox")


async def test_a_payment_on_bitcoin_is_credited_released_and_taken_back(
    database: Database, ledger: Ledger, bitcoin_server: DevnetServer
) -> None:
    login = (bitcoin_server.folder / COOKIE).read_text()
    url = bitcoin_server.url.replace("http://", f"http://{login}@")
    chain = bitcoin.open(Nodes(network="sandbox", urls=[url]))
    try:
        bank = Bank(database=database, ledger=ledger, chain=chain, signer=RealKeys())
        wallet, address = await bank.wallet()
        bitcoin_server.mine(3)
        await bank.read()
        paid = bitcoin_server.faucet(address, "0.5")

        async def state() -> tuple[list[str], int]:
            await bank.read()
            return await bank.states(), await bank.balance(wallet)

        await _becomes(state, (["detected"], 0))
        (explained,) = (await bank.custody.explaining.explain(chain_tx=paid, own=None)).found
        assert explained.verdict == "pending"
        bitcoin_server.mine(2)
        await _becomes(state, (["credited"], 50_000_000))
        bitcoin_server.mine(2)
        await _becomes(state, (["releasable"], 50_000_000))
        bitcoin_server.reorg(4, drop=True)
        await _becomes(state, (["reverted"], 0))
        assert (await bank.held("omnibus"), (await ledger.verify()).faults) == (0, [])
        assert await bank.told() == ["detected", "credited", "releasable", "reverted"]
    finally:
        await chain.close()


async def _becomes(state: Callable[[], Awaitable[object]], expected: object) -> None:
    found: object = None
    try:
        async with asyncio.timeout(DEADLINE_S):
            while (found := await state()) != expected:  # noqa: ASYNC110 - nobody tells us.
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"it is {found}, and not {expected}") from None
