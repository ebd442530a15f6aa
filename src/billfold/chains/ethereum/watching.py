"""What a block has moved: coins at the top, inside contracts and out of stakes, and tokens as far as they arrived.

The coin that a contract pays on is seen in the tree of calls, which `debug_traceBlockByHash` tells; nodes that have no
such method show only what transactions pay themselves. Of tokens, an event is a claim: it counts no further than the
balance of the address has grown in that block.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import structlog

from billfold.chains import errors
from billfold.chains.ethereum import transactions
from billfold.chains.ethereum.node import (
    SUPPLY_MAX,
    TRANSACTIONS_MAX,
    Log,
    Node,
    RawBlock,
    Receipt,
    Tx,
    address,
    transaction,
)
from billfold.chains.nodes import reading
from billfold.chains.nodes.failures import CallRefused
from billfold.chains.port import Block, Head, Movement

#: keccak256("Transfer(address,address,uint256)"), https://eips.ethereum.org/EIPS/eip-20
_TRANSFER = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
_TRANSFER_TOPICS = 3
_WORD = 32
#: A transaction that takes no more has called no contract.
_PLAIN_GAS = 21_000
#: What moves coins. A DELEGATECALL shows the value of its caller, and moves none.
_MOVING = frozenset({"CALL", "CREATE", "CREATE2", "SELFDESTRUCT"})
#: Frames of one transaction; each takes at least 100 gas of a block's millions.
_FRAMES_MAX = 500_000

_events = structlog.get_logger("chains.ethereum")


class Watching:
    """Reads blocks. `tokens` are the contracts whose events count."""

    def __init__(self, node: Node, tokens: frozenset[str]) -> None:
        self._node = node
        self._tokens = tokens
        self._told = False

    async def head(self) -> Head:
        """The last block."""
        return await self._node.head()

    async def block(self, height: int) -> Block | None:
        """The block at a height with all that it moved."""
        try:
            raw = await self._node.block(height, whole=True)
        except CallRefused as refused:
            # Some nodes refuse what others answer with null: they have not come so far.
            if "range" in refused.message.lower() or "unknown block" in refused.message.lower():
                return None
            raise
        if raw is None:
            return None
        receipts = await self._node.receipts(raw) if raw.txs else ()
        has_calls = any(receipt.succeeded and receipt.gas_used > _PLAIN_GAS for receipt in receipts)
        inside = await self._inside(raw) if has_calls else ()
        tokens = await self._tokens_of(raw, receipts)
        movements = [*_paid(raw, receipts), *(inside or ()), *tokens, *_withdrawn(raw)]
        return Block(
            height=raw.height,
            hash=raw.hash,
            parent=raw.parent,
            time=raw.time,
            movements=movements,
            partial=inside is None if has_calls else None,
        )

    async def pending(self) -> Sequence[Movement]:
        """What waits, as far as it can be read without executing it."""
        said = await self._node.rpc.call("eth_getBlockByNumber", "pending", True, read=lambda said: said)  # noqa: FBT003
        if said is None:
            return []
        listed = reading.items(reading.member(said, "transactions"), "transactions", most=TRANSACTIONS_MAX)
        return [movement for each in listed for movement in self._announced(each)]

    def _announced(self, said: Any) -> Iterator[Movement]:
        tx = transaction(said)
        if tx.to is None or tx.to == tx.sender:
            return
        transfer = transactions.transferred(tx.data)
        if tx.value:
            yield _native(tx)
        elif transfer is not None and tx.to in self._tokens and transfer[1]:
            to, amount = transfer
            yield Movement(chain_tx=tx.hash, index="log:0", address=to, token=tx.to, amount=amount, sender=tx.sender)

    async def _inside(self, block: RawBlock) -> tuple[Movement, ...] | None:
        """What contracts have paid in coin; None where they may have, and no node says so.

        Nothing else does: such a payment leaves no event, and by the difference of balances only who is asked for by
        name could be found, which are millions.
        """

        def read(traces: Sequence[Any]) -> tuple[Movement, ...]:
            if len(traces) != len(block.txs):
                raise errors.NodeWrong("A node's traces are not those of the block's transactions.")
            return tuple(one for tx, trace in zip(block.txs, traces, strict=True) for one in _traced(tx, trace))

        found = await self._node.traces(block, read)
        if found is None and not self._told:
            _events.warning("too few nodes trace: what contracts pay on in coin is not seen")
            self._told = True
        return found

    async def _tokens_of(self, block: RawBlock, receipts: Sequence[Receipt]) -> list[Movement]:
        """What has arrived of tokens."""
        claimed: dict[str, list[Movement]] = defaultdict(list)
        paid: dict[str, Counter[str]] = defaultdict(Counter)
        for tx, receipt in zip(block.txs, receipts, strict=True):
            for claim in claims(receipt) if receipt.succeeded else ():
                if claim.token is None or claim.token not in self._tokens:
                    continue
                claimed[claim.token].append(claim)
                # Who has signed has paid. Of others it is only said, and who says so may be lying.
                if claim.sender == tx.sender:
                    paid[claim.token][tx.sender] += claim.amount
        return [
            movement
            for token, made in claimed.items()
            for movement in _shared(made, await self._grown(block, token, made, paid[token]))
        ]

    async def _grown(self, block: RawBlock, token: str, claims: Sequence[Movement], paid: Counter[str]) -> Counter[str]:
        """By how much each address has grown in the block, with what it has paid itself added."""
        holders = sorted({claim.address for claim in claims})
        before = await self._balances(token, holders, block.parent, block.height - 1)
        after = await self._balances(token, holders, block.hash, block.height)
        if missing := [holder for holder in holders if holder not in before or holder not in after]:
            # To credit nothing would lose a deposit unseen; to believe the event would make money.
            raise errors.NodeWrong(f"The token {token} does not say what {len(missing)} addresses hold.")
        return Counter({holder: after[holder] - before[holder] + paid[holder] for holder in holders})

    async def _balances(self, token: str, holders: Sequence[str], block: str, height: int) -> dict[str, int]:
        try:
            return await self._node.token_balances(token, holders, block, height=height)
        except CallRefused as refused:
            raise errors.NodeUnavailable(
                f"The node does not say what was held at block {height} ({refused.message}); "
                "a node that keeps the state of old blocks can."
            ) from refused


def _shared(claims: Sequence[Movement], grown: Counter[str]) -> Iterator[Movement]:
    """The movements of one token in one block. Where less arrived than was said, the first get theirs first."""
    for claim in claims:
        amount = min(claim.amount, max(grown[claim.address], 0))
        grown[claim.address] -= amount
        if amount:
            yield msgspec.structs.replace(claim, amount=amount)


def claims(receipt: Receipt) -> Iterator[Movement]:
    """Transfers of tokens, whichever, as the events of a transaction tell them."""
    for log in receipt.logs:
        if (claim := _claim(receipt.chain_tx, log)) is not None:
            yield claim


def _paid(block: RawBlock, receipts: Sequence[Receipt]) -> Iterator[Movement]:
    for tx, receipt in zip(block.txs, receipts, strict=True):
        if receipt.succeeded and tx.value and tx.to is not None and tx.to != tx.sender:
            yield _native(tx)


def _native(tx: Tx) -> Movement:
    assert tx.to is not None, "whoever asks has looked"
    return Movement(chain_tx=tx.hash, index="native", address=tx.to, token=None, amount=tx.value, sender=tx.sender)


def _withdrawn(block: RawBlock) -> Iterator[Movement]:
    """What validators have taken out of their stakes; no transaction does that, so the block stands for one."""
    for one in block.withdrawn:
        yield Movement(
            chain_tx=block.hash, index=f"withdrawal:{one.number}", address=one.address, token=None, amount=one.amount
        )


def _traced(tx: Tx, trace: Any) -> Iterator[Movement]:
    """Coins that calls within a transaction have moved. What is in a call that failed has not happened."""
    if reading.record(trace, "a trace").get("txHash", tx.hash) != tx.hash:
        raise errors.NodeWrong("A node's traces are not those of the block's transactions.")
    top = reading.record(reading.member(trace, "result"), "a trace")
    if top.get("error") is not None:
        return
    #: Depth first, so that the number of a call is its place in the transaction whatever its block.
    waiting = list(reversed(_calls(top)))
    number = 0
    while waiting:
        frame = reading.record(waiting.pop(), "a call")
        number += 1
        if number > _FRAMES_MAX:
            raise errors.NodeWrong("A node's trace has more calls than a block can have.")
        if frame.get("error") is not None:
            # Its number of calls is part of what the later ones are numbered by, whether they count or not.
            number += sum(1 for _ in _all(frame))
            continue
        if frame.get("type") in _MOVING and (movement := _moved(tx, frame, number)) is not None:
            yield movement
        waiting.extend(reversed(_calls(frame)))


def _moved(tx: Tx, frame: Any, number: int) -> Movement | None:
    value = reading.quantity(frame.get("value", "0x0"), "value", most=SUPPLY_MAX)
    if not value or frame.get("to") is None:
        return None
    sender, to = address(reading.member(frame, "from"), "from"), address(frame["to"], "to")
    if to == sender:
        return None
    return Movement(chain_tx=tx.hash, index=f"internal:{number}", address=to, token=None, amount=value, sender=sender)


def _calls(frame: Any) -> list[Any]:
    return list(reading.items(frame.get("calls", []), "calls", most=_FRAMES_MAX))


def _all(frame: Any) -> Iterator[Any]:
    waiting = _calls(frame)
    while waiting:
        inner = reading.record(waiting.pop(), "a call")
        yield inner
        waiting.extend(_calls(inner))


def _claim(chain_tx: str, log: Log) -> Movement | None:
    """A transfer as an event tells it; other events that are called so are none."""
    if len(log.topics) != _TRANSFER_TOPICS or log.topics[0] != _TRANSFER or len(log.data) != _WORD:
        return None
    sender, to = log.topics[1:]
    # What an address sends to itself has not arrived.
    if any(sender[:12]) or any(to[:12]) or not any(log.data) or sender == to:
        return None
    return Movement(
        chain_tx=chain_tx,
        index=f"log:{log.position}",
        address=address("0x" + to[12:].hex(), "to"),
        token=log.address,
        amount=int.from_bytes(log.data, "big"),
        sender=address("0x" + sender[12:].hex(), "from"),
    )
