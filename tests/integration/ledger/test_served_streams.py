"""Bulk over a stream."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import grpc
import pytest

from billfold.kernel import ids
from billfold.ledger import errors
from billfold.ledger.contracts import Posting
from billfold.ledger.rpc import moving, writing
from billfold.ledger.rpc.v1 import ledger_pb2 as pb
from billfold.ledger.rpc.v1 import ledger_pb2_grpc as pb_grpc
from billfold.platform.rpc import statuses
from tests import servers
from tests.integration.ledger.support import Bank, key, new
from tests.ledgers import LedgerServer

Item = pb.PostStreamRequest.Item


@pytest.fixture
async def bank(served_database: servers.TestDatabase, role_server: LedgerServer) -> AsyncIterator[Bank]:
    async with Bank.opened(served_database.app_dsn, served_by=[role_server]) as bank:
        yield bank


@pytest.fixture
async def stub(role_server: LedgerServer) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(role_server.address) as channel:
        yield pb_grpc.LedgerServiceStub(channel)  # type: ignore[no-untyped-call]


def item(debit: UUID, credit: UUID, amount: int = 1, *, text: str | None = None, reference: str = "") -> Item:
    wanted = writing.wanted(new(debit, credit, amount, reference=reference))
    return Item(key=pb.Key(text=text or str(ids.new())), transfer=wanted)


def outcomes(response: pb.PostStreamResponse) -> list[str]:
    """Transfer, or the code of what refused it."""
    return [
        answer.failure.code
        if answer.WhichOneof("outcome") == "failure"
        else answer.posting.results[0].refusal.code or "transfer"
        for answer in response.answers
    ]


async def test_each_block_is_answered_in_its_order_and_each_transfer_at_its_place(stub: Any, bank: Bank) -> None:
    a, b = await bank.accounts(2, 10_000)
    blocks = [[item(a, b, reference=f"{block}-{n}") for n in range(1_000)] for block in range(10)]
    responses = [one async for one in stub.PostStream(iter([pb.PostStreamRequest(items=items) for items in blocks]))]
    told = [answer.posting.results[0].transfer.reference for one in responses for answer in one.answers]
    assert told == [f"{block}-{n}" for block in range(10) for n in range(1_000)]
    assert await bank.balances(a, b) == [0, 20_000]


async def test_what_is_wrong_with_one_takes_no_other_along(stub: Any, bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    same = str(ids.new())
    items = [
        item(a, b, 60),
        item(a, b, 60),
        Item(transfer=writing.wanted(new(a, b, 1))),
        Item(key=pb.Key(text=str(ids.new()))),
        item(a, b, 1, text=same),
        item(a, b, 2, text=same),
        item(a, b, 39),
    ]
    (response,) = [one async for one in stub.PostStream(iter([pb.PostStreamRequest(items=items)]))]
    assert outcomes(response) == [
        *("transfer", "insufficient_funds", "message_invalid", "message_invalid"),
        *("transfer", "idempotency_key_in_use", "transfer"),
    ]
    assert await bank.balances(a, b) == [0, 200]


@pytest.mark.parametrize("count", [0, 1_001])
async def test_a_block_of_the_wrong_size_ends_the_stream_behind_those_before_it(
    stub: Any, bank: Bank, count: int
) -> None:
    a, b = await bank.accounts(2, 2_000)
    blocks = [pb.PostStreamRequest(items=[item(a, b)]), pb.PostStreamRequest(items=[item(a, b)] * count)]
    answered = []
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        async for response in stub.PostStream(iter(blocks)):
            answered.append(outcomes(response))  # noqa: PERF401 - the first shall be seen before it fails.
    assert answered == [["transfer"]]
    info = statuses._info(failed.value)
    assert info is not None
    assert (info.reason, info.metadata["pointer"]) == ("message_invalid", "/items")
    assert await bank.balances(a, b) == [1_999, 2_001]


async def test_a_stream_sent_again_posts_nothing_and_gets_the_same_answers(stub: Any, bank: Bank) -> None:
    a, b = await bank.accounts(2, 1_000)
    blocks = [pb.PostStreamRequest(items=[item(a, b) for _ in range(100)]) for _ in range(3)]
    first, again = [
        [[answer.posting.results for answer in response.answers] async for response in stub.PostStream(iter(blocks))]
        for _ in range(2)
    ]
    assert first == again
    assert await bank.balances(a, b) == [700, 1_300]


async def test_only_the_ids_of_what_was_posted_are_told_to_whoever_wants_no_more(stub: Any, bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    items = [item(a, b, 60), item(a, b, 60), Item()]
    block = pb.PostStreamRequest(items=items, ids_only=True)
    first, again = [[one async for one in stub.PostStream(iter([block]))] for _ in range(2)]
    for response in (first[0], again[0]):
        posted, refused, failed = response.answers
        assert (await bank.ledger.transfer(transfer_id=UUID(posted.posted_id))).amount == 60
        assert refused.posting.results[0].refusal.code == "insufficient_funds"
        assert failed.failure.code == "message_invalid"
    assert first[0].answers[0] == again[0].answers[0]
    assert await bank.balances(a, b) == [40, 160]


async def _overloaded(items: Sequence[Any], *, ids_only: bool) -> pb.PostStreamResponse:
    return writing.answers([errors.Overloaded() for _ in items], ids_only=ids_only)


async def test_a_sender_who_takes_no_answers_is_not_read_from() -> None:
    read = 0

    async def requests() -> AsyncIterator[pb.PostStreamRequest]:
        nonlocal read
        while True:
            read += 1
            yield pb.PostStreamRequest(items=[item(ids.new(), ids.new())])

    async def settled() -> None:
        for _ in range(1_000):
            await asyncio.sleep(0)

    stream = moving._Stream(requests(), _overloaded)
    reader = asyncio.create_task(stream.read())
    await settled()
    assert read == moving.BLOCKS_MAX
    answers = stream.answers()
    for taken in range(1, 4):
        assert len((await anext(answers)).answers) == 1
        await settled()
        # Room is given when the next one is asked for.
        assert read == moving.BLOCKS_MAX + taken - 1
    reader.cancel()
    await asyncio.wait([reader])


async def test_a_block_that_the_facade_sends_is_answered_like_single_calls(bank: Bank) -> None:
    a, b = await bank.accounts(2, 3_000)
    found = await bank.ledger.post_many(requests=[(key(), new(a, b, 1)) for _ in range(2_500)])
    assert len({one.single().id for one in found if isinstance(one, Posting)}) == 2_500
    assert await bank.balances(a, b) == [500, 5_500]
