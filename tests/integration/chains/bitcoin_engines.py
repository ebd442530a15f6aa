"""The nodes that the adapter for Bitcoin is tried on, made alike: give coins, make blocks, replace blocks."""

from __future__ import annotations

from abc import ABC, abstractmethod

import httpx2

from billfold.chains.bitcoin import keys, signing
from billfold.chains.bitcoin.chain import Bitcoin
from billfold.chains.nodes import Nodes
from billfold.chains.port import Allocation, Coin, Payment, Rate
from billfold.chains.signing_port import Place
from tests.servers.btcd import BtcdServer
from tests.servers.devnets import DevnetServer

#: What all keys of these tests come from.
SEED = bytes(range(7, 71))
#: Who mines in btcd.
MINER = Place(purpose="hot", index=0)
#: Of the local chain: less than by default, so that few blocks have to be made.
FINAL_BLOCKS = 3


def address(place: Place) -> str:
    """The address of a key."""
    [found] = keys.addresses(SEED, purpose=place.purpose, first=place.index, count=1, network="sandbox")
    return found


class Engine(ABC):
    """A node of regtest."""

    def nodes(self) -> Nodes:
        """As an adapter is told of it."""
        return Nodes(network="sandbox", urls=[self.url])

    def chain(self) -> Bitcoin:
        """An adapter of it."""
        return Bitcoin(self.nodes(), final_blocks=FINAL_BLOCKS)

    @property
    @abstractmethod
    def url(self) -> str:
        """With the words by which we log in."""

    @abstractmethod
    async def give(self, to: str, satoshi: int) -> str:
        """Send coins; the id of the transaction, which waits for a block."""

    @abstractmethod
    def mine(self, blocks: int = 1) -> None:
        """Make blocks."""

    @abstractmethod
    def mine_for_us(self) -> None:
        """Make a block whose new coins are ours."""

    @abstractmethod
    def replace(self, depth: int) -> None:
        """Replace the last blocks by one more; their transactions wait again or are in blocks again."""


class Local(Engine):
    """Our devnet."""

    def __init__(self, server: DevnetServer) -> None:
        self._server = server

    @property
    def url(self) -> str:
        cookie = (self._server.folder / ".cookie").read_text()
        return f"http://{cookie}@{self._server.url.removeprefix('http://')}/"

    async def give(self, to: str, satoshi: int) -> str:
        return self._server.faucet(to, f"{satoshi // 10**8}.{satoshi % 10**8:08d}")

    def mine(self, blocks: int = 1) -> None:
        self._server.mine(blocks)

    def mine_for_us(self) -> None:
        call = {"id": 1, "method": "generatetoaddress", "params": [1, address(MINER)]}
        httpx2.post(self.url, json=call, trust_env=False).raise_for_status()

    def replace(self, depth: int) -> None:
        self._server.reorg(depth)


class Btcd(Engine):
    """btcd, whose coins are those that it mines for us."""

    def __init__(self, server: BtcdServer) -> None:
        self._server = server
        self._next = 1
        self.mine(120)

    @property
    def url(self) -> str:
        return self._server.url

    async def give(self, to: str, satoshi: int) -> str:
        chain = self.chain()
        try:
            block = await chain.block(self._next)
            self._next += 1
            assert block is not None
            [made] = [each for each in block.movements if each.matures_after]
            coin = Coin(chain_tx=made.chain_tx, index=made.index, address=made.address, amount=made.amount)
            allocation = Allocation(source=made.address, coins=[coin], change=made.address)
            payments = [Payment(address=to, amount=satoshi)]
            unsigned = await chain.build(payments, allocation, rate=Rate(numbers={"sat_per_kvb": 5_000}))
            signed = signing.sign(unsigned.payload, SEED, places={made.address: MINER}, network="sandbox")
            await chain.broadcast(signed)
        finally:
            await chain.close()
        return signed.chain_tx

    def mine(self, blocks: int = 1) -> None:
        self._server.rpc("generate", blocks)

    def mine_for_us(self) -> None:
        self.mine()

    def replace(self, depth: int) -> None:
        height = self._server.rpc("getblockcount")
        self._server.rpc("invalidateblock", self._server.rpc("getblockhash", height - depth + 1))
        self.mine(depth + 1)
