"""Transactions with a durable nonce, on every Solana: our own, and one that others have made."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import msgspec
import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0, from_bytes_versioned, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import AdvanceNonceAccountParams, TransferParams, advance_nonce_account, transfer
from solders.transaction import VersionedTransaction

from billfold.chains.errors import NodeUnavailable, PaymentInvalid, Refused
from billfold.chains.port import Allocation, Chain, Fate, Payment, Signed, Unsigned
from billfold.chains.solana import keys, nonces
from tests.integration.chains.solana import networks
from tests.integration.chains.solana.networks import RATE, SOL, Net, Payer, somebody
from tests.servers.solana import SolanaServer

_DEADLINE_S = 120.0


def pair(payer: Payer) -> Keypair:
    return keys.keypair(payer.seed, payer.place)


def sign(payer: Payer, unsigned: Unsigned) -> Signed:
    """As somebody outside signs, whatever it is."""
    made = VersionedTransaction(from_bytes_versioned(unsigned.payload), [pair(payer)])
    return Signed(raw=bytes(made), chain_tx=str(made.signatures[0]))


async def found(net: Net, chain: Chain, signed: Signed, allocation: Allocation, fate: Fate) -> None:
    """Wait until that has become of it."""
    deadline = time.monotonic() + _DEADLINE_S
    while (seen := await chain.find(signed, allocation)).fate is not fate:
        assert time.monotonic() < deadline, f"it is {seen}"
        await net.pass_blocks(4)


async def open_account(net: Net, chain: Chain, payer: Payer) -> tuple[Allocation, int]:
    """What a nonce that was just opened gives to a transaction, and what opening it has cost."""
    (account,) = await chain.nonce_accounts(payer.address, count=1)
    allocation = await payer.allocated(chain)
    opening = Payment(address=account, amount=0)
    unsigned = await chain.build([opening], allocation, rate=RATE)
    assert unsigned.fee_max == await chain.estimate([opening], source=payer.address, rate=RATE)
    signed = sign(payer, unsigned)
    await chain.broadcast(signed)
    await net.pass_blocks(2)
    await found(net, chain, signed, allocation, Fate.MINED)
    cost = (await chain.find(signed, allocation)).fee
    assert cost == unsigned.fee_max
    return await renewed(net, chain, payer), cost


async def renewed(net: Net, chain: Chain, payer: Payer, before: Allocation | None = None) -> Allocation:
    """What the nonce gives as soon as it is finally another one."""
    (account,) = await chain.nonce_accounts(payer.address, count=1)
    old = None if before is None or before.anchor is None else before.anchor.split(":")[1]
    deadline = time.monotonic() + _DEADLINE_S
    while True:
        anchor = await chain.durable_anchor(account, source=payer.address)
        if anchor is not None and anchor.split(":")[1] != old:
            return Allocation(source=payer.address, anchor=anchor)
        assert time.monotonic() < deadline, "it is final in time"
        await net.pass_blocks(4)


async def test_it_waits_for_longer_than_any_block_counts_and_pays_once(net: Net, chain: Chain) -> None:
    payer, to = await networks.funded(net, chain), somebody()
    (account,) = await chain.nonce_accounts(payer.address, count=1)
    assert await chain.durable_anchor(account, source=payer.address) is None
    allocation, cost = await open_account(net, chain, payer)
    assert allocation.endures
    assert await chain.balance(payer.address, token=None, height=0) == SOL - cost
    unsigned = await chain.build([Payment(address=to, amount=SOL // 4)], allocation, rate=RATE)
    fee = await chain.estimate([Payment(address=to, amount=SOL // 4)], source=payer.address, rate=RATE)
    assert unsigned.fee_max == fee

    await net.pass_blocks(200)
    signed = sign(payer, unsigned)
    assert (await chain.find(signed, allocation)).fate is Fate.UNSEEN
    assert (await chain.seek(unsigned.payload, allocation)).fate is Fate.UNSEEN
    await chain.broadcast(signed)
    await net.pass_blocks(2)

    await found(net, chain, signed, allocation, Fate.MINED)
    done = await chain.find(signed, allocation)
    assert (done.succeeded, done.fee) == (True, fee)
    assert await chain.balance(to, token=None, height=0) == SOL // 4
    # Whoever has kept the message, and not the signature, finds it by what has used up the nonce.
    following = await renewed(net, chain, payer, allocation)
    sought = await chain.seek(unsigned.payload, allocation)
    assert (sought.fate, sought.signed) == (Fate.MINED, Signed(raw=signed.raw, chain_tx=signed.chain_tx))
    assert following.anchor != allocation.anchor


async def test_another_with_the_same_nonce_is_the_end_of_it(net: Net, chain: Chain) -> None:
    payer, to = await networks.funded(net, chain), somebody()
    allocation, _ = await open_account(net, chain, payer)
    paying = await chain.build([Payment(address=to, amount=SOL // 4)], allocation, rate=RATE)
    clearing = await chain.build([], allocation, rate=RATE)
    late, clear = sign(payer, paying), sign(payer, clearing)

    await chain.broadcast(clear)
    await net.pass_blocks(2)

    await found(net, chain, clear, allocation, Fate.MINED)
    await found(net, chain, late, allocation, Fate.DEAD)
    assert (await chain.seek(paying.payload, allocation)).fate is Fate.DEAD
    with pytest.raises(Refused):
        await chain.broadcast(late)
    await net.pass_blocks(2)
    assert await chain.balance(to, token=None, height=0) == 0


async def test_a_nonce_that_its_owner_moves_on_otherwise_proves_nothing(net: Net, chain: Chain) -> None:
    payer = await networks.funded(net, chain)
    allocation, _ = await open_account(net, chain, payer)
    unsigned = await chain.build([Payment(address=somebody(), amount=SOL // 4)], allocation, rate=RATE)
    signed = sign(payer, unsigned)
    (account,) = await chain.nonce_accounts(payer.address, count=1)
    advance = advance_nonce_account(
        AdvanceNonceAccountParams(nonce_pubkey=Pubkey.from_string(account), authorized_pubkey=pair(payer).pubkey())
    )
    recent = (await payer.allocated(chain)).anchor
    assert recent is not None
    message = MessageV0.try_compile(pair(payer).pubkey(), [advance], [], Hash.from_string(recent.split(":")[1]))
    moved = sign(payer, Unsigned(payload=to_bytes_versioned(message), fee_max=0))

    await chain.broadcast(moved)
    await net.pass_blocks(2)
    await renewed(net, chain, payer, allocation)

    assert (await chain.seek(unsigned.payload, allocation)).fate is None
    with pytest.raises(NodeUnavailable, match="used up a nonce"):
        await chain.find(signed, allocation)


async def test_only_payments_of_its_owner_have_one(net: Net, chain: Chain) -> None:
    payer = await networks.funded(net, chain)
    allocation, _ = await open_account(net, chain, payer)
    (account,) = await chain.nonce_accounts(payer.address, count=1)

    assert await chain.durable_anchor(account, source=somebody()) is None
    assert await chain.durable_anchor(payer.address, source=payer.address) is None
    of_another = msgspec.structs.replace(allocation, source=somebody(), change=payer.address)
    with pytest.raises(PaymentInvalid):
        await chain.build([Payment(address=payer.address, amount=1)], of_another, rate=RATE)
    with pytest.raises(PaymentInvalid):
        await chain.build([Payment(address=account, amount=0)], allocation, rate=RATE)
    with pytest.raises(PaymentInvalid):
        await chain.build([], await payer.allocated(chain), rate=RATE)
    strange = Payment(address=nonces.account(somebody(), 0), amount=0)
    with pytest.raises(PaymentInvalid):
        await chain.build([strange], await payer.allocated(chain), rate=RATE)


@pytest.fixture
async def own(solana_server: SolanaServer) -> AsyncIterator[tuple[networks.Own, Chain]]:
    """Our own, which can be made to do more."""
    net = networks.Own(solana_server)
    opened = networks.opened(net)
    await networks.until_final(net, opened)
    yield net, opened
    solana_server.control("faults")
    await opened.close()


async def test_one_that_fails_uses_its_nonce_up_all_the_same(own: tuple[networks.Own, Chain]) -> None:
    net, chain = own
    payer = await networks.funded(net, chain)
    allocation, _ = await open_account(net, chain, payer)
    signed = sign(payer, await chain.build([Payment(address=somebody(), amount=SOL // 2)], allocation, rate=RATE))
    # In the same block, before it: then too little is left, which a node that tries it does not see yet.
    before, _ = await payer.prepared(chain, Payment(address=somebody(), amount=SOL * 3 // 4))
    await chain.broadcast(before)
    await chain.broadcast(signed)
    await net.pass_blocks(1)

    done = await chain.find(signed, allocation)
    assert (done.fate, done.succeeded, done.fee) == (Fate.MINED, False, 5_015)
    await renewed(net, chain, payer, allocation)
    assert (await chain.find(signed, allocation)).fate is Fate.MINED


async def test_what_a_fork_has_dropped_can_happen_again(own: tuple[networks.Own, Chain]) -> None:
    net, chain = own
    payer, to = await networks.funded(net, chain), somebody()
    allocation, _ = await open_account(net, chain, payer)
    signed = sign(payer, await chain.build([Payment(address=to, amount=SOL // 4)], allocation, rate=RATE))
    await chain.broadcast(signed)
    net.server.mine(2)
    assert (await chain.find(signed, allocation)).fate is Fate.MINED

    net.server.reorg(2, drop=True)

    assert (await chain.find(signed, allocation)).fate is Fate.UNSEEN
    await chain.broadcast(signed)
    net.server.mine()
    assert (await chain.find(signed, allocation)).fate is Fate.MINED
    assert await chain.balance(to, token=None, height=0) == SOL // 4


async def test_nodes_that_have_forgotten_what_they_did_make_nothing_dead(own: tuple[networks.Own, Chain]) -> None:
    net, chain = own
    payer = await networks.funded(net, chain)
    allocation, _ = await open_account(net, chain, payer)
    paying = await chain.build([Payment(address=somebody(), amount=SOL // 4)], allocation, rate=RATE)
    signed = sign(payer, paying)
    await chain.broadcast(signed)
    await renewed(net, chain, payer, allocation)

    net.server.control("faults", forget=True)

    with pytest.raises(NodeUnavailable, match="used up a nonce"):
        await chain.find(signed, allocation)
    assert (await chain.seek(paying.payload, allocation)).fate is None


async def test_money_that_somebody_sends_there_first_does_not_keep_it_shut(own: tuple[networks.Own, Chain]) -> None:
    net, chain = own
    payer = await networks.funded(net, chain)
    (account,) = await chain.nonce_accounts(payer.address, count=1)
    net.fund(account, net.least)
    await net.pass_blocks(1)

    allocation, cost = await open_account(net, chain, payer)

    assert allocation.endures
    assert cost == 5_000 + 40 + 1_447_680


async def test_several_are_opened_at_once_and_each_has_its_own_nonce(own: tuple[networks.Own, Chain]) -> None:
    net, chain = own
    payer = await networks.funded(net, chain)
    wanted = await chain.nonce_accounts(payer.address, count=nonces.AT_ONCE)
    allocation = await payer.allocated(chain)
    unsigned = await chain.build([Payment(address=one, amount=0) for one in wanted], allocation, rate=RATE)
    signed = sign(payer, unsigned)
    await chain.broadcast(signed)
    await net.pass_blocks(40)

    assert (await chain.find(signed, allocation)).fee == unsigned.fee_max
    anchors = [await chain.durable_anchor(one, source=payer.address) for one in wanted]
    assert len({anchor.split(":")[2] for anchor in anchors if anchor is not None}) == len(wanted)


async def test_a_stranger_with_the_same_value_in_a_nonce_of_their_own_is_not_the_end_of_it(
    own: tuple[networks.Own, Chain],
) -> None:
    net, chain = own
    payer, other = [await networks.funded(net, chain) for _ in range(2)]
    # All nonces that go on in one block have the same value then, whoever's they are.
    for one in (payer, other):
        opening = Payment(address=(await chain.nonce_accounts(one.address, count=1))[0], amount=0)
        await chain.broadcast(sign(one, await chain.build([opening], await one.allocated(chain), rate=RATE)))
    await net.pass_blocks(1)
    allocation, theirs = [await renewed(net, chain, one) for one in (payer, other)]
    value, account = (allocation.anchor or "").split(":")[1:]
    same, of_another = (theirs.anchor or "").split(":")[1:]
    assert (same, of_another != account) == (value, True)
    unsigned = await chain.build([Payment(address=somebody(), amount=SOL // 4)], allocation, rate=RATE)

    # They name our account, which anybody may, so that theirs is in the list of those that do.
    their_key = pair(other).pubkey()
    steps = [
        advance_nonce_account(
            AdvanceNonceAccountParams(nonce_pubkey=Pubkey.from_string(of_another), authorized_pubkey=their_key)
        ),
        transfer(TransferParams(from_pubkey=their_key, to_pubkey=Pubkey.from_string(account), lamports=1)),
    ]
    message = to_bytes_versioned(MessageV0.try_compile(their_key, steps, [], Hash.from_string(value)))
    await chain.broadcast(sign(other, Unsigned(payload=message, fee_max=0)))
    await net.pass_blocks(1)
    signed = sign(payer, unsigned)
    await chain.broadcast(signed)
    await net.pass_blocks(1)
    await renewed(net, chain, payer, allocation)

    sought = await chain.seek(unsigned.payload, allocation)
    assert (sought.fate, sought.signed) == (Fate.MINED, Signed(raw=signed.raw, chain_tx=signed.chain_tx))
