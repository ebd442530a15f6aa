"""The port of a chain, kept for Bitcoin: what custody asks, put to nodes and to rules."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import structlog

from billfold.chains import errors
from billfold.chains.bitcoin import addresses, building, families, sizes, transactions
from billfold.chains.bitcoin.finding import Finding
from billfold.chains.bitcoin.node import Node
from billfold.chains.bitcoin.transactions import Transaction
from billfold.chains.nodes import Nodes
from billfold.chains.port import (
    COINS_ESTIMATED,
    Allocation,
    Block,
    Coin,
    Destination,
    Found,
    Hastening,
    Head,
    Model,
    Movement,
    Payment,
    Rate,
    Signed,
    Sought,
    Speed,
    Spent,
    Unsigned,
)

#: New coins can be spent when so many blocks are there, their own counted (consensus).
MATURITY = 100
#: A spent coin is spent for good when so many blocks have it so, as exchanges count.
FINAL_BLOCKS = 6
#: Within how many blocks a transaction should be in one.
_TARGETS: dict[Speed, int] = {"fast": 2, "normal": 6, "slow": 36}
#: Satoshi for 1,000 virtual bytes. Blocks were dearer than this for some hours of fifteen years. Nothing is offered
#: above it: what costs more waits.
RATE_MAX = 1_000_000
#: What was sent on the worst day can still be replaced a few times, at so many times the most that is offered.
_REPLACEMENT_FACTOR = 4
_SLOWEST_FIRST: tuple[Speed, ...] = ("slow", "normal", "fast")
#: What is offered in hundredths of the least, where nodes have seen too little to say what it takes.
_WITHOUT_ESTIMATE: dict[Speed, int] = {"fast": 500, "normal": 200, "slow": 100}
#: Of what waits on the network so much is read at a time, the rest the next time, and so much is told. On the main
#: network more may wait for days; whoever pays too little for a block is shown when a block has them after all.
_PENDING_AT_ONCE = 500
_PENDING_MAX = 5_000
_READS_AT_ONCE = 16

_events = structlog.get_logger("chains.bitcoin")


class Bitcoin:
    """Bitcoin by the nodes of the settings."""

    name = "bitcoin"
    model: Model = "coins"
    coin = "BTC"

    def __init__(self, nodes: Nodes, *, final_blocks: int = FINAL_BLOCKS) -> None:
        self.network = nodes.network
        self._node = Node(nodes)
        self._rate_max = nodes.rate_max or RATE_MAX
        self._told_dear = False
        self._finding = Finding(self._node, final_blocks=final_blocks)
        #: What is known of transactions that wait, in the order in which they were read; and which waited last time.
        self._pending: dict[str, tuple[Movement, ...]] = {}
        self._listed: set[str] = set()

    async def check(self) -> None:
        """Pass if the nodes are of this network and can be used."""
        await self._node.check()

    async def close(self) -> None:
        """Give up connections."""
        await self._node.rpc.close()

    async def head(self) -> Head:
        """The last block."""
        return await self._node.head()

    async def block(self, height: int) -> Block | None:
        """The block at a height of the best chain."""
        found = await self._node.block_at(height)
        if found is None:
            return None
        return Block(
            height=height,
            hash=found.hash,
            parent=found.parent,
            time=datetime.fromtimestamp(found.time, UTC),
            movements=[movement for each in found.transactions for movement in self._movements(each)],
            spent=[
                Spent(chain_tx=each.txid, index=str(each.vout), by=transaction.txid)
                for transaction in found.transactions[1:]
                for each in transaction.inputs
            ],
        )

    async def pending(self) -> Sequence[Movement]:
        """What waits for a block; of a mempool with many transactions what came last."""
        waiting = await self._node.waiting()
        fresh = [txid for txid in waiting if txid not in self._listed]
        missed = [txid for txid in waiting if txid in self._listed and txid not in self._pending]
        room = max(len(fresh), _PENDING_MAX - len(self._pending))
        for txid, found in (await self._transactions([*fresh, *missed][: min(room, _PENDING_AT_ONCE)])).items():
            if found is not None:
                self._pending[txid] = tuple(self._movements(found))
        self._listed = set(waiting)
        kept = [txid for txid in self._pending if txid in self._listed][-_PENDING_MAX:]
        self._pending = {txid: self._pending[txid] for txid in kept}
        return [movement for movements in self._pending.values() for movement in movements]

    def canonical(self, text: str) -> tuple[str, str | None]:
        """The address in its one form; none has a memo."""
        return addresses.canonical(text, self.network), None

    async def examine(self, address: str, *, memo: str | None, token: str | None, amount: int) -> Destination:
        """What would become of a payment; it takes no question to the nodes."""
        found = Destination(address=addresses.canonical(address, self.network), memo=memo)
        if token is not None:
            return _obstructed(found, "token_unknown", "Bitcoin has no tokens.")
        if memo is not None:
            return _obstructed(found, "memo_unknown", "A payment in Bitcoin has no memo.")
        least = sizes.dust(addresses.script_of(found.address, self.network))
        if amount < least:
            return _obstructed(found, "below_dust", f"Nodes pass on no payment to this address below {least} satoshi.")
        return found

    async def rates(self) -> Mapping[Speed, Rate]:
        """What is offered now; a faster one is never less than a slower one, and none more than the most."""
        floor = least = max(sizes.RELAY_FEE, await self._node.least_rate())
        found: dict[Speed, Rate] = {}
        for speed in _SLOWEST_FIRST:
            said = await self._node.rate(_TARGETS[speed])
            least = max(least, floor * _WITHOUT_ESTIMATE[speed] // 100 if said is None else said)
            found[speed] = _rate(min(least, self._rate_max))
        if (dear := least > self._rate_max) and not self._told_dear:
            _events.warning("a place in a block costs more than is offered: payments wait", asked=least)
        self._told_dear = dear
        return found

    async def estimate(self, payments: Sequence[Payment], *, source: str, rate: Rate) -> int:  # noqa: ARG002 - the port's
        """The fee with few coins, and a change or one that is too small to have; where coins are small it is more."""
        scripts = [each.script for each in building.outputs_of(payments, self.network)]
        size = sizes.vsize(COINS_ESTIMATED, scripts) + sizes.CHANGE_VSIZE
        return sizes.fee_for(building.rate_of(rate), size) + sizes.CHANGE_DUST

    def coin_fee(self, *, rate: Rate) -> int:
        """What it costs to use up one more coin."""
        return sizes.fee_for(building.rate_of(rate), sizes.INPUT_VSIZE)

    async def hastening(self, chain_tx: str, *, to: str, rate: Rate) -> Hastening | None:
        """What a child of it takes, reckoned as miners do."""
        family = await self._node.family(chain_tx)
        parent = None if family is None else await self._node.transaction(chain_tx)
        if family is None or parent is None:
            return None
        wanted, script = building.rate_of(rate), addresses.script_of(to, self.network)
        vsize = sizes.vsize(1, [script])
        number = families.child_rate(family, rate=wanted, vsize=vsize)
        fee = sizes.fee_for(number, vsize)
        obstacle, detail = None, ""
        if family.offers(wanted):
            obstacle, detail = "offers_enough", "It pays as much for its place by itself."
        elif family.is_full(vsize):
            obstacle, detail = "family_full", "Too much waits beside it already: nodes take no more of one family."
        return Hastening(
            movements=self._movements(parent),
            rate=_rate(number),
            fee=fee,
            least=fee + building.change_least(script, number),
            obstacle=obstacle,
            obstacle_detail=detail,
        )

    async def sponsored(self, owner: str, *, token: str, payer: str, rate: Rate) -> tuple[int, int] | None:  # noqa: ARG002
        return None

    def raised(self, rate: Rate) -> Rate:
        """By what nodes want more for a replacement (BIP-125, rule 4).

        Raises:
            NotReplaceable: it would be more than anybody should pay.
        """
        number, most = building.rate_of(rate) + sizes.INCREMENT, _REPLACEMENT_FACTOR * self._rate_max
        if number > most:
            raise errors.NotReplaceable(f"More than {most} satoshi for 1,000 virtual bytes is never offered.")
        return _rate(number)

    async def anchor(self) -> tuple[str, int]:
        """Not of this chain."""
        raise AssertionError("Bitcoin's transactions use up coins")

    async def nonce_accounts(self, source: str, *, count: int) -> Sequence[str]:  # noqa: ARG002 - the port's
        """There are none here."""
        return ()

    async def durable_anchor(self, account: str, *, source: str) -> str | None:  # noqa: ARG002 - the port's
        """Not of this chain."""
        raise AssertionError("Bitcoin's transactions use up coins")

    async def next_nonce(self, source: str) -> int:  # noqa: ARG002 - the port's
        """Not of this chain."""
        raise AssertionError("Bitcoin's transactions use up coins")

    def choose(self, coins: Sequence[Coin], payments: Sequence[Payment], *, rate: Rate) -> Sequence[Coin]:
        """Which coins to pay with."""
        return building.choose(coins, payments, rate=rate, network=self.network)

    async def build(self, payments: Sequence[Payment], allocation: Allocation, *, rate: Rate) -> Unsigned:
        """The transaction."""
        parents: dict[str, Transaction] = {}
        for txid, found in (await self._transactions({each.chain_tx for each in allocation.coins})).items():
            if found is None:
                raise errors.NodeUnavailable(f"No node has the transaction {txid} that a coin comes from.")
            parents[txid] = found
        return building.build(payments, allocation, parents=parents, rate=rate, network=self.network)

    async def broadcast(self, signed: Signed) -> None:
        """Hand it over to all nodes."""
        await self._node.hand_over(signed)

    async def find(self, signed: Signed, allocation: Allocation) -> Found:
        """What has become of it."""
        return await self._finding.found(signed, allocation)

    async def seek(self, payload: bytes, allocation: Allocation) -> Sought:
        """What has become of one that others were to sign."""
        return await self._finding.sought(payload, allocation)

    async def balance(self, address: str, *, token: str | None, height: int) -> int:  # noqa: ARG002 - the port's
        """What the address holds now: nodes don't know what it was. It takes minutes where there are many coins."""
        if token is not None:
            raise errors.PaymentInvalid("Bitcoin has no tokens.")
        return await self._node.holdings(addresses.canonical(address, self.network))

    async def missing(self, coins: Sequence[Coin]) -> Sequence[Coin]:
        """Those that blocks do not have, or have used up; what waits for a block has used up nothing."""
        return [coin for coin in coins if not await self._node.unspent(coin.chain_tx, int(coin.index))]

    async def _transactions(self, txids: Iterable[str]) -> dict[str, Transaction | None]:
        """Transactions by their ids; None for those that no node has."""
        wanted, found = list(txids), dict[str, Transaction | None]()
        for first in range(0, len(wanted), _READS_AT_ONCE):
            part = wanted[first : first + _READS_AT_ONCE]
            answers = await asyncio.gather(*(self._node.transaction(txid) for txid in part))
            found.update(zip(part, answers, strict=True))
        return found

    def _movements(self, transaction: Transaction) -> list[Movement]:
        matures_after = MATURITY if transaction.coinbase else 0
        found = []
        for vout, output in enumerate(transaction.outputs):
            address = addresses.address_of(output.script, self.network)
            if address is not None and 0 < output.value <= transactions.MONEY_MAX:
                found.append(
                    Movement(
                        chain_tx=transaction.txid,
                        index=str(vout),
                        address=address,
                        token=None,
                        amount=output.value,
                        matures_after=matures_after,
                    )
                )
        return found


def _obstructed(found: Destination, obstacle: str, detail: str) -> Destination:
    return Destination(address=found.address, memo=found.memo, obstacle=obstacle, obstacle_detail=detail)


def _rate(number: int) -> Rate:
    return Rate(numbers={building.NUMBER: number})
