"""The Solanas that the contract of the adapter is tested against, driven in one way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from billfold.chains import solana
from billfold.chains.errors import NodeUnavailable, NodeWrong
from billfold.chains.nodes import Nodes
from billfold.chains.port import Allocation, Chain, Movement, Network, Payment, Rate, Signed, Unsigned
from billfold.chains.signing_port import Place
from billfold.chains.solana import keys, orders, signing
from billfold.devnet.solana import faucet
from tests.servers.solana import SolanaServer, SurfnetdServer, running_devnet

SOL = 10**9
USDC = str(faucet.USDC)
RATE = Rate(numbers={"micro_lamports": 10_000})
SEED = bytes(64)
#: What an account for tokens has in it.
RENT = 2_039_280
_DEADLINE_S = 60.0
_POLL_S = 0.05


class Net(Protocol):
    """A chain that can be paid on, and waited for."""

    url: str
    tokens: tuple[str, ...]
    #: What an account must hold to be there.
    least: int

    def fund(self, address: str, lamports: int) -> str:
        """Pay an address; the transaction waits for a block."""
        ...

    async def pass_blocks(self, count: int) -> None:
        """Come to have so many blocks more."""
        ...


class Own:
    """Our own: blocks come when a test makes them."""

    tokens: tuple[str, ...] = (USDC,)
    least = 890_880

    def __init__(self, server: SolanaServer) -> None:
        self.server = server
        self.url = server.url

    def fund(self, address: str, lamports: int) -> str:
        return self.server.faucet(address, f"{lamports / SOL:.9f}")

    async def pass_blocks(self, count: int) -> None:
        self.server.mine(count)


class Surfnetd:
    """Another's: blocks come of their own accord."""

    tokens: tuple[str, ...] = ()

    def __init__(self, server: SurfnetdServer) -> None:
        self._server = server
        self.url = server.url
        self.least: int = server.call("getMinimumBalanceForRentExemption", 0)

    def fund(self, address: str, lamports: int) -> str:
        signature: str = self._server.call("requestAirdrop", address, lamports)
        return signature

    async def pass_blocks(self, count: int) -> None:
        wanted = self._slot() + count
        await until(lambda: self._slot() >= wanted)

    def _slot(self) -> int:
        slot: int = self._server.call("getSlot", {"commitment": "confirmed"})
        return slot


def opened(net: Net, *, network: Network = "sandbox", tokens: tuple[str, ...] | None = None) -> Chain:
    """The adapter on a network."""
    known = net.tokens if tokens is None else tokens
    return solana.open(Nodes(network=network, urls=[net.url], tokens=known, timeout_s=30))


class Payer:
    """An address of ours with its place, of which no other test knows."""

    def __init__(self) -> None:
        self.seed = bytes(Keypair()) + SEED
        self.place = Place(purpose="hot", index=0)
        (self.address,) = keys.addresses(self.seed, purpose="hot", first=0, count=1, network="sandbox")

    def sign(self, unsigned: Unsigned) -> Signed:
        return signing.sign(unsigned.payload, self.seed, places={self.address: self.place}, network="sandbox")

    async def allocated(self, chain: Chain) -> Allocation:
        anchor, last_height = await chain.anchor()
        return Allocation(source=self.address, anchor=anchor, last_height=last_height)

    async def prepared(self, chain: Chain, *payments: Payment) -> tuple[Signed, Allocation]:
        """A transaction that is signed, and sent to nobody yet."""
        allocation = await self.allocated(chain)
        return self.sign(await chain.build(payments, allocation, rate=RATE)), allocation


async def until_final(net: Net, chain: Chain) -> None:
    """Have a final block, which a chain that has just begun may lack."""
    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline:
        try:
            await chain.anchor()
        except (NodeUnavailable, NodeWrong):
            await net.pass_blocks(16)
        else:
            return
    raise AssertionError("there is a final block in time")


async def funded(net: Net, chain: Chain, lamports: int = SOL) -> Payer:
    """A payer whose money is there."""
    payer = Payer()
    net.fund(payer.address, lamports)
    await net.pass_blocks(1)
    deadline = time.monotonic() + _DEADLINE_S
    while await chain.balance(payer.address, token=None, height=0) < lamports:
        assert time.monotonic() < deadline, "the money arrives"
        await net.pass_blocks(1)
    return payer


async def beside(net: Own, chain: Chain, owner: str, amount: int = 1) -> str:
    """Somebody pays tokens into an account that is the owner's, and not the one where tokens are looked for."""
    stranger, account = Keypair(), Keypair()
    net.fund(str(stranger.pubkey()), SOL)
    net.server.faucet(str(stranger.pubkey()), f"{amount / 10**6:.6f}", token=USDC)
    net.server.mine()
    instructions = [
        Instruction(
            orders.SYSTEM,
            (0).to_bytes(4, "little") + RENT.to_bytes(8, "little") + (165).to_bytes(8, "little") + bytes(orders.TOKEN),
            [AccountMeta(key, is_signer=True, is_writable=True) for key in (stranger.pubkey(), account.pubkey())],
        ),
        Instruction(
            orders.TOKEN,
            b"\x12" + bytes(Pubkey.from_string(owner)),
            [
                AccountMeta(account.pubkey(), is_signer=False, is_writable=True),
                AccountMeta(Pubkey.from_string(USDC), is_signer=False, is_writable=False),
            ],
        ),
        Instruction(
            orders.TOKEN,
            b"\x03" + amount.to_bytes(8, "little"),
            [
                AccountMeta(orders.token_account(str(stranger.pubkey()), USDC), is_signer=False, is_writable=True),
                AccountMeta(account.pubkey(), is_signer=False, is_writable=True),
                AccountMeta(stranger.pubkey(), is_signer=True, is_writable=False),
            ],
        ),
    ]
    anchor, _ = await chain.anchor()
    blockhash = Hash.from_string(anchor.partition(":")[2])
    given = VersionedTransaction(
        MessageV0.try_compile(stranger.pubkey(), instructions, [], blockhash), [stranger, account]
    )
    await chain.broadcast(Signed(raw=bytes(given), chain_tx=str(given.signatures[0])))
    net.server.mine()
    return str(given.signatures[0])


async def movements(chain: Chain, first: int, last: int) -> list[Movement]:
    """All movements of the blocks from one height to another."""
    blocks = [await chain.block(height) for height in range(first, last + 1)]
    return [movement for block in blocks if block is not None for movement in block.movements]


async def until(true: Callable[[], bool]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + _DEADLINE_S
    while not true():
        assert time.monotonic() < deadline, "it comes true in time"
        await asyncio.sleep(_POLL_S)


@contextmanager
def another(factory: pytest.TempPathFactory) -> Iterator[SolanaServer]:
    """A second chain of our own, which knows nothing of the first."""
    with running_devnet(factory.mktemp("another")) as server:
        yield server


def somebody() -> str:
    """An address that nobody has used."""
    return str(Keypair().pubkey())
