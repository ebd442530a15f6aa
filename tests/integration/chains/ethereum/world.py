"""A node of Ethereum, strangers who send what they like, contracts that nobody should trust, and a house of ours."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import httpx2
import msgspec
from eth_abi import abi
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import abi as abis

from billfold.chains import ethereum
from billfold.chains.ethereum import addresses, keys, signing
from billfold.chains.nodes import Nodes
from billfold.chains.port import Allocation, Block, Chain, Movement, Payment, Rate, Signed
from billfold.chains.signing_port import Place
from billfold.devnet.ethereum import faucet
from billfold.devnet.proxy import messages
from tests.servers.devnets import DevnetServer

_FILES = (Path(__file__).parent / "contracts" / "Hostile.json", Path(faucet.__file__).parent / "Token.json")
CONTRACTS: dict[str, str] = {
    name: code for file in _FILES for name, code in msgspec.json.decode(file.read_bytes()).items()
}
ETH = 10**18
GWEI = 10**9
TIMEOUT_S = 30.0
RATE = Rate(numbers={"max_fee_per_gas": 20 * GWEI, "max_priority_fee_per_gas": GWEI})


class Stranger:
    """Somebody with a key and some coins who sends whatever it likes."""

    def __init__(self, server: DevnetServer, *, coins: str = "10") -> None:
        self._server = server
        self._account: LocalAccount = Account.create()
        self.address = str(self._account.address)
        server.faucet(self.address, coins)
        server.mine()

    def send(self, to: str | None, *, value: int = 0, data: bytes = b"", nonce: int | None = None) -> str:
        """Hand over a transaction; it waits for a block."""
        if nonce is None:
            nonce = int(rpc(self._server, "eth_getTransactionCount", self.address, "pending"), 16)
        what: dict[str, Any] = {
            "type": 2,
            "chainId": 31337,
            "nonce": nonce,
            "gas": 1_500_000,
            "value": value,
            "data": data,
        }
        what |= {"to": to or b"", "maxFeePerGas": 50 * GWEI, "maxPriorityFeePerGas": GWEI}
        signed = self._account.sign_transaction(what)
        return str(rpc(self._server, "eth_sendRawTransaction", "0x" + bytes(signed.raw_transaction).hex()))

    def call(self, to: str, function: str, *arguments: Any, value: int = 0) -> str:
        """Call a function such as `transfer(address,uint256)`."""
        types = function.partition("(")[2].rstrip(")").split(",")
        data = abis.function_signature_to_4byte_selector(function) + abi.encode(types, arguments)
        return self.send(to, value=value, data=data)

    def deploy(self, name: str, types: Sequence[str] = (), arguments: Sequence[Any] = ()) -> str:
        """The address of a new contract."""
        code = bytes.fromhex(CONTRACTS[name].removeprefix("0x")) + abi.encode(types, arguments)
        chain_tx = self.send(None, data=code)
        self._server.mine()
        receipt = rpc(self._server, "eth_getTransactionReceipt", chain_tx)
        assert receipt["status"] == "0x1", receipt
        return addresses.canonical(receipt["contractAddress"])


class House:
    """Keys, and a chain to use them on."""

    def __init__(self, server: DevnetServer, chain: Chain) -> None:
        self.server = server
        self.chain = chain
        self.seed = secrets.token_bytes(64)
        self.hot = keys.addresses(self.seed, purpose="hot", first=0, count=1, network="sandbox")[0]
        self._nonce = 0

    async def sign(self, payment: Payment, *, nonce: int, rate: Rate = RATE) -> tuple[Signed, Allocation]:
        """Build and sign a payment from the hot address."""
        allocation = Allocation(source=self.hot, nonce=nonce)
        unsigned = await self.chain.build([payment], allocation, rate=rate)
        shown = signing.read(unsigned.payload, network="sandbox")
        assert (list(shown.payments), shown.fee_max) == ([payment], unsigned.fee_max)
        places = {self.hot: Place(purpose="hot", index=0)}
        return signing.sign(unsigned.payload, self.seed, places=places, network="sandbox"), allocation


def rpc(server: DevnetServer, method: str, *params: Any) -> Any:
    """What the node answers."""
    asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = httpx2.post(f"{server.url}/", json=asked, timeout=TIMEOUT_S).json()
    assert "error" not in answer, (method, answer)
    return answer["result"]


def opened(*servers: DevnetServer | str, tokens: Sequence[str] = (), quorum: int = 1) -> Chain:
    """The chain by these nodes."""
    urls = [server if isinstance(server, str) else f"{server.url}/" for server in servers]
    return ethereum.open(Nodes(network="sandbox", urls=urls, tokens=tokens, quorum=quorum, timeout_s=30))


async def mined(server: DevnetServer, chain: Chain) -> Block:
    """Make a block with what waits, and read it."""
    block = await chain.block(server.mine()["height"])
    assert block is not None
    return block


def somebody() -> str:
    """An address of nobody's."""
    return str(Account.create().address)


def arrived(block: Block, address: str) -> list[tuple[str | None, int]]:
    """Tokens and amounts that came to an address in a block."""
    return [(each.token, each.amount) for each in coming(block, address)]


def coming(block: Block, address: str) -> list[Movement]:
    """What came to an address in a block."""
    return [each for each in block.movements if each.address == address]


class Lying:
    """A node that says what it is told to say: by method, and one block."""

    def __init__(self, answers: dict[str, Any], *, block: Any = None) -> None:
        self._answers = {"eth_getBlockByNumber": block} | answers
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await messages.read(reader)
        if request is not None:
            asked = msgspec.json.decode(request.body)
            said = {"jsonrpc": "2.0", "id": asked["id"], "result": self._answers.get(asked["method"])}
            writer.write(messages.answer(200, msgspec.json.encode(said), more={"Connection": "close"}))
            await writer.drain()
        writer.close()
