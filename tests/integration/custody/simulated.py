"""A chain of the tests' own, as custody sees one: blocks are made, and replaced, when a test says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from billfold.chains.port import Block, Head, Model, Movement, Network, Spent

_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class State(msgspec.Struct):
    """All of it, so that another process can read it from a file."""

    blocks: list[Block] = msgspec.field(default_factory=list)
    waiting: list[Movement] = msgspec.field(default_factory=list)
    made: int = 0


class SimulatedChain:
    """What watches it needs no more of the port than this."""

    def __init__(
        self, *, name: str = "bitcoin", coin: str = "BTC", model: Model = "coins", file: Path | None = None
    ) -> None:
        self.name, self.coin, self.model = name, coin, model
        self.network: Network = "sandbox"
        self.file = file
        self.asked = 0
        if file is not None and file.exists():
            self.state = msgspec.json.decode(file.read_bytes(), type=State)
        else:
            self.state = State()
            self.mine()

    # What custody asks

    async def check(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def head(self) -> Head:
        last = self.state.blocks[-1]
        return Head(height=last.height, hash=last.hash, time=last.time)

    async def block(self, height: int) -> Block | None:
        self.asked += 1
        return self.state.blocks[height] if 0 <= height < len(self.state.blocks) else None

    async def pending(self) -> Sequence[Movement]:
        return list(self.state.waiting)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"who watches a chain does not ask for {name}")

    # What a test does

    def pay(self, address: str, amount: int, **more: Any) -> Movement:
        """Send money; the next block has it."""
        self.state.made += 1
        number = self.state.made
        paid = Movement(
            **{"chain_tx": f"tx-{number}", "index": "0", "address": address, "token": None, "amount": amount, **more}
        )
        self.state.waiting.append(paid)
        self._save()
        return paid

    def mine(self, blocks: int = 1, *, spent: Sequence[Spent] = ()) -> Block:
        """Make blocks; the first has all that waits."""
        for _ in range(blocks):
            self._add(self.state.waiting, spent)
            self.state.waiting, spent = [], ()
        self._save()
        return self.state.blocks[-1]

    def reorganise(self, depth: int, *, drop: bool = False) -> list[Movement]:
        """Replace the last blocks by one more; what they had is mined again, or lost."""
        lost = [movement for block in self.state.blocks[-depth:] for movement in block.movements]
        del self.state.blocks[-depth:]
        self._add([] if drop else lost, ())
        for _ in range(depth):
            self._add([], ())
        self._save()
        return lost

    def on_chain(self) -> list[Movement]:
        return [movement for block in self.state.blocks for movement in block.movements]

    def _add(self, movements: Sequence[Movement], spent: Sequence[Spent]) -> None:
        self.state.made += 1
        height = len(self.state.blocks)
        parent = self.state.blocks[-1].hash if self.state.blocks else "none"
        made = blake2b(f"{parent} {height} {self.state.made}".encode(), digest_size=8).hexdigest()
        time = _BEGAN + timedelta(minutes=height)
        self.state.blocks.append(
            Block(height=height, hash=made, parent=parent, time=time, movements=list(movements), spent=list(spent))
        )

    def _save(self) -> None:
        if self.file is not None:
            self.file.write_bytes(msgspec.json.encode(self.state))
