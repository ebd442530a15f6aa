"""What custody asks of Bitcoin, asked of every node that can be had: the local one and btcd."""

import itertools
from collections.abc import AsyncIterator, Iterator, Sequence

import msgspec
import pytest

from billfold.chains import errors
from billfold.chains.bitcoin import signing
from billfold.chains.bitcoin.chain import Bitcoin
from billfold.chains.nodes import Nodes
from billfold.chains.port import Allocation, Coin, Fate, Payment, Rate, Signed
from billfold.chains.signing_port import Place
from tests import conftest
from tests.integration.chains.bitcoin_engines import FINAL_BLOCKS, MINER, SEED, Btcd, Engine, Local, address
from tests.servers import btcd
from tests.servers.devnets import DevnetServer

ELSEWHERE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
GIVEN = 50_000_000
#: Every test has keys of its own, so that none meets another's coins.
_places = itertools.count(1)


@pytest.fixture(scope="module", params=["devnet", "btcd"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, bitcoin_server: DevnetServer
) -> Iterator[Engine]:
    if request.param == "devnet":
        yield Local(bitcoin_server)
        return
    with (
        conftest.had("btcd_server"),
        btcd.running_btcd(tmp_path_factory.mktemp("btcd"), mining_address=address(MINER)) as server,
    ):
        yield Btcd(server)


@pytest.fixture
async def chain(engine: Engine) -> AsyncIterator[Bitcoin]:
    made = engine.chain()
    yield made
    await made.close()


class Purse:
    """Somebody's coin, and how they spend it."""

    def __init__(self, chain: Bitcoin, place: Place, coins: Sequence[Coin]) -> None:
        self.chain = chain
        self.place = place
        self.address = address(place)
        self.change = address(Place(purpose="change", index=place.index))
        self.allocation = Allocation(source=self.address, coins=coins, change=self.change)

    async def signed(self, amount: int, *, rate: int = 1_000) -> Signed:
        payments = [Payment(address=ELSEWHERE, amount=amount)]
        unsigned = await self.chain.build(payments, self.allocation, rate=Rate(numbers={"sat_per_kvb": rate}))
        signed = signing.sign(unsigned.payload, SEED, places={self.address: self.place}, network="sandbox")
        return msgspec.structs.replace(signed, payload=unsigned.payload)


@pytest.fixture
async def purse(chain: Bitcoin, engine: Engine) -> Purse:
    """With one coin, which a block has."""
    place = Place(purpose="deposit", index=next(_places))
    txid = await engine.give(address(place), GIVEN)
    engine.mine()
    return Purse(chain, place, [await coin_of(chain, txid, address(place))])


async def change_of(purse: Purse) -> Purse:
    """With what a waiting transaction has left over."""
    [change] = [each for each in await purse.chain.pending() if each.address == purse.change]
    coin = Coin(chain_tx=change.chain_tx, index=change.index, address=change.address, amount=change.amount)
    return Purse(purse.chain, Place(purpose="change", index=purse.place.index), [coin])


async def coin_of(chain: Bitcoin, txid: str, owner: str) -> Coin:
    block = await chain.block((await chain.head()).height)
    assert block is not None
    [found] = [each for each in block.movements if (each.chain_tx, each.address) == (txid, owner)]
    return Coin(chain_tx=txid, index=found.index, address=owner, amount=found.amount)


async def test_a_node_of_this_network_that_finds_every_transaction_passes(chain: Bitcoin) -> None:
    await chain.check()


async def test_a_node_of_another_network_does_not_pass(engine: Engine) -> None:
    other = Bitcoin(Nodes(network="main", urls=[engine.url]))
    with pytest.raises(errors.NodeWrong, match="another network"):
        await other.check()
    await other.close()


async def test_each_block_stands_on_the_one_before_it(chain: Bitcoin, engine: Engine) -> None:
    engine.mine()
    head = await chain.head()
    last, before = await chain.block(head.height), await chain.block(head.height - 1)

    assert last is not None
    assert before is not None
    assert (last.hash, last.parent, last.time) == (head.hash, before.hash, head.time)
    assert await chain.block(head.height + 1) is None
    [coinbase] = [each for each in last.movements if each.matures_after]
    assert coinbase.matures_after == 100


async def test_a_payment_is_seen_waiting_and_then_in_a_block_at_the_same_place(chain: Bitcoin, engine: Engine) -> None:
    owner = address(Place(purpose="deposit", index=next(_places)))
    txid = await engine.give(owner, 12_345_678)

    [waiting] = [each for each in await chain.pending() if each.address == owner]
    engine.mine()
    coin = await coin_of(chain, txid, owner)

    assert (waiting.chain_tx, waiting.index, waiting.amount) == (txid, coin.index, 12_345_678)
    assert coin.amount == 12_345_678
    assert not [each for each in await chain.pending() if each.address == owner]


async def test_of_much_that_waits_what_came_last_is_told(
    chain: Bitcoin, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billfold.chains.bitcoin.chain._PENDING_MAX", 2)
    sent = []
    for _ in range(4):
        sent.append(await engine.give(ELSEWHERE, 1_000_000))
        told = {each.chain_tx for each in await chain.pending()}
        assert sent[-1] in told
        assert len(told) <= 2
    engine.mine()
    assert await chain.pending() == []


async def test_a_transaction_is_followed_from_nowhere_into_a_block(purse: Purse, engine: Engine) -> None:
    chain = purse.chain
    signed = await purse.signed(20_000_000)
    assert (await chain.find(signed, purse.allocation)).fate is Fate.UNSEEN

    await chain.broadcast(signed)
    await chain.broadcast(signed)
    assert (await chain.find(signed, purse.allocation)).fate is Fate.PENDING

    engine.mine()
    found = await chain.find(signed, purse.allocation)
    head = await chain.head()
    block = await chain.block(head.height)
    assert block is not None
    assert (found.fate, found.height, found.block, found.succeeded) == (Fate.MINED, head.height, head.hash, True)
    paid = [each.amount for each in block.movements if each.chain_tx == signed.chain_tx]
    assert found.fee == GIVEN - sum(paid)
    [spent] = [each for each in block.spent if each.by == signed.chain_tx]
    assert (spent.chain_tx, spent.index) == (purse.allocation.coins[0].chain_tx, purse.allocation.coins[0].index)
    # A node that has it in a block is content, too.
    await chain.broadcast(signed)


async def test_a_replacement_is_taken_and_what_it_replaced_is_dead_when_that_is_final(
    purse: Purse, engine: Engine
) -> None:
    chain = purse.chain
    first = await purse.signed(20_000_000, rate=2_000)
    await chain.broadcast(first)
    raised = chain.raised(Rate(numbers={"sat_per_kvb": 2_000})).numbers["sat_per_kvb"]
    second = await purse.signed(20_000_000, rate=raised)
    await chain.broadcast(second)

    assert (await chain.find(second, purse.allocation)).fate is Fate.PENDING
    with pytest.raises(errors.Refused):
        await chain.broadcast(first)

    for _ in range(FINAL_BLOCKS):
        assert (await chain.find(first, purse.allocation)).fate is Fate.UNSEEN
        engine.mine()
    dead = await chain.find(first, purse.allocation)
    assert dead.fate is Fate.DEAD
    assert purse.allocation.coins[0].chain_tx in dead.reason
    assert (await chain.find(second, purse.allocation)).fate is Fate.MINED


async def test_a_block_that_is_replaced_takes_its_transactions_back(purse: Purse, engine: Engine) -> None:
    chain = purse.chain
    signed = await purse.signed(20_000_000)
    await chain.broadcast(signed)
    engine.mine()
    before = await chain.find(signed, purse.allocation)
    assert before.height is not None

    engine.replace(1)

    now = await chain.find(signed, purse.allocation)
    block = await chain.block(before.height)
    assert block is not None
    assert block.hash != before.block
    assert now.fate in {Fate.MINED, Fate.PENDING}
    engine.mine()
    after = await chain.find(signed, purse.allocation)
    assert after.fate is Fate.MINED
    assert after.block != before.block


async def test_what_builds_on_a_transaction_that_was_replaced_is_dead_when_that_is_final(
    purse: Purse, engine: Engine
) -> None:
    chain = purse.chain
    await chain.broadcast(await purse.signed(20_000_000))
    child = await change_of(purse)
    signed = await child.signed(1_000_000)
    await chain.broadcast(await purse.signed(20_000_000, rate=2_000))

    with pytest.raises(errors.Refused):
        await chain.broadcast(signed)
    for _ in range(FINAL_BLOCKS):
        assert (await chain.find(signed, child.allocation)).fate is Fate.UNSEEN
        engine.mine()

    dead = await chain.find(signed, child.allocation)
    assert dead.fate is Fate.DEAD
    assert child.allocation.coins[0].chain_tx in dead.reason
    # No block has ever had the coin, so to who has not kept where it came from nothing proves that none will.
    forgotten = msgspec.structs.replace(signed, payload=None)
    assert (await chain.find(forgotten, child.allocation)).fate is Fate.UNSEEN


async def test_a_child_that_pays_more_takes_its_parent_into_the_block(purse: Purse, engine: Engine) -> None:
    chain = purse.chain
    parent = await purse.signed(20_000_000)
    await chain.broadcast(parent)
    child = await change_of(purse)
    signed = await child.signed(1_000_000, rate=50_000)
    await chain.broadcast(signed)

    engine.mine()

    assert (await chain.find(parent, purse.allocation)).fate is Fate.MINED
    assert (await chain.find(signed, child.allocation)).fate is Fate.MINED


async def test_new_coins_can_not_be_spent_before_they_are_old_enough(chain: Bitcoin, engine: Engine) -> None:
    engine.mine_for_us()
    block = await chain.block((await chain.head()).height)
    assert block is not None
    [made] = [each for each in block.movements if each.matures_after]
    coin = Coin(chain_tx=made.chain_tx, index=made.index, address=made.address, amount=made.amount)
    with pytest.raises(errors.Refused):
        await chain.broadcast(await Purse(chain, MINER, [coin]).signed(1_000_000))


async def test_what_is_offered_is_never_below_what_nodes_pass_on(chain: Bitcoin) -> None:
    rates = await chain.rates()

    numbers = [rates[speed].numbers["sat_per_kvb"] for speed in ("slow", "normal", "fast")]
    assert numbers == sorted(numbers)
    assert numbers[0] >= 1_000
    payments = [Payment(address=ELSEWHERE, amount=1_000_000)]
    assert await chain.estimate(payments, source="", rate=rates["fast"]) >= numbers[2] * 141 // 1_000


async def test_an_estimate_is_not_below_the_fee_of_a_usual_payment(purse: Purse) -> None:
    payments = [Payment(address=ELSEWHERE, amount=1_000_000)]
    rate = Rate(numbers={"sat_per_kvb": 7_777})
    unsigned = await purse.chain.build(payments, purse.allocation, rate=rate)
    assert unsigned.fee_max <= await purse.chain.estimate(payments, source=purse.address, rate=rate)


async def test_what_would_become_of_a_payment_is_said_before(chain: Bitcoin) -> None:
    fine = await chain.examine(ELSEWHERE.upper(), memo=None, token=None, amount=294)
    assert (fine.address, fine.obstacle) == (ELSEWHERE, None)
    little = await chain.examine(ELSEWHERE, memo=None, token=None, amount=293)
    noted = await chain.examine(ELSEWHERE, memo="id:1", token=None, amount=1_000)
    other = await chain.examine(ELSEWHERE, memo=None, token="USDT", amount=1_000)
    assert [each.obstacle for each in (little, noted, other)] == ["below_dust", "memo_unknown", "token_unknown"]
    with pytest.raises(errors.AddressInvalid):
        chain.canonical("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4")


async def test_what_an_address_holds_is_what_it_was_given(chain: Bitcoin, engine: Engine) -> None:
    owner = address(Place(purpose="deposit", index=next(_places)))
    assert await chain.balance(owner, token=None, height=0) == 0
    await engine.give(owner, 1_000_000)
    await engine.give(owner, 2_000_000)
    engine.mine()
    height = (await chain.head()).height
    assert await chain.balance(owner, token=None, height=height) == 3_000_000
