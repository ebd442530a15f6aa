"""What offers too little and can't be replaced gets into a block by a child, under the rules of Bitcoin itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

from billfold.chains.bitcoin import signing, sizes
from billfold.chains.port import Allocation, Coin, Payment, Rate, Speed
from billfold.chains.signing_port import Place
from billfold.custody import errors
from billfold.custody.contracts import Child
from tests.integration.chains.bitcoin_engines import SEED, Local, address
from tests.integration.chains.test_bitcoin_withdrawals import BTC, ELSEWHERE, OURS, Branch, branch
from tests.servers.devnets import DevnetServer

__all__ = ["branch"]

STRANGER = Place(purpose="hot", index=9_500)
THEIRS = address(STRANGER)
#: What the chain asks for a place in a block, in satoshi for 1,000 virtual bytes.
FAST, NORMAL, SLOW = 6_000, 2_500, 1_000


class Desk:
    """An operator's view of the house, and somebody who sends it money for too little."""

    def __init__(self, branch: Branch, server: DevnetServer) -> None:
        self.branch = branch
        self.server = server
        self.coin: Coin | None = None

    async def hasten(self, chain_tx: str, speed: Speed = "fast") -> Child:
        return await self.branch.withdrawals.hasten(chain="bitcoin", chain_tx=chain_tx, speed=speed)

    async def stranger(self, amount: int = BTC) -> None:
        """Somebody has a coin."""
        chain_tx = self.server.faucet(THEIRS, f"{amount // BTC}.{amount % BTC:08d}")
        self.server.mine()
        found = next(one for one in (await self.block()).movements if (one.chain_tx, one.address) == (chain_tx, THEIRS))
        self.coin = Coin(chain_tx=chain_tx, index=found.index, address=THEIRS, amount=amount)

    async def send(self, *payments: tuple[str, int], rate: int = SLOW) -> str:
        """The stranger's coin pays this, and what is left comes back to them; the transaction's id."""
        assert self.coin is not None
        allocation = Allocation(source=THEIRS, coins=[self.coin], change=THEIRS)
        pays = [Payment(address=to, amount=amount) for to, amount in payments]
        chain: Any = self.branch.chain
        unsigned = await chain.build(pays, allocation, rate=Rate(numbers={"sat_per_kvb": rate}))
        signed = signing.sign(unsigned.payload, SEED, places={THEIRS: STRANGER}, network="sandbox")
        await chain.broadcast(signed)
        return signed.chain_tx

    async def block(self) -> Any:
        return await self.branch.chain.block((await self.branch.chain.head()).height)

    def waiting(self, chain_tx: str) -> Mapping[str, Any]:
        """The node's own words about a transaction that waits."""
        call = {"id": 1, "method": "getmempoolentry", "params": [chain_tx]}
        answer = httpx2.post(Local(self.server).url, json=call, trust_env=False)
        entry: dict[str, Any] = answer.raise_for_status().json()["result"]
        return entry

    def pays(self, chain_tx: str) -> tuple[int, int]:
        """Fee and size of a transaction with all that it builds on, in satoshi and virtual bytes."""
        entry = self.waiting(chain_tx)
        return round(float(entry["fees"]["ancestor"]) * BTC), entry["ancestorsize"]

    async def fees(self) -> int:
        return (await self.branch.posted(await self.branch.house.account(kind="fees", asset="BTC")))[0]


@pytest.fixture
def desk(branch: Branch, bitcoin_server: DevnetServer) -> Desk:
    """On a busy day: all else is as the node has it, in whose blocks there is room for everything."""

    async def rates() -> Mapping[Speed, Rate]:
        asked: dict[Speed, int] = {"slow": SLOW, "normal": NORMAL, "fast": FAST}
        return {speed: Rate(numbers={"sat_per_kvb": number}) for speed, number in asked.items()}

    branch.chain.rates = rates
    return Desk(branch, bitcoin_server)


