"""The part of the service that moves money and holds it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from billfold.kernel.errors import BillfoldError
from billfold.kernel.idempotency import Key
from billfold.ledger import Ledger, errors
from billfold.ledger.contracts import GROUP_MAX, HoldChange, NewTransfer, Posting, Transfer
from billfold.ledger.rpc import reading, values, writing
from billfold.ledger.rpc.v1 import ledger_pb2 as pb
from billfold.platform.messaging.notary import RefusedPart
from billfold.platform.rpc.errors import MessageInvalid, Stopping
from billfold.platform.rpc.serving import Stop
from billfold.platform.rpc.witness import Witness

#: Blocks of one stream that are being posted. A sender that is faster than the ledger, or does not take its answers,
#: waits.
BLOCKS_MAX = 8

Item = tuple[Key, NewTransfer | errors.LedgerError]
#: Posts a block of a stream.
Post = Callable[..., Coroutine[Any, Any, pb.PostStreamResponse]]


def counted(messages: Sequence[Any], pointer: str) -> Sequence[Any]:
    """`messages`, when they are neither none nor too many.

    Raises: MessageInvalid.
    """
    if not 1 <= len(messages) <= GROUP_MAX:
        raise MessageInvalid(
            f"There are {len(messages)} of {pointer[1:].replace('/', '.')}; it takes 1 to {GROUP_MAX:,}.",
            pointer=pointer,
        )
    return messages


class Moving:
    """Each method is the facade's of the same name."""

    _ledger: Ledger
    _stop: Stop
    _witness: Witness | None

    async def Post(self, request: pb.PostRequest, context: Any) -> pb.PostResponse:
        transfers = [
            reading.wanted(message, f"/transfers/{place}")
            for place, message in enumerate(counted(request.transfers, "/transfers"))
        ]
        if request.linked and len({isinstance(one, NewTransfer) for one in transfers}) > 1:
            raise MessageInvalid("Linked transfers are refused all together or not at all.", pointer="/transfers")
        key = reading.key(request.key, "post", transfers, request.linked)
        posting = await self._ledger.post(key=key, transfers=transfers, atomic=request.linked)
        await self._tell("Post", context, transfers, posting.results)
        return pb.PostResponse(posting=writing.posting(posting))

    async def PostStream(
        self, requests: AsyncIterator[pb.PostStreamRequest], context: Any
    ) -> AsyncIterator[pb.PostStreamResponse]:
        stream = _Stream(requests, functools.partial(self._posted, context))
        reader = asyncio.create_task(stream.read())
        stopper = asyncio.create_task(self._cancel_at_stop(reader))
        try:
            async for answers in stream.answers():
                yield answers
            with suppress(asyncio.CancelledError):
                await reader
            if self._stop.begun.is_set():
                raise Stopping
        finally:
            for task in (reader, stopper):
                task.cancel()
            await asyncio.wait([reader, stopper])

    async def _posted(
        self, context: Any, items: Sequence[Item | BillfoldError], *, ids_only: bool
    ) -> pb.PostStreamResponse:
        """What became of a block."""
        right = [item for item in items if not isinstance(item, BillfoldError)]
        postings = iter(await self._ledger.post_many(requests=right))
        outcomes = [item if isinstance(item, BillfoldError) else next(postings) for item in items]
        wanted = [item if isinstance(item, BillfoldError) else item[1] for item in items]
        results = [outcome.results[0] if isinstance(outcome, Posting) else outcome for outcome in outcomes]
        await self._tell("PostStream", context, wanted, results)
        return writing.answers(outcomes, ids_only=ids_only)

    async def _tell(
        self,
        method: str,
        context: Any,
        wanted: Iterable[NewTransfer | BillfoldError],
        results: Iterable[Transfer | BillfoldError],
    ) -> None:
        """Have the audit keep those that were refused."""
        if self._witness is not None and self._witness.is_first:
            name = f"/{pb.DESCRIPTOR.services_by_name['LedgerService'].full_name}/{method}"
            await self._witness.refused_parts(_refused(wanted, results), method=name, context=context)

    async def _cancel_at_stop(self, reader: asyncio.Task[None]) -> None:
        await self._stop.begun.wait()
        reader.cancel()

    async def Rehearse(self, request: pb.RehearseRequest, _context: Any) -> pb.RehearseResponse:
        results = await self._ledger.rehearse(
            transfers=[
                reading.new_transfer(message, f"/transfers/{place}")
                for place, message in enumerate(counted(request.transfers, "/transfers"))
            ],
            unopened=[
                reading.unopened(message, f"/unopened/{place}") for place, message in enumerate(request.unopened)
            ],
            atomic=request.linked,
        )
        return pb.RehearseResponse(results=writing.results(results))

    async def Void(self, request: pb.VoidRequest, _context: Any) -> pb.VoidResponse:
        posting = await self._ledger.void(key=reading.key(request.key, "void"))
        return pb.VoidResponse(posting=writing.posting(posting))

    async def Reverse(self, request: pb.ReverseRequest, _context: Any) -> pb.ReverseResponse:
        transfer_id = values.read_id(request.transfer_id, "/transfer_id")
        amount = reading.optional_units(request, "amount")
        key = reading.key(request.key, "reverse", transfer_id, amount)
        posting = await self._ledger.reverse(key=key, transfer_id=transfer_id, amount=amount)
        return pb.ReverseResponse(posting=writing.posting(posting))

    async def PlaceHold(self, request: pb.PlaceHoldRequest, _context: Any) -> pb.PlaceHoldResponse:
        hold = reading.new_hold(request.hold)
        change = await self._ledger.place_hold(key=reading.key(request.key, "place_hold", hold), hold=hold)
        return pb.PlaceHoldResponse(change=writing.hold_change(change))

    async def SettleHold(self, request: pb.SettleHoldRequest, _context: Any) -> pb.SettleHoldResponse:
        wanted: dict[str, Any] = {
            "hold_id": values.read_id(request.hold_id, "/hold_id"),
            "credit_account": values.read_id(request.credit_account, "/credit_account"),
            "amount": reading.optional_units(request, "amount"),
            "release_rest": request.release_rest,
            "forced": request.forced,
        }
        change = await self._ledger.settle_hold(key=reading.key(request.key, "settle_hold", wanted), **wanted)
        return pb.SettleHoldResponse(change=writing.hold_change(change))

    async def ReleaseHold(self, request: pb.ReleaseHoldRequest, _context: Any) -> pb.ReleaseHoldResponse:
        hold_id = values.read_id(request.hold_id, "/hold_id")
        key = reading.key(request.key, "release_hold", hold_id)
        change = await self._ledger.release_hold(key=key, hold_id=hold_id)
        return pb.ReleaseHoldResponse(change=writing.hold_change(change))

    async def ExpireHolds(self, request: pb.ExpireHoldsRequest, _context: Any) -> pb.ExpireHoldsResponse:
        return pb.ExpireHoldsResponse(expired=await self._ledger.expire_holds(limit=limit_of(request)))

    async def RehearseHold(self, request: pb.RehearseHoldRequest, _context: Any) -> pb.RehearseHoldResponse:
        refusal = await self._ledger.refusal_of_hold(
            hold=reading.new_hold(request.hold), unopened=reading.unopened(request.unopened, "/unopened")
        )
        return pb.RehearseHoldResponse(refusal=writing.refusal(refusal))

    async def RehearseSettlement(
        self, request: pb.RehearseSettlementRequest, _context: Any
    ) -> pb.RehearseSettlementResponse:
        refusal = await self._ledger.refusal_of_settlement(
            hold_id=values.read_id(request.hold_id, "/hold_id"),
            unopened=reading.unopened(request.unopened, "/unopened"),
            amount=reading.optional_units(request, "amount"),
            release_rest=request.release_rest,
        )
        return pb.RehearseSettlementResponse(refusal=None if refusal is None else writing.refusal(refusal))

    async def RefuseHold(self, request: pb.RefuseHoldRequest, _context: Any) -> pb.RefuseHoldResponse:
        refusal = reading.ledger_refusal(request.refusal, "/refusal")
        change = await self._ledger.refuse(key=reading.key(request.key, "refuse_hold", refusal), refusal=refusal)
        return pb.RefuseHoldResponse(change=writing.hold_change(change))

    async def LookUp(self, request: pb.LookUpRequest, _context: Any) -> pb.LookUpResponse:
        answer = await self._ledger.look_up(digest=reading.key(request.key, "look_up").digest)
        if isinstance(answer, Posting):
            return pb.LookUpResponse(posting=writing.posting(answer))
        if isinstance(answer, HoldChange):
            return pb.LookUpResponse(change=writing.hold_change(answer))
        return pb.LookUpResponse(refusal=None if answer is None else writing.refusal(answer))

    async def ListAnswered(self, request: pb.ListAnsweredRequest, _context: Any) -> pb.ListAnsweredResponse:
        keys = [
            reading.key(message, "list_answered", pointer=f"/keys/{place}")
            for place, message in enumerate(counted(request.keys, "/keys"))
        ]
        answered = await self._ledger.answered(keys=keys)
        return pb.ListAnsweredResponse(answered=[key.digest in answered for key in keys])


