"""What the adapter sees of blocks, on a real node: coins, what contracts pay on, and tokens as far as they arrived."""

import asyncio

import pytest

from billfold.chains import errors
from billfold.chains.ethereum.node import Node
from billfold.chains.port import Chain
from billfold.devnet.ethereum import faucet
from tests.integration.chains.ethereum.conftest import Opening
from tests.integration.chains.ethereum.world import ETH, Stranger, arrived, coming, mined, rpc, somebody
from tests.servers.devnets import DevnetServer


async def test_a_payment_is_seen_with_its_place_and_sender(
    ethereum_server: DevnetServer, chain: Chain, stranger: Stranger
) -> None:
    to = somebody()
    chain_tx = stranger.send(to, value=3 * ETH)
    assert [(each.chain_tx, each.amount) for each in await chain.pending() if each.address == to] == [
        (chain_tx, 3 * ETH)
    ]
    block = await mined(ethereum_server, chain)
    (movement,) = coming(block, to)
    assert (movement.chain_tx, movement.index, movement.amount, movement.token, movement.sender) == (
        chain_tx,
        "native",
        3 * ETH,
        None,
        stranger.address,
    )
    head = await chain.head()
    assert (head.height, head.hash, head.time) == (block.height, block.hash, block.time)
    above = await chain.block(block.height - 1)
    assert above is not None
    assert above.hash == block.parent
    assert await chain.block(block.height + 1) is None


async def test_a_transaction_that_is_reverted_moves_nothing(
    ethereum_server: DevnetServer, chain: Chain, stranger: Stranger
) -> None:
    deaf = stranger.deploy("Deaf")
    stranger.send(deaf, value=ETH)
    assert arrived(await mined(ethereum_server, chain), deaf) == []


async def test_what_a_contract_pays_on_is_seen_and_what_is_taken_back_is_not(
    ethereum_server: DevnetServer, chain: Chain, stranger: Stranger
) -> None:
    paying = stranger.deploy("Paying")
    to, cheated, heir = somebody(), somebody(), somebody()
    paid = stranger.call(paying, "pay(address)", to, value=ETH)
    pretended = stranger.call(paying, "pretend(address)", cheated, value=ETH)
    stranger.call(paying, "leave(address)", heir, value=5)
    block = await mined(ethereum_server, chain)
    assert rpc(ethereum_server, "eth_getTransactionReceipt", pretended)["status"] == "0x1"
    assert [(each.chain_tx, each.index, each.amount) for each in coming(block, to)] == [(paid, "internal:1", ETH)]
    assert arrived(block, cheated) == []
    assert arrived(block, heir) == [(None, 5)]
    assert await chain.balance(heir, token=None, height=block.height) == 5


