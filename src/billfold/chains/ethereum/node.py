"""Questions to nodes of Ethereum, and what may be believed of their answers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from eth_abi import abi

from billfold.chains import errors
from billfold.chains.ethereum import addresses
from billfold.chains.ethereum.transactions import CHAIN_IDS
from billfold.chains.nodes import Nodes, reading
from billfold.chains.nodes.failures import CallRefused, NodeFailed
from billfold.chains.nodes.rpc import Rpc
from billfold.chains.port import Head

#: A block of the real chain has some hundred transactions, and gas for less than 3,000.
TRANSACTIONS_MAX = 50_000
LOGS_MAX = 200_000
#: There are 1.2 * 10^26 wei.
SUPPLY_MAX = 10**28
#: Answers of one `Balances`: what a contract's code may be long, at two words each.
HOLDERS_MAX = 256
_INPUT_MAX = 2_000_000
_WORD = 32
_BALANCE_OF = bytes.fromhex("70a08231")
_BALANCES = bytes.fromhex(msgspec.json.decode((Path(__file__).parent / "Balances.json").read_bytes())["Balances"][2:])
#: The protocol has 16 in a block.
_WITHDRAWN_MAX = 1_000
#: Stakes are counted in it.
_GWEI = 10**9
_YEAR_2200 = 7_258_118_400
#: By EIP-1474: what is asked for is not there now, and too much was asked for.
_AWAY = frozenset({-32002, -32005})

Tag = Literal["latest", "finalized", "pending"]
T = TypeVar("T", bound=Hashable)


class Tx(msgspec.Struct, frozen=True):
    """A transaction as it stands in a block."""

    hash: str
    sender: str
    #: None makes a contract.
    to: str | None
    value: int
    nonce: int
    data: bytes


class Withdrawn(msgspec.Struct, frozen=True):
    """What a validator has taken out of its stake, by no transaction (EIP-4895); numbered through all blocks."""

    number: int
    address: str
    amount: int


class RawBlock(msgspec.Struct, frozen=True):
    """A block as it is."""

    height: int
    hash: str
    parent: str
    time: datetime
    base_fee: int
    #: Only where the whole block was asked for.
    txs: tuple[Tx, ...]
    withdrawn: tuple[Withdrawn, ...] = ()


class Log(msgspec.Struct, frozen=True):
    """What a contract has told of; `position` counts within its transaction."""

    position: int
    address: str
    topics: tuple[bytes, ...]
    data: bytes


class Receipt(msgspec.Struct, frozen=True):
    """What became of a transaction."""

    chain_tx: str
    block: str
    height: int
    succeeded: bool
    gas_used: int
    gas_price: int
    logs: tuple[Log, ...]


class Node:
    """The nodes of a network of Ethereum, asked one thing at a time."""

    def __init__(self, nodes: Nodes) -> None:
        self.network = nodes.network
        self.rpc = Rpc(nodes, chain="ethereum", away=_AWAY)
        self._chain_id: int | None = None

    async def check(self) -> int:
        """The chain's number, which all nodes must say.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        found = set(await self.rpc.each("eth_chainId", read=lambda said: reading.quantity(said, "chainId")))
        if len(found) > 1 or not found <= set(CHAIN_IDS[self.network]):
            raise errors.NodeWrong(
                f"Nodes are of the chains {sorted(found)}, which are not the network {self.network}."
            )
        self._chain_id = found.pop()
        return self._chain_id

    async def chain_id(self) -> int:
        """The chain's number, asked for once."""
        return await self.check() if self._chain_id is None else self._chain_id

    async def head(self) -> Head:
        """The last block that as many nodes have reached as the quorum wants."""
        asked = ("eth_getBlockByNumber", "latest", False)
        return await self.rpc.head(*asked, read=_head, height=lambda head: head.height)

    async def block(self, at: int | Tag, *, whole: bool = False) -> RawBlock | None:
        """A block that as many nodes have as the quorum wants."""
        asked = hex(at) if isinstance(at, int) else at

        def read(said: Any) -> RawBlock | None:
            found = None if said is None else _block(said, whole=whole)
            if found is not None and isinstance(at, int) and found.height != at:
                raise errors.NodeWrong(f"A node was asked for block {at} and gave {found.height}.")
            return found

        return await self.rpc.agreed(
            "eth_getBlockByNumber",
            asked,
            whole,
            read=read,
            key=lambda block: None if block is None else (block.hash, block.txs, block.withdrawn),
            at=at if isinstance(at, int) else None,
        )

    async def receipts(self, block: RawBlock) -> tuple[Receipt, ...]:
        """What became of a block's transactions, in their order."""

        def read(said: Any) -> tuple[Receipt, ...]:
            if said is None:
                raise NodeFailed("behind", f"a node has block {block.height} and not yet its receipts")
            found = tuple(_receipt(each) for each in reading.items(said, "receipts", most=TRANSACTIONS_MAX))
            if [each.chain_tx for each in found] != [tx.hash for tx in block.txs]:
                raise errors.NodeWrong("A node's receipts are not those of the block's transactions.")
            if any(each.block != block.hash for each in found):
                raise errors.NodeWrong("A node's receipts are of another block.")
            return found

        try:
            return await self.rpc.agreed(
                "eth_getBlockReceipts", block.hash, read=read, key=lambda found: found, at=block.height
            )
        except CallRefused as refused:
            # The block may have been replaced meanwhile; then the next look sees the other one.
            said = f"The node has no receipts of block {block.height}: {refused.message}"
            raise errors.NodeUnavailable(said) from refused

    async def receipt(self, chain_tx: str) -> Receipt | None:
        """What became of a transaction that a block has."""

        def read(said: Any) -> Receipt | None:
            found = None if said is None else _receipt(said)
            if found is not None and found.chain_tx != chain_tx:
                raise errors.NodeWrong("A node gave the receipt of another transaction.")
            return found

        return await self.rpc.agreed("eth_getTransactionReceipt", chain_tx, read=read, key=lambda found: found)

    async def knows(self, chain_tx: str) -> bool:
        """Whether a node has a transaction, in a block or not."""
        return await self.rpc.call("eth_getTransactionByHash", chain_tx, read=lambda said: said is not None)

    async def nonce(self, address: str, at: int | Tag) -> int:
        """How many transactions of an address blocks up to there have."""
        asked = hex(at) if isinstance(at, int) else at
        return await self.rpc.agreed(
            "eth_getTransactionCount",
            address,
            asked,
            read=lambda said: reading.quantity(said, "nonce", most=reading.WHOLE_MAX),
            key=lambda nonce: nonce,
            at=at if isinstance(at, int) else None,
        )

    async def balance(self, address: str, at: int | Tag) -> int:
        """Wei of an address."""
        return await self.rpc.agreed(
            "eth_getBalance",
            address,
            hex(at) if isinstance(at, int) else at,
            read=lambda said: reading.quantity(said, "balance", most=SUPPLY_MAX),
            key=lambda balance: balance,
            at=at if isinstance(at, int) else None,
        )

    async def token_balance(self, token: str, address: str, at: int | Tag) -> int:
        """A token's units of an address."""
        data = _BALANCE_OF + bytes(_WORD - addresses.BYTES) + addresses.raw(address)
        return await self.rpc.agreed(
            "eth_call",
            {"to": token, "data": "0x" + data.hex()},
            hex(at) if isinstance(at, int) else at,
            read=lambda said: int.from_bytes(reading.data(said, "balanceOf", length=_WORD), "big"),
            key=lambda balance: balance,
            at=at if isinstance(at, int) else None,
        )

    async def token_balances(self, token: str, holders: Sequence[str], block: str, *, height: int) -> dict[str, int]:
        """A token's units of many addresses after a block; who is not in the answer, the token says nothing of."""
        found: dict[str, int] = {}
        for first in range(0, len(holders), HOLDERS_MAX):
            part = holders[first : first + HOLDERS_MAX]
            data = _BALANCES + abi.encode(["address", "address[]"], [token, part])
            words = await self.rpc.agreed(
                "eth_call",
                {"data": "0x" + data.hex()},
                {"blockHash": block},
                read=functools.partial(_words, count=1 + 2 * len(part)),
                key=lambda words: words,
                at=height,
            )
            found |= {holder: words[2 + 2 * at] for at, holder in enumerate(part) if words[1 + 2 * at]}
        return found

    async def traces(self, block: RawBlock, read: Callable[[Sequence[Any]], T]) -> T | None:
        """What `read` makes of the trees of calls of a block's transactions; None where too few nodes tell them.

        As many nodes must tell of the same as the quorum wants: by nothing else is it known.
        """
        try:
            return await self.rpc.agreed(
                "debug_traceBlockByHash",
                block.hash,
                {"tracer": "callTracer"},
                read=lambda said: read(reading.items(said, "traces", most=TRANSACTIONS_MAX)),
                key=lambda found: found,
                at=block.height,
                lacks=is_unknown,
            )
        except CallRefused as refused:
            if is_unknown(refused):
                return None
            raise errors.NodeUnavailable(f"The node can't trace block {block.height}: {refused.message}") from refused

    async def close(self) -> None:
        """Give up connections."""
        await self.rpc.close()


