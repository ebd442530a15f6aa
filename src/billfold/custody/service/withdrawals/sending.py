"""Steps 4 to 8 of a withdrawal: its transaction is built, signed, stored, handed over, and looked for.

    4  built      its bytes without signatures are stored
    5  signed     its signed bytes are stored; COMMIT. Until then no node has seen anything
    6  handed     an attempt is stored, then the stored bytes are handed over, and only ever these
    7  answered   what the node said is stored: sent, or uncertain
    8  mined      a block has it, and then enough blocks more; or it is dead, by the chain's own proof

Whoever takes an allocation next goes on where the last one stopped: building and signing again gives the same bytes,
and handing them over again changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import structlog

from billfold.chains import errors as chain_errors
from billfold.chains.port import Allocation, Chain, Fate, Found, Payment, Signed
from billfold.chains.signing_port import Place
from billfold.custody import errors
from billfold.custody.domain import withdrawals as rules
from billfold.custody.service.withdrawals import halting
from billfold.custody.service.withdrawals.closing import Closing
from billfold.custody.service.withdrawals.ending import Ending
from billfold.custody.service.withdrawals.parts import LEASE, LOOK_PAUSE, Overtaken, Parts
from billfold.custody.service.withdrawals.seeking import LATE, Seeking
from billfold.custody.service.withdrawals.together import Together
from billfold.custody.store import allocations, queue, sources
from billfold.custody.store import withdrawals as store
from billfold.custody.store.allocations import AllocationRow
from billfold.custody.store.queue import Tx
from billfold.kernel.errors import Unavailable
from billfold.platform.postgres.database import Connection
from billfold.signer.contracts import Expected
from billfold.signer.errors import SignerError

#: So many allocations are taken in hand at a time, and so many of them are worked on at once.
ROUND_MAX = 200
_AT_ONCE = 8
#: What waits for signatures from elsewhere is looked at so much later; when one comes it is looked at then.
WAIT_PAUSE = timedelta(seconds=5)

log = structlog.get_logger(__name__)


class Sending:
    """Brings transactions onto their chain."""

    def __init__(self, parts: Parts, ending: Ending) -> None:
        self._parts = parts
        self._ending = ending
        self._seeking = Seeking(parts)
        self._together = Together(parts)
        self._closing = Closing(parts)

    async def round(self, chain: Chain) -> int:
        """Take each transaction that is due a step further, and say how many there were."""
        now = self._parts.now()
        async with self._parts.database.transaction() as connection:
            taken = await allocations.take(connection, chain.name, now=now, until=now + LEASE, limit=ROUND_MAX)
        if not taken:
            return 0
        left = await self._together.advance(chain, await self._allowed(chain, taken))
        gate = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for row in left:
                group.create_task(self._guarded(gate, chain, row))
        return len(taken)

    async def _allowed(self, chain: Chain, rows: Sequence[AllocationRow]) -> Sequence[AllocationRow]:
        """Those that may go on. What may not leave any more, and is not signed, is given up and waits again."""
        halted = await halting.halted(self._parts, [row.id for row in rows])
        for row in rows:
            if row.id in halted:
                await self._given_up(chain, row, halted[row.id])
        return [row for row in rows if row.id not in halted]

    async def _given_up(self, chain: Chain, row: AllocationRow, reason: str) -> None:
        log.info("a transaction is not signed any more", allocation=str(row.id), why=reason)
        async with self._parts.database.connection() as connection:
            txs = [tx for tx in await queue.txs(connection, row.id) if tx.is_living]
        try:
            for tx in txs:
                await self._ending.give_up(chain, row, tx, reason=reason, fail=False)
        except Overtaken:
            log.info("somebody else has taken a transaction in hand", allocation=str(row.id))

    async def _guarded(self, gate: asyncio.Semaphore, chain: Chain, row: AllocationRow) -> None:
        async with gate:
            try:
                await self._advance(chain, row)
            except Overtaken:
                log.info("somebody else has taken a transaction in hand", allocation=str(row.id))
            except (Unavailable, chain_errors.NodeWrong) as error:
                log.warning("a transaction waits", chain=chain.name, allocation=str(row.id), why=error.detail)
                await self._postpone(row, rules.PAUSE)
            except Exception:
                # What nobody has thought of in one must not stop the others. It is tried again when its lease is over.
                log.exception("a transaction can't be taken further", chain=chain.name, allocation=str(row.id))

    async def _advance(self, chain: Chain, row: AllocationRow) -> None:
        if row.state == "settling":
            await self._closing.close(chain, row)
            return
        async with self._parts.database.connection() as connection:
            txs = [tx for tx in await queue.txs(connection, row.id) if tx.is_living or tx.is_loose]
            allocation = await allocations.content(connection, row)
        if not txs:
            # Whoever found the last of them dead has not come to write what follows from it.
            await self._ending.bury(row)
            return
        fates: list[Fate | None] = []
        for place, tx in enumerate(txs):
            if tx.is_loose:
                txs[place], fate = await self._seeking.look(chain, row, tx, allocation)
                fates += [fate] if tx.raw is None else []
            elif tx.state == "built" and row.chain in self._parts.outside:
                continue
            elif tx.state in ("allocated", "built"):
                made = await self._made(chain, row, tx, allocation)
                if made is None:
                    return
                txs[place] = made if made.raw is None else await self._handed_over(chain, row, made)
            else:
                txs[place] = await self._looked_for(chain, row, tx, allocation, kept=None in fates)
        forsaken = None in fates and not any(tx.is_living for tx in txs)
        if row.chain in self._parts.outside and (forsaken or any(tx.state == "built" for tx in txs)):
            await self._seeking.say(row, fates)
        await self._concluded(row, txs, fates)

    async def _made(self, chain: Chain, row: AllocationRow, tx: Tx, allocation: Allocation) -> Tx | None:
        """It with its signed bytes stored, or built where others sign; None if it can't be made."""
        async with self._parts.database.connection() as connection:
            pays = [payment for payment, _ in await queue.payments(connection, tx.id)]
        try:
            if tx.state == "allocated":
                tx = await self._built(chain, row, tx, allocation, pays)
            if row.chain in self._parts.outside:
                return tx
            return await self._signed(chain, row, tx, allocation, pays)
        except _CANT_BE_MADE as error:
            if isinstance(error, Unavailable):
                raise
            log.warning("a transaction can't be made", chain=chain.name, tx=str(tx.id), why=str(error))
            invalid = isinstance(error, chain_errors.PaymentInvalid)
            await self._ending.give_up(chain, row, tx, reason=getattr(error, "code", "fee_above_limit"), fail=invalid)
            return None

    async def _built(
        self, chain: Chain, row: AllocationRow, tx: Tx, allocation: Allocation, pays: Sequence[Payment]
    ) -> Tx:
        unsigned = await chain.build(pays, allocation, rate=tx.offered)
        if unsigned.fee_max > tx.fee_limit:
            raise _TooDear
        return await self._changed(row, tx, state="built", payload=unsigned.payload, fee_max=unsigned.fee_max)

    async def _signed(
        self, chain: Chain, row: AllocationRow, tx: Tx, allocation: Allocation, pays: Sequence[Payment]
    ) -> Tx:
        if self._parts.signer is None:
            raise errors.SigningUnavailable
        assert tx.payload is not None and tx.fee_max is not None, "it is built"
        ours = {row.source, *(coin.address for coin in allocation.coins), *([row.change] if row.change else [])}
        if tx.kind in ("gas", "open"):
            ours |= {payment.address for payment in pays}
        async with self._parts.database.connection() as connection:
            house = await sources.house(connection, chain.name)
            places = await sources.places(connection, chain.name, sorted(ours | set(house.get("hot", ())[:1])))
            tree_id = await sources.tree(connection, chain.name)
        assert tree_id is not None, "there are addresses, so there is a tree"
        signed = await self._parts.signer.sign(
            request_id=tx.id,
            tree_id=tree_id,
            payload=tx.payload,
            places={one: Place(purpose=purpose, index=index) for one, (purpose, index) in places.items()},
            expected=Expected(payments=pays, fee_max=tx.fee_max, to_warm=tx.kind == "warm"),
        )
        async with self._parts.database.transaction() as connection:
            await self._mine(connection, row)
            twin = await queue.known(connection, chain.name, signed.chain_tx)
            if twin not in (None, tx.id):
                # The chain takes the two for one, which would stand for both. It is made again, from a later block.
                raise _Twin
            await queue.note_own(connection, chain.name, signed.chain_tx)
            values: dict[str, Any] = {"raw": signed.raw, "chain_tx": signed.chain_tx}
            await queue.change_tx(connection, tx.id, state="signed", now=self._parts.now(), **values)
        return msgspec.structs.replace(tx, state="signed", **values)

    async def _handed_over(self, chain: Chain, row: AllocationRow, tx: Tx) -> Tx:
        """Hand the stored bytes over, with an attempt stored before and the answer after."""
        number = tx.broadcasts + 1
        async with self._parts.database.transaction() as connection:
            await self._mine(connection, row)
            now = self._parts.now()
            await queue.begin_attempt(connection, tx.id, number, now=now)
            await queue.change_tx(connection, tx.id, state="broadcasting", now=now, broadcasts=number)
        answer, reason = "sent", ""
        try:
            await chain.broadcast(signed_of(tx))
        except (chain_errors.Refused, chain_errors.NodeUnavailable, chain_errors.NodeWrong) as error:
            answer, reason = "uncertain", f"{error.code}: {error.detail}"[: queue.REASON_MAX]
        async with self._parts.database.transaction() as connection:
            await self._mine(connection, row)
            await queue.end_attempt(connection, tx.id, number, reason or answer)
            state: queue.State = "sent" if answer == "sent" else "uncertain"
            await queue.change_tx(connection, tx.id, state=state, now=self._parts.now(), reason=reason)
            if number == 1 and tx.kind == "pay":
                for one in await store.of_allocation(connection, row.id):
                    await self._parts.tell(connection, "withdrawal.sent.v1", one, chain_tx=tx.chain_tx)
        return msgspec.structs.replace(tx, state=state, broadcasts=number, reason=reason)

    async def _looked_for(self, chain: Chain, row: AllocationRow, tx: Tx, allocation: Allocation, *, kept: bool) -> Tx:
        """It as the chain has it now. Its allocation is `kept` where another one waits for an operator's word.

        Raises:
            NodeUnavailable: also where no node can say whether it was sent under another signature.
            NodeWrong, Overtaken.
        """
        found = await chain.find(signed_of(tx), allocation)
        match found.fate:
            case Fate.MINED:
                return await self._mined(chain, row, tx, found)
            case Fate.DEAD:
                if row.chain in self._parts.outside:
                    # Who has the keys may have signed the same once more, which has another name, and sent that.
                    tx, fate = await self._seeking.look(chain, row, tx, allocation)
                    if fate is None and not kept:
                        raise chain_errors.NodeUnavailable("No node can say what was sent in its place.")
                    if fate not in (Fate.DEAD, None):
                        return tx
                return await self._changed(row, tx, state="dead", reason=found.reason[: queue.REASON_MAX])
            case Fate.PENDING:
                return tx if tx.state == "sent" else await self._changed(row, tx, state="sent", reason="")
            case Fate.UNSEEN:
                return await self._handed_over(chain, row, tx)

    async def _mined(self, chain: Chain, row: AllocationRow, tx: Tx, found: Found) -> Tx:
        assert found.height is not None and found.fee is not None, "a block has it"
        head = await chain.head()
        deep = head.height - found.height + 1 >= self._parts.terms[chain.name].confirmations
        state: queue.State = "final" if deep else "mined"
        if tx.state == state and tx.block == found.block:
            return tx
        return await self._changed(
            row,
            tx,
            state=state,
            height=found.height,
            block=found.block,
            succeeded=found.succeeded,
            fee=found.fee,
            reason=found.reason[: queue.REASON_MAX],
        )

    async def _concluded(self, row: AllocationRow, txs: Sequence[Tx], fates: Sequence[Fate | None]) -> None:
        """Settle what is final, give up what is dead, and look again later at all else.

        What nobody can have signed shares the fate of all others: it uses up the same. `fates` are those of what was
        handed out and not handed in: as long as one may happen nothing is given up.
        """
        signed = [tx for tx in txs if tx.raw is not None]
        all_dead = all(tx.state == "dead" for tx in signed) and all(fate is Fate.DEAD for fate in fates)
        final = next((tx for tx in txs if tx.state == "final"), None)
        if final is not None:
            await self._ending.finish(row, final)
        elif (signed or fates) and all_dead:
            await self._ending.bury(row, reason="" if signed else LATE)
        elif not signed:
            await self._postpone(row, WAIT_PAUSE)
        else:
            unsure = max((tx.broadcasts for tx in txs if tx.state == "uncertain"), default=0)
            await self._postpone(row, rules.pause(unsure - 1) if unsure else LOOK_PAUSE)

    async def _changed(self, row: AllocationRow, tx: Tx, *, state: queue.State, **values: Any) -> Tx:
        async with self._parts.database.transaction() as connection:
            await self._mine(connection, row)
            if state in ("mined", "final"):
                await queue.unmine_others(connection, row.id, tx.id, now=self._parts.now())
            await queue.change_tx(connection, tx.id, state=state, now=self._parts.now(), **values)
        return msgspec.structs.replace(tx, state=state, **values)

    async def _mine(self, connection: Connection, row: AllocationRow) -> None:
        """Go on only if nobody else has taken the allocation, and let nobody until the database transaction ends."""
        if await allocations.lock(connection, row.id, fence=row.fence) is None:
            raise Overtaken

    async def _postpone(self, row: AllocationRow, pause: timedelta) -> None:
        async with self._parts.database.connection() as connection:
            await allocations.postpone(connection, row, next_at=self._parts.now() + pause)


class _TooDear(Exception):
    """It would cost more than it may."""

    code = "fee_above_limit"


class _Twin(_TooDear):
    """The chain would take it for another one of ours."""

    code = "same_as_another"


_CANT_BE_MADE = (
    chain_errors.PaymentInvalid,
    chain_errors.FundsShort,
    chain_errors.PayloadRefused,
    SignerError,
    _TooDear,
)


def signed_of(tx: Tx) -> Signed:
    """What is handed over."""
    assert tx.raw is not None and tx.chain_tx is not None, "it is signed"
    return Signed(raw=tx.raw, chain_tx=tx.chain_tx, payload=tx.payload)