async def test_where_nobody_traces_what_contracts_pay_on_is_not_credited_and_it_is_said_so(
    ethereum_server: DevnetServer, chain: Chain, stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def untold(*_: object) -> None: ...

    paying, to = stranger.deploy("Paying"), somebody()
    monkeypatch.setattr(Node, "traces", untold)
    stranger.call(paying, "pay(address)", to, value=ETH)
    stranger.send(to, value=7)
    blind = await mined(ethereum_server, chain)
    stranger.send(to, value=8)
    plain = await mined(ethereum_server, chain)
    monkeypatch.undo()
    stranger.call(paying, "pay(address)", to, value=9)
    seen = await mined(ethereum_server, chain)
    assert [(block.partial, arrived(block, to)) for block in (blind, plain, seen)] == [
        (True, [(None, 7)]),
        (None, [(None, 8)]),
        (False, [(None, 9)]),
    ]


async def test_only_allowed_tokens_count_and_only_in_calls_that_were_not_taken_back(
    ethereum_server: DevnetServer, opening: Opening, stranger: Stranger
) -> None:
    chain = opening(faucet.USDC)
    other = stranger.deploy("Token", ["string", "string", "uint8"], ["USD Coin", "USDC", 6])
    paying = stranger.deploy("Paying")
    to, cheated = somebody(), somebody()
    ethereum_server.faucet(to, "2.5", token=faucet.USDC)
    ethereum_server.faucet(paying, "1", token=faucet.USDC)
    stranger.call(other, "mint(address,uint256)", to, 7_000_000)
    stranger.call(paying, "pretendToken(address,address,uint256)", faucet.USDC, cheated, 1_000_000)
    block = await mined(ethereum_server, chain)
    assert arrived(block, to) == [(faucet.USDC, 2_500_000)]
    assert arrived(block, cheated) == []
    assert await chain.balance(to, token=faucet.USDC, height=block.height) == 2_500_000
    assert await chain.balance(to, token=faucet.USDC, height=block.height - 1) == 0


async def test_of_a_token_that_keeps_a_part_what_arrived_is_credited(
    ethereum_server: DevnetServer, opening: Opening, stranger: Stranger
) -> None:
    keeping = stranger.deploy("Keeping")
    chain = opening(keeping)
    to = somebody()
    stranger.call(keeping, "mint(address,uint256)", stranger.address, 5_000)
    stranger.call(keeping, "send(address,uint256)", to, 1_000)
    stranger.call(keeping, "send(address,uint256)", to, 2_000)
    block = await mined(ethereum_server, chain)
    assert sum(amount for _, amount in arrived(block, to)) == 2_700
    assert await chain.balance(to, token=keeping, height=block.height) == 2_700


async def test_events_without_a_transfer_credit_nothing(
    ethereum_server: DevnetServer, opening: Opening, stranger: Stranger
) -> None:
    lying = stranger.deploy("Lying")
    chain = opening(lying)
    to = somebody()
    stranger.call(lying, "lie(address,uint256)", to, 1_000)
    stranger.call(lying, "transfer(address,uint256)", to, 1_000)
    stranger.call(lying, "mumble(address)", to)
    assert arrived(await mined(ethereum_server, chain), to) == []


async def test_a_token_that_is_entered_twice_is_credited_once(
    ethereum_server: DevnetServer, opening: Opening, stranger: Stranger
) -> None:
    calling, again = stranger.deploy("Calling"), stranger.deploy("Again")
    chain = opening(calling)
    to = somebody()
    stranger.call(calling, "mint(address,uint256)", again, 1_000)
    twice = stranger.call(again, "go(address,address,uint256)", calling, to, 400)
    block = await mined(ethereum_server, chain)
    assert len(rpc(ethereum_server, "eth_getTransactionReceipt", twice)["logs"]) == 2
    assert arrived(block, to) == [(calling, 400)]


async def test_tokens_behind_a_proxy_and_with_nought_or_many_decimals_are_whole_numbers(
    ethereum_server: DevnetServer, opening: Opening, stranger: Stranger
) -> None:
    inner = stranger.deploy("Token", ["string", "string", "uint8"], ["x", "X", 6])
    proxy = stranger.deploy("Proxy", ["address"], [inner])
    whole, tiny = (
        stranger.deploy("Token", ["string", "string", "uint8"], ["x", "USDC", decimals]) for decimals in (0, 77)
    )
    chain = opening(proxy, whole, tiny)
    to = somebody()
    stranger.call(proxy, "mint(address,uint256)", to, 5)
    stranger.call(whole, "mint(address,uint256)", to, 1)
    stranger.call(tiny, "mint(address,uint256)", to, 10**77)
    block = await mined(ethereum_server, chain)
    assert arrived(block, to) == [(proxy, 5), (whole, 1), (tiny, 10**77)]


async def test_a_token_that_tells_no_balances_stops_the_watching_of_its_block(
    ethereum_server: DevnetServer, opening: Opening, stranger: Stranger
) -> None:
    mute = stranger.deploy("Mute")
    chain, other = opening(mute), opening()
    stranger.call(mute, "lie(address,uint256)", somebody(), 1_000)
    height = ethereum_server.mine()["height"]
    with pytest.raises(errors.NodeWrong, match=mute):
        await chain.block(height)
    assert await other.block(height) is not None


async def test_a_movement_that_is_mined_again_has_the_same_index(
    ethereum_server: DevnetServer, opening: Opening, stranger: Stranger
) -> None:
    chain = opening(faucet.USDC)
    paying = stranger.deploy("Paying")
    to = somebody()
    ethereum_server.faucet(to, "1", token=faucet.USDC)
    stranger.call(paying, "pay(address)", to, value=ETH)
    stranger.send(to, value=1)
    before = await mined(ethereum_server, chain)
    assert len(coming(before, to)) == 3
    tip = ethereum_server.reorg(3)["height"]
    assert await chain.block(before.height) != before
    blocks = await asyncio.gather(*(chain.block(height) for height in range(before.height - 2, tip + 1)))
    after = [each for block in blocks if block is not None for each in coming(block, to)]
    assert after == coming(before, to)
    ethereum_server.reorg(4, drop=True)
    assert await chain.balance(to, token=None, height=tip) == 0