def is_unknown(refused: CallRefused) -> bool:
    """Whether a node says that it has no such method, or not for us."""
    words = refused.message.lower()
    return refused.number in (-32601, -32004) or "not supported" in words or "does not exist" in words


def is_reverted(refused: CallRefused) -> bool:
    """Whether a node says that a contract doesn't want it."""
    return refused.number == 3 or "revert" in refused.message.lower()  # noqa: PLR2004 - as geth began


def _words(said: Any, *, count: int) -> tuple[int, ...]:
    data = reading.data(said, "balances", length=_WORD * count)
    return tuple(int.from_bytes(data[at : at + _WORD], "big") for at in range(0, len(data), _WORD))


def _block(said: Any, *, whole: bool) -> RawBlock:
    listed = reading.items(reading.member(said, "transactions"), "transactions", most=TRANSACTIONS_MAX)
    return RawBlock(
        height=_number(said, "number"),
        hash=_hash(said, "hash"),
        parent=_hash(said, "parentHash"),
        time=_time(said),
        base_fee=reading.quantity(reading.member(said, "baseFeePerGas"), "baseFeePerGas", most=SUPPLY_MAX),
        txs=tuple(transaction(each) for each in listed) if whole else (),
        withdrawn=_withdrawn(said) if whole else (),
    )


