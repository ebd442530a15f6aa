"""A program that posts to the ledger, as a process of its own: `python -m bench.posting WORK`.

Single transfers go through the same facade whether it posts in this process or asks the role `ledger`. Blocks for its
stream are written beforehand, as wrk's requests are, and their answers are read when the clock has stopped.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

import grpc
import msgspec
import uvloop

from bench import figures
from billfold.app import remote, settings
from billfold.kernel import idempotency, origin
from billfold.kernel.origin import Origin
from billfold.ledger import Ledger
from billfold.ledger.contracts import GROUP_MAX, NewTransfer
from billfold.ledger.rpc.v1 import ledger_pb2 as pb
from billfold.platform.postgres.database import Database

ASSET = "USD"
#: Streams that blocks are sent over at once. The server posts some blocks of each at a time.
STREAMS = 2
_POST_STREAM = "/billfold.ledger.v1.LedgerService/PostStream"


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What to post: single transfers for so many seconds, or so many blocks."""

    dsn: str
    #: Of the role `ledger`; without it single transfers are posted in this process.
    address: str | None
    accounts: list[UUID]
    label: str
    connections: int = 1
    seconds: float = 0
    blocks: int = 0


class Posted(msgspec.Struct, frozen=True):
    """Transfers that were posted, how long it took, and milliseconds until an answer, of single ones."""

    transfers: int
    seconds: float
    p50_ms: float | None = None
    p99_ms: float | None = None


def _orders(accounts: Sequence[UUID]) -> Iterator[tuple[UUID, UUID, int, str]]:
    """As over HTTP: between two accounts by chance, with a reference of twelve characters."""
    chance = random.Random(1)
    while True:
        debit, credit = chance.sample(accounts, 2)
        yield debit, credit, chance.randrange(1, 10_000), f"order {chance.randrange(100_000, 1_000_000)}"


async def singles(work: Work) -> Posted:
    """One transfer after the other, over and over, by each of the connections."""
    database = await Database.connect(work.dsn, size=2, name="billfold bench posting")
    orders, taken = _orders(work.accounts), []
    owner = work.accounts[0]
    until = 0.0

    async def post(ledger: Ledger, connection: int) -> None:
        number = 0
        while (began := time.perf_counter()) < until:
            debit, credit, amount, reference = next(orders)
            number += 1
            key = idempotency.key(
                owner=owner, text=f"{work.label}-{connection}-{number}", operation="post", content=b""
            )
            new = NewTransfer(
                debit_account=debit, credit_account=credit, amount=amount, asset=ASSET, reference=reference
            )
            (await ledger.post(key=key, transfers=[new])).single()
            taken.append((time.perf_counter() - began) * 1000)

    try:
        async with remote.ledger(settings.Ledger(address=work.address), database) as ledger:
            await ledger.assets()
            began = time.perf_counter()
            until = began + work.seconds
            await asyncio.gather(*(post(ledger, connection) for connection in range(work.connections)))
            seconds = time.perf_counter() - began
    finally:
        await database.close()
    return Posted(len(taken), seconds, figures.median(taken), figures.percentile(taken, 0.99))


async def streamed(work: Work) -> Posted:
    """All blocks, over a few streams at once."""
    assert work.address is not None, "there is no stream in one process"
    blocks = list(_blocks(work))
    async with grpc.aio.insecure_channel(work.address) as channel:
        await channel.channel_ready()
        call = channel.stream_stream(_POST_STREAM, None, None)
        began = time.perf_counter()
        answered = await asyncio.gather(*(_sent(call, blocks[first::STREAMS]) for first in range(STREAMS)))
        seconds = time.perf_counter() - began
    answers = [answer for stream in answered for block in stream for answer in _read(block)]
    return Posted(sum(answer.WhichOneof("outcome") == "posted_id" for answer in answers), seconds)


def _blocks(work: Work) -> Iterator[bytes]:
    orders = _orders(work.accounts)
    for block in range(work.blocks):
        items = []
        for number in range(GROUP_MAX):
            debit, credit, amount, reference = next(orders)
            new = pb.NewTransfer(
                debit_account=str(debit),
                credit_account=str(credit),
                amount=str(amount),
                asset=ASSET,
                reference=reference,
            )
            key = pb.Key(text=f"{work.label}-{block}-{number}")
            items.append(pb.PostStreamRequest.Item(key=key, transfer=pb.Wanted(transfer=new)))
        yield pb.PostStreamRequest(items=items, ids_only=True).SerializeToString()


async def _sent(call: grpc.aio.StreamStreamMultiCallable[bytes, bytes], blocks: Sequence[bytes]) -> list[bytes]:
    return [answer async for answer in call(iter(blocks))]


def _read(block: bytes) -> Sequence[pb.PostStreamResponse.Answer]:
    return list(pb.PostStreamResponse.FromString(block).answers)


def main() -> None:
    """Do the work that the file names, and print what was posted."""
    work = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Work)
    origin.begin(Origin(channel="grpc"))
    posted = uvloop.run(streamed(work) if work.blocks else singles(work))
    print(msgspec.json.encode(posted).decode())


if __name__ == "__main__":
    main()
