"""A chain of which nothing that was read is left is read anew, and nothing is credited twice by that."""

import msgspec
import pytest

from billfold.custody import errors
from tests.integration.custody.simulated import SimulatedChain
from tests.integration.custody.support import Bank


async def halted(bank: Bank, chain: SimulatedChain) -> str:
    """The address of a wallet with 755, of which a chain that has replaced all we know has kept 700."""
    chain.mine(9)
    _, address = await bank.wallet()
    await bank.read()
    kept = chain.pay(address, 700)
    chain.pay(address, 55)
    chain.mine(4)
    await bank.read()
    chain.reorganise(12, drop=True)
    chain.pay(address, 700, chain_tx=kept.chain_tx)
    chain.mine(4)
    await bank.read()
    await bank.custody.chains.resume(chain="bitcoin")
    await bank.read()
    state = await bank.custody.chains.state(chain="bitcoin")
    assert (state.status, state.halted) == ("halted", "no_common_ancestor")
    return address


async def test_what_is_there_again_stays_and_what_is_gone_is_taken_back(bank: Bank, chain: SimulatedChain) -> None:
    address = await halted(bank, chain)
    assert await bank.held("omnibus") == -755
    state = await bank.custody.chains.rescan(chain="bitcoin", height=3)
    assert (state.halted, state.height) == (None, 2)
    for _ in range(2):
        await bank.read()
    assert await bank.held("omnibus") == -700
    assert sorted(await bank.states()) == ["releasable", "reverted"]
    assert sorted(await bank.told()).count("credited") == 2, "each was credited once"
    # And it goes on from there.
    chain.pay(address, 9)
    chain.mine(2)
    await bank.read()
    assert (await bank.custody.chains.state(chain="bitcoin")).lag == 0
    assert sorted(await bank.states()) == ["detected", "releasable", "reverted"]


async def test_it_begins_where_the_chain_is_still_as_it_was_or_not_at_all(bank: Bank, chain: SimulatedChain) -> None:
    with pytest.raises(errors.ChainNotHalted):
        await bank.custody.chains.rescan(chain="bitcoin", height=1)
    await halted(bank, chain)
    # Block 10 has brought both, and is another one now; 14 was never read; before block 0 there is none.
    for height in (11, 15, 0):
        with pytest.raises(errors.RescanTooHigh):
            await bank.custody.chains.rescan(chain="bitcoin", height=height)
    assert (await bank.custody.chains.state(chain="bitcoin")).status == "halted"
    assert await bank.held("omnibus") == -755


async def test_blocks_that_the_nodes_do_not_show_all_of_are_told_until_they_do(
    bank: Bank, chain: SimulatedChain
) -> None:
    async def told() -> int | None:
        await bank.read()
        return (await bank.custody.chains.state(chain="bitcoin")).partial_from

    assert await told() is None
    for partial, since in ((True, 1), (None, 1), (True, 1), (False, None), (None, None), (True, 6)):
        chain.mine()
        chain.state.blocks[-1] = msgspec.structs.replace(chain.state.blocks[-1], partial=partial)
        assert await told() == since