def _withdrawn(said: Any) -> tuple[Withdrawn, ...]:
    """None in blocks of chains that have no validators."""
    listed = reading.items(said.get("withdrawals") or [], "withdrawals", most=_WITHDRAWN_MAX)
    return tuple(
        Withdrawn(
            number=_number(each, "index"),
            address=address(reading.member(each, "address"), "address"),
            amount=_GWEI * reading.quantity(reading.member(each, "amount"), "amount", most=SUPPLY_MAX // _GWEI),
        )
        for each in listed
    )


def _head(said: Any) -> Head:
    return Head(height=_number(said, "number"), hash=_hash(said, "hash"), time=_time(said))


def transaction(said: Any) -> Tx:
    """Read a transaction."""
    to = reading.member(said, "to")
    return Tx(
        hash=_hash(said, "hash"),
        sender=address(reading.member(said, "from"), "from"),
        to=None if to is None else address(to, "to"),
        value=reading.quantity(reading.member(said, "value"), "value", most=SUPPLY_MAX),
        nonce=_number(said, "nonce"),
        data=reading.data(reading.member(said, "input"), "input", longest=_INPUT_MAX),
    )


def _receipt(said: Any) -> Receipt:
    logs = reading.items(reading.member(said, "logs"), "logs", most=LOGS_MAX)
    return Receipt(
        chain_tx=_hash(said, "transactionHash"),
        block=_hash(said, "blockHash"),
        height=_number(said, "blockNumber"),
        succeeded=reading.quantity(reading.member(said, "status"), "status", most=1) == 1,
        gas_used=_number(said, "gasUsed"),
        gas_price=reading.quantity(reading.member(said, "effectiveGasPrice"), "effectiveGasPrice", most=SUPPLY_MAX),
        logs=tuple(_log(each, position) for position, each in enumerate(logs)),
    )


def _log(said: Any, position: int) -> Log:
    topics = reading.items(reading.member(said, "topics"), "topics", most=4)
    return Log(
        position=position,
        address=address(reading.member(said, "address"), "address"),
        topics=tuple(reading.data(each, "topic", length=_WORD) for each in topics),
        data=reading.data(reading.member(said, "data"), "data", longest=_INPUT_MAX),
    )


def address(said: Any, what: str) -> str:
    """Read an address."""
    return addresses.checksummed(reading.data(said, what, length=addresses.BYTES))


def _hash(said: Any, name: str) -> str:
    return "0x" + reading.data(reading.member(said, name), name, length=_WORD).hex()


def _time(said: Any) -> datetime:
    seconds = reading.quantity(reading.member(said, "timestamp"), "timestamp", most=_YEAR_2200)
    return datetime.fromtimestamp(seconds, UTC)


def _number(said: Any, name: str) -> int:
    return reading.quantity(reading.member(said, name), name, most=reading.WHOLE_MAX)