async def test_a_withdrawal_is_mined_for_the_sake_of_the_child_of_its_change(desk: Desk) -> None:
    branch = desk.branch
    account = await branch.customer(BTC)
    branch.chain.mine()
    asked = (await branch.request(account, 20_000_000, ELSEWHERE, speed="slow")).withdrawal
    sent = await branch.until_sent(asked.id)
    assert sent.chain_tx is not None
    made = await asyncio.gather(*(desk.hasten(sent.chain_tx) for _ in range(4)))
    assert len({one.id for one in made}) == 1
    await branch.work()
    child = await desk.hasten(sent.chain_tx)
    assert (child.id, child.status) == (made[0].id, "sent")
    assert child.child_tx is not None
    fee, size = desk.pays(child.child_tx)
    assert sizes.fee_for(FAST, size) <= fee <= sizes.fee_for(FAST, size + 8)
    # Who would replace the parent would have to pay for the child, too.
    with pytest.raises(errors.WithdrawalTooLate):
        await branch.bump(asked.id)
    with pytest.raises(errors.WithdrawalTooLate):
        await branch.withdrawals.cancel(withdrawal_id=asked.id)
    before = await desk.fees()

    (ended,) = await branch.finish(asked.id)

    assert (ended.status, ended.chain_tx) == ("settled", sent.chain_tx)
    assert (await desk.hasten(sent.chain_tx)).status == "settled"
    assert (await desk.fees()) - before == -fee + (ended.fee_paid or 0)
    (told,) = await branch.told("treasury.moved.v1")
    assert (told["kind"], told["chain_tx"], told["address"]) == ("child", child.child_tx, OURS["hot"])
    await branch.check_conserved(ended)


async def test_what_came_for_too_little_is_taken_before_what_pays_more_than_it(desk: Desk) -> None:
    await desk.stranger()
    parent = await desk.send((OURS["hot"], 30_000_000), (ELSEWHERE, 1_000_000))
    slow = await desk.hasten(parent, "normal")
    await desk.branch.work()
    child = await desk.hasten(parent)
    assert child.id != slow.id, "what offered too little for this speed is replaced"
    assert (await desk.hasten(parent, "slow")).id == child.id
    await desk.branch.work()
    child = await desk.hasten(parent)
    assert child.child_tx is not None
    fee, size = desk.pays(child.child_tx)
    assert fee >= sizes.fee_for(FAST, size)
    desk.server.faucet(ELSEWHERE, "0.1")
    desk.server.mine()
    mined = list(dict.fromkeys(one.chain_tx for one in (await desk.block()).movements))
    # The faucet pays five times as much as the parent, and waits behind the two.
    assert mined[1:3] == [parent, child.child_tx]


async def test_a_child_whose_parent_never_happens_is_dead_and_has_cost_nothing(desk: Desk) -> None:
    branch = desk.branch
    await desk.stranger()
    parent = await desk.send((OURS["hot"], 30_000_000))
    await desk.hasten(parent)
    await branch.work()
    await desk.send((ELSEWHERE, 40_000_000), rate=100_000)
    await branch.finish()
    with pytest.raises(errors.TransactionNotWaiting):
        await desk.hasten(parent)
    assert (await desk.fees(), await branch.told("treasury.moved.v1")) == (0, [])
    await branch.check_conserved()


async def test_what_would_not_help_or_cost_too_much_is_refused(desk: Desk) -> None:
    async def refused(chain_tx: str) -> str:
        with pytest.raises(errors.TransactionNotHurried) as caught:
            await desk.hasten(chain_tx)
        return str(caught.value.extensions["obstacle"])

    with pytest.raises(errors.TransactionNotWaiting):
        await desk.hasten("00" * 32)
    await desk.stranger()
    many = [(ELSEWHERE, 1_000)] * 990
    assert await refused(await desk.send((OURS["hot"], 20_000_000), *many)) == "fee_above_limit"
    await desk.stranger()
    assert await refused(await desk.send((ELSEWHERE, 20_000_000))) == "nothing_of_ours"
    assert await refused(await desk.send((OURS["hot"], 1_500), rate=2_200)) == "coin_too_small"
    assert await refused(await desk.send((OURS["hot"], 20_000_000), rate=7_000)) == "offers_enough"
    assert await desk.branch.open() == 0
