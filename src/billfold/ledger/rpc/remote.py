"""The facade over gRPC: what moves and reads money is done by servers of the role `ledger`.

What stands in the caller's own database transaction stays here, on the same database: opening, freezing and closing
accounts beside a wallet's row, and limits. So do the assets, which never change, the relay's reading of what was
posted, and verification, which believes nobody. Done here or there, the rows are the same, and so are the keys.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from billfold.kernel.errors import BillfoldError, InternalError
from billfold.kernel.idempotency import IdempotencyKeyInUse, Key
from billfold.ledger import Ledger, errors
from billfold.ledger.contracts import (
    GROUP_MAX,
    HoldChange,
    NewHold,
    NewTransfer,
    Posting,
    Transfer,
    Unopened,
    Watched,
)
from billfold.ledger.errors import LedgerError
from billfold.ledger.rpc import reading, values, writing
from billfold.ledger.rpc.remote_reading import RemoteReader
from billfold.ledger.rpc.v1 import ledger_pb2 as pb
from billfold.ledger.rpc.v1 import ledger_pb2_grpc as pb_grpc
from billfold.platform.postgres.database import Database
from billfold.platform.rpc.addresses import Address
from billfold.platform.rpc.replicas import Replicas
from billfold.platform.tls import Mutual

Answer = Posting | HoldChange | LedgerError


@asynccontextmanager
async def connected(
    database: Database, *, addresses: Sequence[Address], tls: Mutual | None, token: str | None, timeout_s: float
) -> AsyncIterator[RemoteLedger]:
    """The ledger that is served at `addresses`, until the block ends. Whether it answers shows with the calls."""
    replicas = Replicas(addresses, pb_grpc.LedgerServiceStub, tls=tls, token=token, timeout_s=timeout_s)
    ledger = RemoteLedger(database, replicas)
    try:
        yield ledger
    finally:
        await ledger.close()


class RemoteLedger(RemoteReader, Ledger):
    """As the facade. A call that is not answered is sent again, to another server, with the same key."""

    is_remote = True

    def __init__(self, database: Database, replicas: Replicas) -> None:
        super().__init__(database)
        self._replicas = replicas

    async def close(self) -> None:
        """Hang up. What servers have begun they finish."""
        await self._replicas.close()

    async def check(self) -> None:
        """Pass if a server of it serves.

        Raises: ServiceUnavailable.
        """
        await self._replicas.check()

    async def post(self, *, key: Key, transfers: Sequence[NewTransfer | LedgerError], atomic: bool = True) -> Posting:
        assert 1 <= len(transfers) <= GROUP_MAX, "callers check the length"
        request = _message(
            lambda: pb.PostRequest(key=writing.key(key), transfers=map(writing.wanted, transfers), linked=atomic)
        )
        return reading.posting((await self._move("Post", request)).posting)

    async def post_many(
        self, *, requests: Sequence[tuple[Key, NewTransfer | LedgerError]]
    ) -> list[Posting | BillfoldError]:
        outcomes: list[Posting | BillfoldError] = []
        for first in range(0, len(requests), GROUP_MAX):
            outcomes += await self._post_block(requests[first : first + GROUP_MAX])
        return outcomes

    async def _post_block(
        self, requests: Sequence[tuple[Key, NewTransfer | LedgerError]]
    ) -> Sequence[Posting | BillfoldError]:
        async def send(stub: Any, **given: Any) -> Sequence[Posting | BillfoldError]:
            responses = [response async for response in stub.PostStream(iter([block]), **given)]
            assert len(responses) == 1, "a block is answered by a block, or the stream fails"
            return [_outcome(answer) for answer in responses[0].answers]

        try:
            block = _message(
                lambda: pb.PostStreamRequest(
                    items=[
                        pb.PostStreamRequest.Item(key=writing.key(key), transfer=writing.wanted(new))
                        for key, new in requests
                    ]
                )
            )
            return await self._replicas.call("PostStream", send, lost=errors.OutcomeUnknown, settled=_none_in_use)
        except InternalError:
            # The call is lost for all of them, and perhaps for the sake of one. Keys make it safe to find that one.
            if len(requests) == 1:
                return [errors.RequestFailed()]
            half = len(requests) // 2
            return [*await self._post_block(requests[:half]), *await self._post_block(requests[half:])]
        except BillfoldError as error:
            return [error] * len(requests)

    async def answered(self, *, keys: Iterable[Key]) -> set[UUID]:
        wanted = list(keys)
        found: set[UUID] = set()
        for first in range(0, len(wanted), GROUP_MAX):
            part = wanted[first : first + GROUP_MAX]
            request = pb.ListAnsweredRequest(keys=map(writing.key, part))
            answered = (await self._ask("ListAnswered", request)).answered
            found.update(key.digest for key, is_answered in zip(part, answered, strict=True) if is_answered)
        return found

    async def look_up(self, *, digest: UUID) -> Answer | None:
        request = pb.LookUpRequest(key=writing.key(Key(digest, 0)))
        found = await self._ask("LookUp", request)
        match found.WhichOneof("answer"):
            case "posting":
                return reading.posting(found.posting)
            case "change":
                return reading.hold_change(found.change)
            case "refusal":
                return reading.ledger_refusal(found.refusal, "/refusal")
        return None

    async def rehearse(
        self, *, transfers: Sequence[NewTransfer], unopened: Sequence[Unopened], atomic: bool
    ) -> Sequence[Transfer | LedgerError]:
        request = _message(
            lambda: pb.RehearseRequest(
                transfers=map(writing.new_transfer, transfers),
                unopened=map(writing.unopened, unopened),
                linked=atomic,
            )
        )
        return reading.results((await self._ask("Rehearse", request)).results)

    async def void(self, *, key: Key) -> Posting:
        return reading.posting((await self._move("Void", pb.VoidRequest(key=writing.key(key)))).posting)

    async def reverse(self, *, key: Key, transfer_id: UUID, amount: int | None) -> Posting:
        request = pb.ReverseRequest(
            key=writing.key(key), transfer_id=str(transfer_id), amount=writing.optional_units(amount)
        )
        return reading.posting((await self._move("Reverse", request)).posting)

    async def place_hold(self, *, key: Key, hold: NewHold) -> HoldChange:
        request = _message(lambda: pb.PlaceHoldRequest(key=writing.key(key), hold=writing.new_hold(hold)))
        return reading.hold_change((await self._move("PlaceHold", request)).change)

    async def settle_hold(
        self,
        *,
        key: Key,
        hold_id: UUID,
        credit_account: UUID,
        amount: int | None,
        release_rest: bool,
        forced: bool = False,
    ) -> HoldChange:
        request = pb.SettleHoldRequest(
            key=writing.key(key),
            hold_id=str(hold_id),
            credit_account=str(credit_account),
            amount=writing.optional_units(amount),
            release_rest=release_rest,
            forced=forced,
        )
        return reading.hold_change((await self._move("SettleHold", request)).change)

    async def refusal_of_hold(self, *, hold: NewHold, unopened: Unopened) -> LedgerError:
        request = _message(
            lambda: pb.RehearseHoldRequest(hold=writing.new_hold(hold), unopened=writing.unopened(unopened))
        )
        return reading.ledger_refusal((await self._ask("RehearseHold", request)).refusal, "/refusal")

    async def refusal_of_settlement(
        self, *, hold_id: UUID, unopened: Unopened, amount: int | None, release_rest: bool
    ) -> LedgerError | None:
        request = pb.RehearseSettlementRequest(
            hold_id=str(hold_id),
            unopened=writing.unopened(unopened),
            amount=writing.optional_units(amount),
            release_rest=release_rest,
        )
        found = await self._ask("RehearseSettlement", request)
        return reading.ledger_refusal(found.refusal, "/refusal") if found.HasField("refusal") else None

    async def refuse(self, *, key: Key, refusal: LedgerError) -> HoldChange:
        request = pb.RefuseHoldRequest(key=writing.key(key), refusal=writing.refusal(refusal))
        return reading.hold_change((await self._move("RefuseHold", request)).change)

    async def release_hold(self, *, key: Key, hold_id: UUID) -> HoldChange:
        request = pb.ReleaseHoldRequest(key=writing.key(key), hold_id=str(hold_id))
        return reading.hold_change((await self._move("ReleaseHold", request)).change)

    async def expire_holds(self, *, limit: int) -> int:
        expired: int = (await self._ask("ExpireHolds", pb.ExpireHoldsRequest(limit=limit))).expired
        return expired

    async def watch(self, *, account_id: UUID, after: datetime | None = None) -> AsyncIterator[Watched]:
        request = pb.WatchAccountRequest(
            account=str(account_id), after=None if after is None else values.instant(after)
        )
        async for message in self._replicas.stream(lambda stub, **given: stub.WatchAccount(request, **given)):
            yield Watched(
                account=reading.account(message.account), entries=[reading.entry(one) for one in message.entries]
            )

    async def _move(self, method: str, request: Any) -> Any:
        """Ask for what has an effect: when there is no answer, nobody knows whether it had."""
        return await self._replicas.call(
            method, lambda stub, **given: getattr(stub, method)(request, **given), lost=errors.OutcomeUnknown
        )


def _message(build: Any) -> Any:
    """What `build` makes, of texts that can be written.

    Raises:
        InvalidText: one holds half of a surrogate pair.
    """
    try:
        return build()
    except UnicodeEncodeError as error:
        raise errors.InvalidText("A text holds a character that can't be stored.") from error


def _outcome(answer: pb.PostStreamResponse.Answer) -> Posting | BillfoldError:
    if answer.WhichOneof("outcome") == "posting":
        return reading.posting(answer.posting)
    return reading.refusal(answer.failure)


def _none_in_use(outcomes: Sequence[Posting | BillfoldError]) -> bool:
    """Whether no try before this one is being worked on."""
    return not any(isinstance(outcome, IdempotencyKeyInUse) for outcome in outcomes)
