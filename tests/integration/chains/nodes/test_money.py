"""What several nodes must say, and what is handed to all of them."""

from typing import Any

import pytest

from billfold.chains import errors
from billfold.chains.nodes import metrics, reading
from billfold.chains.nodes.failures import CallRefused, ProvidersDisagree
from billfold.chains.nodes.rpc import as_it_is
from tests.integration.chains.nodes.conftest import Setting


def block_hash(answer: Any) -> str:
    return reading.text(reading.member(answer, "hash"), "hash")


def height(answer: Any) -> int:
    return reading.whole(reading.member(answer, "height"), "height")


def known(refused: CallRefused) -> bool:
    return refused.number == -27


async def test_what_two_of_three_say_is_taken_and_the_contradiction_is_counted(three: Setting) -> None:
    three.nodes[0].salt = 1
    before = _disagreements()
    assert (await three.rpc(quorum=2).agreed("block", 3, read=as_it_is, key=block_hash))["hash"] == f"{3:064x}"
    assert _disagreements() == before + 1


async def test_when_no_two_say_the_same_nothing_is_decided(three: Setting) -> None:
    for number, node in enumerate(three.nodes):
        node.salt = number
    with pytest.raises(ProvidersDisagree):
        await three.rpc(quorum=2).agreed("block", 3, read=as_it_is, key=block_hash)


async def test_one_stale_node_of_two_decides_nothing(three: Setting) -> None:
    rpc = three.rpc(quorum=3)
    await rpc.agreed("block", 3, read=as_it_is, key=block_hash)
    three.proxies[2].fail("stale")
    for node in three.nodes:
        node.salt = 5
    with pytest.raises(ProvidersDisagree):
        await rpc.agreed("block", 3, read=as_it_is, key=block_hash)


async def test_with_too_few_nodes_nothing_is_decided(three: Setting) -> None:
    for proxy in three.proxies[:2]:
        proxy.fail("html")
    with pytest.raises(errors.NodeUnavailable, match="2 nodes of small must answer"):
        await three.rpc(quorum=2).agreed("block", 3, read=as_it_is, key=block_hash)


async def test_that_something_is_not_there_takes_a_quorum_too(three: Setting) -> None:
    with pytest.raises(CallRefused) as refused:
        await three.rest(quorum=2).agreed("blocks/99", read=as_it_is, key=block_hash)
    assert refused.value.number == 404


async def test_a_node_that_has_not_the_block_yet_is_not_asked_for_it(three: Setting) -> None:
    rpc = three.rpc(quorum=2)
    three.nodes[0].height = 3
    before = _disagreements()
    await rpc.head("head", read=as_it_is, height=height)
    assert (await rpc.agreed("block", 7, read=as_it_is, key=block_hash, at=7))["height"] == 7
    assert [proxy.asked.count("block") for proxy in three.proxies] == [0, 1, 1]
    assert _disagreements() == before


async def test_the_head_is_what_a_quorum_has_reached(three: Setting) -> None:
    for node, at in zip(three.nodes, (10, 30, 20), strict=True):
        node.height = at
    assert (await three.rpc(quorum=2).head("head", read=as_it_is, height=height))["height"] == 20


async def test_a_transaction_goes_to_every_node(three: Setting) -> None:
    assert await three.rpc().broadcast("send", "abc", read=as_it_is) == "done"
    assert [node.taken for node in three.nodes] == [["abc"]] * 3


async def test_one_node_that_takes_it_is_enough(three: Setting) -> None:
    three.proxies[0].fail("drop")
    three.proxies[1].fail("html")
    assert await three.rest().broadcast("send", {"tx": "abc"}, read=as_it_is) == {"hash": "done"}


async def test_a_lost_answer_leaves_it_uncertain_and_it_is_sent_once(three: Setting) -> None:
    for proxy in three.proxies:
        proxy.fail("drop")
    with pytest.raises(errors.Uncertain):
        await three.rpc().broadcast("send", "abc", read=as_it_is)
    assert [node.taken for node in three.nodes] == [["abc"]] * 3
    assert [proxy.asked for proxy in three.proxies] == [["send"]] * 3


async def test_the_same_bytes_again_are_fine(three: Setting) -> None:
    rpc = three.rpc()
    await rpc.broadcast("send", "abc", read=as_it_is, known=known)
    assert await rpc.broadcast("send", "abc", read=as_it_is, known=known) is None


async def test_what_every_node_refuses_is_refused(three: Setting) -> None:
    with pytest.raises(errors.Refused, match="it is not valid"):
        await three.rpc().broadcast("send", "bad", read=as_it_is, known=known)
    with pytest.raises(errors.Refused) as refused:
        await three.rest().broadcast("send", {"tx": "bad"}, read=as_it_is)
    assert isinstance(refused.value.__cause__, CallRefused)
    assert refused.value.__cause__.data["extras"] == {"code": "tx_bad_seq"}  # type: ignore[index]


async def test_a_refusal_beside_a_lost_answer_is_uncertain(three: Setting) -> None:
    three.proxies[0].fail("drop")
    with pytest.raises(errors.Uncertain):
        await three.rpc().broadcast("send", "bad", read=as_it_is)


async def test_a_refusal_counts_where_the_others_were_not_reached(three: Setting) -> None:
    rpc = three.rpc()
    await three.proxies[0].stop()
    with pytest.raises(errors.Refused):
        await rpc.broadcast("send", "bad", read=as_it_is)


async def test_each_node_says_which_chain_it_is_of(three: Setting) -> None:
    assert await three.rpc().each("block", 0, read=block_hash) == [f"{0:064x}"] * 3
    three.proxies[0].fail("html")
    with pytest.raises(errors.NodeWrong):
        await three.rpc().each("block", 0, read=as_it_is)


def _disagreements() -> float:
    return float(metrics.DISAGREEMENTS.labels("small")._value.get())
