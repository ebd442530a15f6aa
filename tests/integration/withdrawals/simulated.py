# ruff: noqa: ARG002 - what the port gives and this chain does not need
"""A chain of the tests, of each model, with everything that can go wrong between a node and whoever asks it.

Its state is a file, so that it outlives the process that speaks to it. It takes no signature for good: a transaction is
JSON, and what counts is what it uses up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from billfold.chains.errors import AddressInvalid, FundsShort, NodeUnavailable, NotReplaceable, Refused, Uncertain
from billfold.chains.port import (
    Allocation,
    Block,
    Coin,
    Destination,
    Fate,
    Found,
    Hastening,
    Head,
    Model,
    Movement,
    Network,
    Payment,
    Rate,
    Signed,
    Sought,
    Speed,
    Spent,
    Unsigned,
)
from tests.integration.withdrawals import consensus

MODELS: Mapping[str, Model] = {
    "bitcoin": "coins",
    "ethereum": "nonce",
    "solana": "recent_block",
    "stellar": "nonce",
}
COINS = {"bitcoin": "BTC", "ethereum": "ETH", "solana": "SOL", "stellar": "XLM"}
#: What a payment costs at each speed.
RATES: Mapping[Speed, int] = {"slow": 10, "normal": 20, "fast": 40}
#: A transaction of the model recent_block can't happen after so many blocks more.
LIFETIME = 8
TOKEN = "token-1"
#: Accounts of this name are not on the chain before somebody has paid to them.
NEW_CHANNEL = "sim-channel-new"


class Simulated:
    """The chain, and the node that speaks for it."""

    network: Network = "sandbox"

    def __init__(self, name: str, path: Path, *, final_after: int = 2) -> None:
        self.name = name
        self.model = MODELS[name]
        self.coin = COINS[name]
        self._path = path
        self._final_after = final_after
        #: What becomes of the next broadcasts: "lost", "taken in silence", "refused".
        self.faults: list[str] = []
        self.is_down = False
        #: What its blocks had, where nobody knows what to look for.
        self.has_forgotten = False
        #: So many blocks the node is behind.
        self.behind = 0
        self.spike = 1
        #: What nodes find strange about transactions that have done what they should.
        self.strange = ""
        #: How often it was asked what an address holds.
        self.asked = 0
        #: Coins that the node does not have, although no block uses them up.
        self.lost: set[tuple[str, str]] = set()

    # --- the world ---

    def fund(self, address: str, amount: int, *, token: str | None = None) -> None:
        """Money out of nothing, in a block of its own."""
        with self._changed() as state:
            state["blocks"].append({"txs": [], "minted": [[address, amount, token or ""]], "fork": 0})

    def steal(self, address: str, amount: int, *, token: str | None = None) -> None:
        """Somebody else has the key, too. Of coins it is one of so much."""
        block: dict[str, Any] = {"txs": [], "minted": [], "fork": 0}
        if self.model == "coins":
            made, spent = self.coins()
            name = next(key for key, one in made.items() if key not in spent and one[:2] == (address, amount))
            pays = [{"address": "sim-thief", "amount": amount, "token": ""}]
            theft = {"source": "", "coins": [[*name, amount]], "change": None, "nonce": None, "pays": pays, "fee": 0}
            block["txs"].append([f"theft-{self.height}", {**theft, "fails": False}])
        else:
            block["minted"].append([address, -amount, token or ""])
        with self._changed() as state:
            state["blocks"].append(block)

    def forget(self, depth: int) -> None:
        """The last blocks are replaced by one more, and what they had never happens, wherever it came from."""
        with self._changed() as state:
            del state["blocks"][-depth:]
            state["fork"] += 1
            for _ in range(depth + 1):
                consensus.mine(self.model, state)

    def mine(self, blocks: int = 1) -> None:
        """The next blocks take what waits and can be taken."""
        with self._changed() as state:
            for _ in range(blocks):
                consensus.mine(self.model, state)

    def reorg(self, depth: int, *, drop: bool) -> None:
        """The last blocks are replaced by one more of others, without their transactions or with them."""
        with self._changed() as state:
            assert depth < self._final_after, "what is final stays"
            gone, state["blocks"] = state["blocks"][-depth:], state["blocks"][:-depth]
            assert not any(block["minted"] for block in gone)
            if not drop:
                state["waiting"] = {key: tx for block in gone for key, tx in block["txs"]} | state["waiting"]
            else:
                state["waiting"] = {}
            state["fork"] += 1
            for _ in range(depth + 1):
                consensus.mine(self.model, state)

    def balances(self) -> dict[tuple[str, str], int]:
        """What every address holds, by token."""
        return consensus.balances(self._read())

    def received(self, address: str) -> list[int]:
        """Each payment that an address got."""
        return [
            pay["amount"]
            for block in self._read()["blocks"]
            for _, tx in block["txs"]
            for pay in tx["pays"]
            if pay["address"] == address and not tx["fails"]
        ]

    def coins(self) -> tuple[dict[tuple[str, str], tuple[str, int, int]], dict[tuple[str, str], int]]:
        """All coins that blocks made, with address, amount and height; and the height at which each was used up."""
        return consensus.coins(self._read())

    @property
    def height(self) -> int:
        return len(self._read()["blocks"])

    def waiting(self) -> int:
        """How many transactions wait for a block."""
        return len(self._read()["waiting"])

    # --- the port ---

    async def check(self) -> None: ...

    async def close(self) -> None: ...

    async def head(self) -> Head:
        self._answer()
        height = max(self.height - self.behind, 0)
        return Head(height=height, hash=f"b{height}", time=datetime.now(UTC))

    async def block(self, height: int) -> Block | None:
        self._answer()
        state = self._read()
        if not 1 <= height <= len(state["blocks"]) - self.behind:
            return None
        forks = [0, *(block["fork"] for block in state["blocks"])]
        return Block(
            height=height,
            hash=f"b{height}/{forks[height]}",
            parent=f"b{height - 1}/{forks[height - 1]}",
            time=datetime.now(UTC),
            movements=[one for one in consensus.movements(state["blocks"][height - 1], height) if one.amount > 0],
            spent=[
                Spent(chain_tx=chain_tx, index=index, by=key)
                for key, tx in state["blocks"][height - 1]["txs"]
                for chain_tx, index, _ in tx["coins"]
            ],
        )

    async def pending(self) -> Sequence[Movement]:
        return []

    def canonical(self, text: str) -> tuple[str, str | None]:
        if not text.startswith("sim-"):
            raise AddressInvalid
        address, _, memo = text.partition("?")
        return address, memo or None

    async def examine(self, address: str, *, memo: str | None, token: str | None, amount: int) -> Destination:
        self._answer()
        if "closed" in address:
            return Destination(
                address=address, obstacle="no_account", obstacle_detail="There is no such account on the chain."
            )
        return Destination(address=address, memo=memo)

    async def rates(self) -> Mapping[Speed, Rate]:
        self._answer()
        return {speed: Rate(numbers={"fee": fee * self.spike}) for speed, fee in RATES.items()}

    async def estimate(self, payments: Sequence[Payment], *, source: str, rate: Rate) -> int:
        self._answer()
        return rate.numbers["fee"] * (1 + len(payments))

    def coin_fee(self, *, rate: Rate) -> int:
        return rate.numbers["fee"] // 10 if self.model == "coins" else 0

    async def hastening(self, chain_tx: str, *, to: str, rate: Rate) -> Hastening | None:
        self._answer()
        parent = self._read()["waiting"].get(chain_tx)
        if parent is None:
            return None
        alone: dict[str, Any] = {"minted": [], "txs": [[chain_tx, parent]]}
        fee = rate.numbers["fee"]
        return Hastening(movements=list(consensus.movements(alone, 0)), rate=rate, fee=fee, least=fee + 1)

    async def sponsored(self, owner: str, *, token: str, payer: str, rate: Rate) -> tuple[int, int] | None:
        self._answer()
        if self.model != "recent_block":
            return None
        return self.balances().get((owner, token), 0), rate.numbers["fee"] * 2

    def raised(self, rate: Rate) -> Rate:
        if self.model == "recent_block":
            raise NotReplaceable
        return Rate(numbers={"fee": rate.numbers["fee"] * 9 // 8 + 1})

    async def anchor(self) -> tuple[str, int]:
        self._answer()
        return f"b{self.height}", self.height + LIFETIME

    async def nonce_accounts(self, source: str, *, count: int) -> Sequence[str]:
        """There are none here."""
        return ()

    async def durable_anchor(self, account: str, *, source: str) -> str | None:
        """Not of this chain."""
        raise AssertionError("durable nonces are tried on the real rules")

    async def next_nonce(self, source: str) -> int:
        self._answer()
        if source.startswith(NEW_CHANNEL) and (source, "") not in self.balances():
            raise FundsShort
        return consensus.nonce(self._read(), source, behind=self.behind)

    def choose(self, coins: Sequence[Coin], payments: Sequence[Payment], *, rate: Rate) -> Sequence[Coin]:
        needed = sum(payment.amount for payment in payments) + rate.numbers["fee"] * (1 + len(payments))
        chosen: list[Coin] = []
        for coin in coins:
            chosen.append(coin)
            if sum(one.amount for one in chosen) >= needed:
                return chosen
        raise FundsShort

    async def build(self, payments: Sequence[Payment], allocation: Allocation, *, rate: Rate) -> Unsigned:
        self._answer()
        fee = rate.numbers["fee"] * (1 + len(payments))
        tx: dict[str, Any] = {
            "source": allocation.source,
            "coins": [[coin.chain_tx, coin.index, coin.amount] for coin in allocation.coins],
            "change": allocation.change,
            "nonce": allocation.nonce,
            "anchor": allocation.anchor,
            "last_height": allocation.last_height,
            "pays": [{"address": one.address, "amount": one.amount, "token": one.token or ""} for one in payments],
            # A node's fee is an upper bound where gas is reckoned.
            "fee": fee if self.model == "coins" else fee * 3 // 4,
            "offer": rate.numbers["fee"],
            "fails": any("failing" in one.address for one in payments),
        }
        return Unsigned(payload=json.dumps(tx, sort_keys=True).encode(), fee_max=fee)

    async def broadcast(self, signed: Signed) -> None:
        self._answer()
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "refused":
            raise Refused
        if fault != "lost":
            with self._changed() as state:
                consensus.accept(self.model, state, signed)
        if fault:
            raise Uncertain

    async def find(self, signed: Signed, allocation: Allocation) -> Found:
        self._answer()
        state = self._read()
        for height, block in enumerate(state["blocks"][: len(state["blocks"]) - self.behind], 1):
            for key, tx in block["txs"]:
                if key == signed.chain_tx:
                    return Found(
                        fate=Fate.MINED,
                        height=height,
                        block=f"b{height}/{block['fork']}",
                        succeeded=not tx["fails"],
                        fee=tx["fee"],
                        reason="" if tx["fails"] else self.strange,
                    )
        if signed.chain_tx in state["waiting"]:
            return Found(fate=Fate.PENDING)
        final = {**state, "blocks": state["blocks"][: max(len(state["blocks"]) - self._final_after - self.behind, 0)]}
        if consensus.is_dead(self.model, final, json.loads(signed.raw)):
            return Found(fate=Fate.DEAD, reason="what it uses up was used up")
        return Found(fate=Fate.UNSEEN)

    async def seek(self, payload: bytes, allocation: Allocation) -> Sought:
        if self.has_forgotten:
            return Sought(fate=None)
        made = signed(payload)
        found = await self.find(made, allocation)
        return Sought(fate=found.fate, signed=made if found.fate is Fate.MINED else None)

    async def missing(self, coins: Sequence[Coin]) -> Sequence[Coin]:
        self._answer()
        made, spent = self.coins()
        there = made.keys() - spent.keys() - self.lost
        return [coin for coin in coins if (coin.chain_tx, coin.index) not in there]

    async def balance(self, address: str, *, token: str | None, height: int) -> int:
        self._answer()
        self.asked += 1
        return self.balances().get((address, token or ""), 0)

    # --- inside ---

    def _answer(self) -> None:
        if self.is_down:
            raise NodeUnavailable

    def _read(self) -> dict[str, Any]:
        if not self._path.exists():
            return {"blocks": [], "waiting": {}, "fork": 0}
        state: dict[str, Any] = json.loads(self._path.read_text())
        return state

    @contextmanager
    def _changed(self) -> Iterator[dict[str, Any]]:
        state = self._read()
        yield state
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(state))
        new.replace(self._path)


def signed(payload: bytes) -> Signed:
    """What the tests' signer makes of a transaction: the same of the same."""
    return Signed(raw=payload, chain_tx=blake2b(payload, digest_size=16).hexdigest())
