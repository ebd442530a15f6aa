"""What only our own Solana can be made to do: forks, tokens of its faucet, nodes that fail and that lie."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from billfold.chains import solana
from billfold.chains.errors import FundsShort, NodeUnavailable, NodeWrong, Refused, Uncertain
from billfold.chains.nodes import Nodes
from billfold.chains.port import Chain, Fate, Payment
from billfold.chains.solana import orders
from tests.integration.chains.solana import networks
from tests.integration.chains.solana.networks import RATE, SOL, USDC, Own, Payer, somebody
from tests.servers.solana import SolanaServer

RENT = 2_039_280


@pytest.fixture
def net(solana_server: SolanaServer) -> Own:
    return Own(solana_server)


@pytest.fixture
async def chain(net: Own) -> AsyncIterator[Chain]:
    opened = networks.opened(net)
    yield opened
    net.server.control("faults")
    await opened.close()


async def test_a_payment_in_a_fork_that_is_given_up_is_gone_and_comes_again(net: Own, chain: Chain) -> None:
    payer, to = await networks.funded(net, chain), somebody()
    signed, allocation = await payer.prepared(chain, Payment(address=to, amount=SOL // 2))
    await chain.broadcast(signed)
    net.server.mine(2)
    lost = await chain.find(signed, allocation)
    assert lost.height is not None

    net.server.reorg(2, drop=True)

    assert (await chain.find(signed, allocation)).fate is Fate.UNSEEN
    assert await chain.block(lost.height) is None
    head = await chain.head()
    assert await networks.movements(chain, lost.height, head.height) == []
    # The same bytes, and the same money.
    await chain.broadcast(signed)
    net.server.mine()
    found = await chain.find(signed, allocation)
    assert found.fate is Fate.MINED
    assert found.block != lost.block
    assert await chain.balance(to, token=None, height=0) == SOL // 2


async def test_tokens_arrive_for_their_owner_and_are_paid_to_one_who_had_none(net: Own, chain: Chain) -> None:
    payer, to = await networks.funded(net, chain), somebody()
    signature = net.server.faucet(payer.address, "20", token=USDC)
    net.server.mine()
    head = await chain.head()
    (arrived,) = [one for one in await networks.movements(chain, head.height, head.height) if one.token]
    assert (arrived.chain_tx, arrived.address, arrived.token) == (signature, payer.address, USDC)
    assert arrived.amount == 20_000_000

    examined = await chain.examine(to, memo=None, token=USDC, amount=1)
    assert (examined.obstacle, examined.opening) == (None, RENT)
    payment = Payment(address=to, amount=7_500_000, token=USDC, memo="order 18")
    fee = await chain.estimate([payment], source=payer.address, rate=RATE)
    unsigned = await chain.build([payment], await payer.allocated(chain), rate=RATE)
    assert unsigned.fee_max == fee + RENT
    signed, allocation = await payer.prepared(chain, payment)
    await chain.broadcast(signed)
    net.server.mine()

    found = await chain.find(signed, allocation)
    assert (found.fate, found.succeeded, found.fee) == (Fate.MINED, True, fee)
    assert found.height is not None
    assert await chain.balance(to, token=USDC, height=found.height) == 7_500_000
    assert await chain.balance(payer.address, token=USDC, height=found.height) == 12_500_000
    assert await chain.balance(payer.address, token=None, height=found.height) == SOL - fee - RENT
    arrivals = await networks.movements(chain, found.height, found.height)
    (seen,) = [one for one in arrivals if one.address == to]
    assert (seen.token, seen.amount, seen.sender) == (USDC, 7_500_000, payer.address)
    assert (await chain.examine(to, memo=None, token=USDC, amount=1)).opening == 0


async def test_a_token_that_is_not_supported_counts_for_nothing(net: Own) -> None:
    stranger = networks.opened(net, tokens=())
    payer = somebody()
    net.server.faucet(payer, "20", token=USDC)
    net.server.mine()
    head = await stranger.head()

    assert [one for one in await networks.movements(stranger, head.height, head.height) if one.address == payer] == []
    assert (await stranger.examine(payer, memo=None, token=USDC, amount=1)).obstacle == "token_unknown"
    await stranger.close()


async def test_an_account_of_tokens_is_no_place_for_money(net: Own, chain: Chain) -> None:
    owner = somebody()
    net.server.faucet(owner, "1", token=USDC)
    net.server.mine()
    account = str(orders.token_account(owner, USDC))
    nobody = str(orders.token_account(somebody(), USDC))

    async def obstacle(address: str, token: str | None) -> str | None:
        return (await chain.examine(address, memo=None, token=token, amount=SOL)).obstacle

    for token in (None, USDC):
        assert await obstacle(account, token) == "token_account"
        assert await obstacle(USDC, token) == "mint"
        assert await obstacle(nobody, token) == "off_curve"
    assert await obstacle(owner, USDC) is None


async def test_a_failed_transaction_moves_nothing_and_is_found_with_its_reason_and_fee(net: Own, chain: Chain) -> None:
    payer, to = await networks.funded(net, chain), somebody()
    first, _ = await payer.prepared(chain, Payment(address=to, amount=SOL // 2))
    second, allocation = await payer.prepared(chain, Payment(address=to, amount=SOL // 2 + 1))
    await chain.broadcast(first)
    await chain.broadcast(second)
    net.server.mine()

    found = await chain.find(second, allocation)

    assert (found.fate, found.succeeded) == (Fate.MINED, False)
    assert found.fee is not None
    assert found.fee > 0
    assert "InstructionError" in found.reason
    assert found.height is not None
    arrived = await networks.movements(chain, found.height, found.height)
    assert [one.amount for one in arrived if one.address == to] == [SOL // 2]


async def test_what_can_not_be_taken_is_refused_and_what_was_not_answered_for_is_uncertain(
    net: Own, chain: Chain
) -> None:
    payer = await networks.funded(net, chain)
    signed, allocation = await payer.prepared(chain, Payment(address=somebody(), amount=SOL // 2))
    late, _ = await payer.prepared(chain, Payment(address=somebody(), amount=SOL // 3))

    net.server.control("faults", mute=1)
    with pytest.raises(Uncertain):
        await chain.broadcast(signed)
    net.server.mine()
    assert (await chain.find(signed, allocation)).fate is Fate.MINED

    net.server.mine(150)
    with pytest.raises(Refused, match="Blockhash not found"):
        await chain.broadcast(late)


async def test_a_node_that_has_forgotten_a_signature_does_not_make_a_transaction_dead(net: Own, chain: Chain) -> None:
    payer = await networks.funded(net, chain)
    signed, allocation = await payer.prepared(chain, Payment(address=somebody(), amount=SOL // 2))
    await chain.broadcast(signed)
    net.server.mine(200)

    net.server.control("faults", forget=True)

    with pytest.raises(NodeWrong, match="does not know a signature"):
        await chain.find(signed, allocation)


async def test_two_nodes_that_do_not_say_the_same_decide_nothing(
    net: Own, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with networks.another(tmp_path_factory) as other:
        other.mine(3)
        torn = solana.open(Nodes(network="sandbox", urls=[net.url, other.url], quorum=2, tokens=(USDC,)))
        with pytest.raises(NodeUnavailable):
            await torn.block(2)
        with pytest.raises(NodeUnavailable):
            await torn.balance(Payer().address, token=None, height=10**9)
        await torn.close()


async def test_two_nodes_that_say_the_same_decide_everything(net: Own) -> None:
    urls = [net.url, net.url.replace("127.0.0.1", "localhost")]
    chain = solana.open(Nodes(network="sandbox", urls=urls, quorum=2, tokens=(USDC,)))
    await chain.check()
    payer, to = await networks.funded(net, chain), somebody()
    signed, allocation = await payer.prepared(chain, Payment(address=to, amount=SOL // 2))
    await chain.broadcast(signed)
    net.server.mine()

    found = await chain.find(signed, allocation)

    assert found.fate is Fate.MINED
    assert found.height is not None
    assert SOL // 2 in [one.amount for one in await networks.movements(chain, found.height, found.height)]
    assert await chain.balance(to, token=None, height=found.height) == SOL // 2
    assert await chain.balance(to, token=USDC, height=found.height) == 0
    await chain.close()


async def test_what_would_leave_too_little_behind_is_not_built(net: Own, chain: Chain) -> None:
    payer = await networks.funded(net, chain)
    allocation = await payer.allocated(chain)
    tokens = Payment(address=somebody(), amount=1, token=USDC)
    with pytest.raises(FundsShort, match="units of the token"):
        await chain.build([tokens], allocation, rate=RATE)