def limit_of(request: Any) -> int:
    """How many are wanted at most.

    Raises: MessageInvalid.
    """
    limit: int = request.limit
    if not 1 <= limit <= GROUP_MAX:
        raise MessageInvalid(f"The limit is {limit}; it is from 1 to {GROUP_MAX:,}.", pointer="/limit")
    return limit


class _Stream:
    """Blocks of transfers on their way from the caller to the ledger, and their answers on the way back."""

    def __init__(self, requests: AsyncIterator[pb.PostStreamRequest], post: Post) -> None:
        self._requests = requests
        self._post = post
        self._room = asyncio.Semaphore(BLOCKS_MAX)
        #: Blocks that are being posted, in their order; None is the end.
        self._posting: asyncio.Queue[asyncio.Task[pb.PostStreamResponse] | None] = asyncio.Queue()

    async def read(self) -> None:
        """Begin to post each block that comes while there is room.

        Raises:
            MessageInvalid: a block has no items, or too many. Those before it are posted.
        """
        try:
            await self._room.acquire()
            async for request in self._requests:
                items = [_item(message, place) for place, message in enumerate(counted(request.items, "/items"))]
                posting = self._post(items, ids_only=request.ids_only)
                self._posting.put_nowait(asyncio.create_task(posting))
                await self._room.acquire()
        finally:
            self._posting.put_nowait(None)

    async def answers(self) -> AsyncIterator[pb.PostStreamResponse]:
        """The answers of one block after the other. What is taken gives room."""
        while (block := await self._posting.get()) is not None:
            yield await block
            self._room.release()


def _item(message: pb.PostStreamRequest.Item, place: int) -> Item | BillfoldError:
    """One that is wrong by itself takes nobody else along."""
    try:
        wanted = reading.wanted(message.transfer, f"/items/{place}/transfer")
        return reading.key(message.key, "post", [wanted], True, pointer=f"/items/{place}/key"), wanted  # noqa: FBT003 - as a request of its own would be.
    except BillfoldError as error:
        return error


def _refused(
    wanted: Iterable[NewTransfer | BillfoldError], results: Iterable[Transfer | BillfoldError]
) -> Iterator[RefusedPart]:
    """Those that were refused, and what each would have moved. Of a group it is told what has refused all of it."""
    for place, (new, result) in enumerate(zip(wanted, results, strict=True)):
        if isinstance(result, BillfoldError) and not isinstance(result, errors.GroupRefused):
            yield result, {"item": place, **(_told(new) if isinstance(new, NewTransfer) else {})}


def _told(new: NewTransfer) -> dict[str, str]:
    sides = {"debit_account": str(new.debit_account), "credit_account": str(new.credit_account)}
    return {**sides, "units": str(new.amount), "asset": new.asset}
